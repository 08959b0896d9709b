#include "node/adapters/device_locks.h"

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::node {

DeviceLocks::DeviceLocks(net::EventLoop& loop, cluster::Service& service, const records::RecordTypes& types)
    : loop_(loop), records_(types), shared_(std::make_shared<Shared>()) {
  shared_->service = &service;
}

Result<DeviceLocks::Taken> DeviceLocks::take(postgres::Connection& source, std::uint64_t author, const sync::server::DeviceIdentity& device,
                                             const sync::server::SourceTable& table, const std::vector<Row>& rows) {
  std::vector<RecordKey> keys;
  for (const auto& row : rows) {
    auto its = records_.of(source, table.schema, table.name, row);
    if (!its) return pass(its);
    for (auto& key : *its) {
      if (std::ranges::find(keys, key) == keys.end()) keys.push_back(std::move(key));
    }
  }
  if (keys.empty()) return Taken{};
  auto answer = std::make_shared<std::optional<cluster::OwnLocks>>();  // shared_->mutex
  loop_.post([shared = shared_, answer, keys, holder = cluster::OwnHolder{{author}, device.name, device.user, "device"}] {
    // The service belongs to this thread, which alone takes it away.
    auto* service = [&] {
      const std::scoped_lock lock(shared->mutex);
      return shared->service;
    }();
    if (service == nullptr) return;
    service->lock_own(holder, keys, [shared, answer](cluster::OwnLocks locks) {
      const std::scoped_lock lock(shared->mutex);
      *answer = std::move(locks);
      shared->answered.notify_all();
    });
  });
  std::unique_lock lock(shared_->mutex);
  shared_->answered.wait(lock, [&] { return answer->has_value() || shared_->service == nullptr; });
  if (!answer->has_value()) return Taken{false, "the node is ending", {}};
  const auto& locks = **answer;
  if (!locks.refused) return Taken{true, {}, locks.tokens};
  if (locks.holder) return Taken{false, fmt::format("{} ({})", locks.holder->workstation, locks.holder->user), {}};
  return Taken{false, locks.refused->message, {}};
}

void DeviceLocks::release(std::uint64_t author, Lsn written) {
  loop_.post([shared = shared_, author, written] {
    auto* service = [&] {
      const std::scoped_lock lock(shared->mutex);
      return shared->service;
    }();
    if (service != nullptr) service->release_own({author}, written);
  });
}

void DeviceLocks::stop() {
  const std::scoped_lock lock(shared_->mutex);
  shared_->service = nullptr;
  shared_->answered.notify_all();
}

}  // namespace verbund::node
