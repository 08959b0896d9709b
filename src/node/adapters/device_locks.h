#pragma once
/// sync::server::RecordLocks by cluster: a device's change takes the work locks of its records like a workstation (B3). Which records a row belongs to the
/// configured types say.
/// Threads: from any but the loop's; `take` blocks until the loop has answered, longest when the guard has to end somebody's open transaction.
#include <condition_variable>
#include <memory>
#include <mutex>

#include "cluster/service.h"
#include "node/adapters/row_records.h"
#include "platform/net/event_loop.h"
#include "sync/server/settle.h"

namespace verbund::node {

class DeviceLocks final : public sync::server::RecordLocks {
 public:
  DeviceLocks(net::EventLoop& loop, cluster::Service& service, const records::RecordTypes& types);

  Result<Taken> take(postgres::Connection& source, std::uint64_t author, const sync::server::DeviceIdentity& device, const sync::server::SourceTable& table,
                     const std::vector<Row>& rows) override;
  void release(std::uint64_t author, Lsn written) override;
  /// Whoever waits is refused, and whoever comes: the loop answers no more. On the loop's thread.
  void stop();

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable answered;
    cluster::Service* service = nullptr;  // mutex; none: stopped
  };

  net::EventLoop& loop_;
  RowRecords records_;
  std::shared_ptr<Shared> shared_;  // also of what is posted
};

}  // namespace verbund::node
