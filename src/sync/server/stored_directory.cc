#include "sync/server/stored_directory.h"

#include "access/audit.h"
#include "platform/postgres/connection.h"
#include "sync/server/devices.h"
#include "sync/server/rules_store.h"

namespace verbund::sync::server {
namespace {

constexpr seconds kConnectionWait{10};

}  // namespace

Result<DeviceIdentity> StoredDirectory::authenticate(std::string_view authorization, const std::string& address) {
  auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  auto identity = server::authenticate(**mid_tier, authorization, address, clock_.wall());
  if (!identity && identity.error().code == ErrorCode::kUnauthenticated) log_.info("sync.device_refused", {{"address", address}});
  return identity;
}

Result<std::optional<DeviceIdentity>> StoredDirectory::device(std::uint64_t id) {
  auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  return active_device(**mid_tier, id);
}

Result<EnrolReply> StoredDirectory::enrol(const EnrolRequest& request, const std::string& address) {
  Result<EnrolReply> reply = EnrolReply{};
  {
    auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
    if (!mid_tier) return pass(mid_tier);
    reply = server::enrol(**mid_tier, request, clock_.wall());
  }
  if (!reply) {
    log_.info("sync.enrolment_refused", {{"address", address}});
    return reply;
  }
  const access::AuditEntry entry{0, clock_.wall(), reply->user, "sync.device.enrol", reply->device, address};
  // The device exists by now and its code is used up: the entry's failure is logged, not the device's.
  if (auto written = access::record_audit(mid_tier_, clock_, entry); !written) log_.error("sync.audit", {{"device", reply->device}, {"error", written.error().message}});
  return reply;
}

Result<std::shared_ptr<const RulesInForce>> StoredDirectory::rules() {
  auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  auto version = rules_version(**mid_tier);
  if (!version) return pass(version);
  {
    const std::scoped_lock lock(mutex_);
    if (rules_ && version_ == *version) return rules_;
  }
  auto loaded = load_rules(**mid_tier);
  if (!loaded) return pass(loaded);
  auto shared = std::make_shared<const RulesInForce>(std::move(*loaded));
  const std::scoped_lock lock(mutex_);
  version_ = *version;  // asked for before: what is loaded is at least as new
  rules_ = shared;
  return shared;
}

}  // namespace verbund::sync::server
