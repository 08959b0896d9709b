#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mirror/patroni.h"

// Whatever a machine answers in Patroni's place: a view that keeps its bounds, or a refusal.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::mirror;
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 3) == 1) {
    (void)parse_patroni_member(text);
    return 0;
  }
  if ((data[0] & 3) == 2) {
    const auto address = parse_patroni_address(text);
    if (address && (address->host.empty() || address->port == 0)) std::abort();
    return 0;
  }
  const auto view = parse_patroni_cluster(text);
  if (!view) {
    if (view.error().code != verbund::ErrorCode::kBadMessage) std::abort();
    return 0;
  }
  if (view->members.size() > kMaxPatroniMembers) std::abort();
  for (const auto& member : view->members) {
    if (member.name.empty() || member.name.size() > kMaxPatroniNameBytes || view->find(member.name) != &member) std::abort();
  }
  const auto target = switchover_target(*view, {});
  if (target && (*target == view->leader() || !(*target)->runs())) std::abort();
  return 0;
}
