#pragma once
/// Directory over the mid-tier's schema `sync`: who the devices are, which rules are in force. Any thread; blocks.
#include <memory>
#include <mutex>

#include "access/rate_limit.h"
#include "base/log.h"
#include "sync/server/directory.h"

namespace verbund::postgres {
class Pool;
}

namespace verbund::sync::server {

/// Every call asks the database, so that a revocation counts at once; the rules themselves are read again only when their version is another.
class StoredDirectory final : public Directory {
 public:
  StoredDirectory(postgres::Pool& mid_tier, const Clock& clock, Log& log) : mid_tier_(mid_tier), clock_(clock), log_(log) {}

  /// Who is wrong again and again, as one device at one address, waits longer and longer: kRateLimited. Enrolments are counted by address.
  Result<DeviceIdentity> authenticate(std::string_view authorization, const std::string& address) override;
  Result<std::optional<DeviceIdentity>> device(std::uint64_t id) override;
  /// Audited as "sync.device.enrol".
  Result<EnrolReply> enrol(const EnrolRequest& request, const std::string& address) override;
  Result<EnrolReply> split(const DeviceIdentity& device, const std::string& call, const std::string& address) override;
  Result<os::BoxKeys> lease_keys(const DeviceIdentity& device) override;
  Result<std::shared_ptr<const RulesInForce>> rules() override;

 private:
  Status may_try(access::RateLimit& limit, std::string_view key);
  void failed(access::RateLimit& limit, std::string_view key);

  static constexpr std::uint32_t kFreeTries = 20;

  postgres::Pool& mid_tier_;
  const Clock& clock_;
  Log& log_;
  std::mutex mutex_;
  access::RateLimit calls_{{.free_tries = kFreeTries}};       // mutex_
  access::RateLimit enrolments_{{.free_tries = kFreeTries}};  // mutex_
  std::uint64_t version_ = 0;                  // mutex_
  std::shared_ptr<const RulesInForce> rules_;  // mutex_: handed out to sessions, which end when they end
};

}  // namespace verbund::sync::server
