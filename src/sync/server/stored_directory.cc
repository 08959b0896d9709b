#include "sync/server/stored_directory.h"

#include <algorithm>

#include "access/audit.h"
#include "base/messages.h"
#include "platform/postgres/connection.h"
#include "sync/server/devices.h"
#include "sync/server/rules_store.h"

namespace verbund::sync::server {
namespace {

constexpr seconds kConnectionWait{10};
constexpr std::size_t kMaxKeyBytes = 64;

}  // namespace

Status StoredDirectory::may_try(access::RateLimit& limit, std::string_view key) {
  const std::scoped_lock lock(mutex_);
  const auto wait = limit.wait(key, clock_.now());
  if (!wait) return {};
  return fail(ErrorCode::kRateLimited, phrase("a device's call: too many wrong tries, the next one in {} s", std::chrono::ceil<seconds>(*wait).count()));
}

void StoredDirectory::failed(access::RateLimit& limit, std::string_view key) {
  const std::scoped_lock lock(mutex_);
  limit.failed(key, clock_.now());
}

Result<DeviceIdentity> StoredDirectory::authenticate(std::string_view authorization, const std::string& address) {
  // Behind one address there are many devices: one with a wrong secret slows itself down alone.
  const auto key = address.substr(0, kMaxKeyBytes) + " " + std::string(authorization.substr(0, std::min(authorization.find(':'), kMaxKeyBytes)));
  if (auto may = may_try(calls_, key); !may) return pass(may);
  auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  auto identity = server::authenticate(**mid_tier, authorization, address, clock_.wall());
  if (!identity && identity.error().code == ErrorCode::kUnauthenticated) {
    failed(calls_, key);
    log_.info("sync.device_refused", {{"address", address}});
  }
  return identity;
}

Result<std::optional<DeviceIdentity>> StoredDirectory::device(std::uint64_t id) {
  auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  return active_device(**mid_tier, id);
}

Result<EnrolReply> StoredDirectory::enrol(const EnrolRequest& request, const std::string& address) {
  const auto key = address.substr(0, kMaxKeyBytes);
  if (auto may = may_try(enrolments_, key); !may) return pass(may);
  Result<EnrolReply> reply = EnrolReply{};
  {
    auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
    if (!mid_tier) return pass(mid_tier);
    reply = server::enrol(**mid_tier, request, clock_.wall());
  }
  if (!reply) {
    if (reply.error().code == ErrorCode::kUnauthenticated) failed(enrolments_, key);
    log_.info("sync.enrolment_refused", {{"address", address}});
    return reply;
  }
  const access::AuditEntry entry{0, clock_.wall(), reply->user, "sync.device.enrol", reply->device, address};
  // The device exists by now and its code is used up: the entry's failure is logged, not the device's.
  if (auto written = access::record_audit(mid_tier_, clock_, entry); !written) log_.error("sync.audit", {{"device", reply->device}, {"error", written.error().message}});
  return reply;
}

Result<EnrolReply> StoredDirectory::split(const DeviceIdentity& device, const std::string& call, const std::string& address) {
  auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  auto reply = server::split(**mid_tier, device, call, clock_.wall());
  if (!reply) return reply;
  log_.warning("sync.device_split", {{"device", device.id}, {"into", reply->device}});
  const access::AuditEntry entry{0, clock_.wall(), device.user, "sync.device.split", fmt::format("{} -> {}", device.id, reply->device), address};
  if (auto written = access::record_audit(mid_tier_, clock_, entry); !written) log_.error("sync.audit", {{"device", reply->device}, {"error", written.error().message}});
  return reply;
}

Result<os::BoxKeys> StoredDirectory::lease_keys(const DeviceIdentity& device) {
  auto mid_tier = mid_tier_.acquire(Deadline::in(clock_, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  return server::lease_keys(**mid_tier, device.id);
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
