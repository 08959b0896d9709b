#pragma once
/// What Patroni's REST interface says of a cluster: read strictly and bounded, since it comes from other machines. Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::mirror {

inline constexpr std::size_t kMaxPatroniBytes = 256UL * 1024;  ///< of an answer; 64 members take 16 KiB
inline constexpr std::size_t kMaxPatroniMembers = 64;
inline constexpr std::size_t kMaxPatroniNameBytes = 200;

struct PatroniMember {
  std::string name;
  std::string role;   ///< as Patroni says it: "leader", "replica", "sync_standby", "standby_leader", …
  std::string state;  ///< "running", "streaming", "starting", "stopped", …
  std::string host;   ///< of its PostgreSQL; empty: not said
  std::uint16_t port = 0;
  std::uint32_t timeline = 0;              ///< 0: not said (it does not run)
  std::optional<std::uint64_t> lag_bytes;  ///< behind the leader; none: not known, or it leads
  bool switches = true;                    ///< false: tagged nofailover, it never leads
  [[nodiscard]] bool leads() const { return role == "leader" || role == "master" || role == "primary"; }
  [[nodiscard]] bool runs() const { return state == "running" || state == "streaming" || state == "in archive recovery"; }
};

/// GET /cluster
struct PatroniView {
  std::vector<PatroniMember> members;
  std::string scope;      ///< the cluster's name; empty: this version does not say it here
  bool paused = false;    ///< Patroni leaves everything as it is
  std::string scheduled;  ///< a switchover that is still to come: "AT", and from and to where they are fixed
  [[nodiscard]] const PatroniMember* leader() const;  ///< nullptr: there is none
  [[nodiscard]] const PatroniMember* find(std::string_view name) const;
};
/// Errors: kBadMessage (no JSON object, a field of the wrong type, too many members, two leaders, names that no person can read).
Result<PatroniView> parse_patroni_cluster(std::string_view text);

/// GET /patroni: one member of itself.
struct PatroniOwn {
  std::string scope, version;
  std::string system_id;  ///< empty: PostgreSQL has not been initialised
};
Result<PatroniOwn> parse_patroni_member(std::string_view text);

struct PatroniAddress {
  std::string host;
  std::uint16_t port = 8008;
  bool tls = false;
};
/// "http://HOST:PORT", "https://[::1]:8008/"; no path, no user. Errors: kBadConfig.
Result<PatroniAddress> parse_patroni_address(std::string_view text);

/// Why Patroni would refuse, or should: no leader, `to` unknown, leading already, not running, excluded, or nobody to go to. `to` empty: any
/// member that follows. Errors: kNotFound, kUnavailable, kUsage, kUnsupported.
Result<const PatroniMember*> switchover_target(const PatroniView& view, std::string_view to);

}  // namespace verbund::mirror
