#pragma once
// What a sync is answered from. Of DeviceService alone.
#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "sync/server/device_service.h"
#include "sync/server/stock.h"

namespace verbund::sync::server {

/// Not yet: so many are before it.
DeviceAnswer in_line(const Admission& admission, std::size_t place);

/// What the device may sync, as the tables are now.
struct DeviceService::Prepared {
  std::vector<Bound> bounds;       ///< parents first
  std::vector<Session> failed;
  std::vector<FolderName> folders;
  std::set<std::string> not_now;   ///< names of `failed`, and what the device may sync in other sets: their changes wait
};

/// A session that does not go on from the device's cursor.
struct DeviceService::Begun {
  Bound bound;
  std::optional<RowSums> sums;  ///< that the device has sent; without them it gets everything
  Csn since;                    ///< from here on it is known what has gone
};

/// A reply that is being written while the device fetches what is there. Under the service's mutex, but for what says otherwise.
struct DeviceService::Writing {
  // Constant from the begin on.
  DeviceIdentity device;
  std::uint64_t number = 0;
  std::string history;
  Csn csn;  ///< of the snapshot
  std::vector<Begun> begun;    ///< sessions that don't go on from the device's cursor
  // The writing thread's own: the snapshot that the answer speaks of.
  std::optional<postgres::Pool::Lease> lease;
  std::optional<postgres::Connection::Transaction> snapshot;

  std::shared_ptr<void> turn;  ///< gives the turn back when it goes; not under the service's mutex

  std::map<std::string, std::uint32_t> blocks;  ///< by subscription: how many are there
  std::map<std::string, Error> failed;
  bool over = false;
  std::atomic<bool> unwanted = false;           ///< from any thread
};

}  // namespace verbund::sync::server
