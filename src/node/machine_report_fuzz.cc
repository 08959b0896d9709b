#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "node/mirror/machine_report.h"
#include "node/mirror/report.h"

// What the other machine may say of itself: facts or kBadMessage. What is accepted is compared with itself and with a machine that has said nothing,
// shown, and said again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund;
  const WallTime now{microseconds{1'790'000'000'000'000}};
  const auto object = node::object_of({reinterpret_cast<const char*>(data), size});
  if (!object) return 0;
  (void)node::finding_from(*object);
  const auto facts = node::machine_from(*object, now);
  if (!facts) {
    if (facts.error().code != ErrorCode::kBadMessage) std::abort();
    return 0;
  }
  for (const auto& finding : mirror::compare(&*facts, &*facts, now)) {
    if (mirror::text_of(finding).english().empty() || mirror::hint_of(finding).english().empty()) std::abort();
  }
  (void)node::to_json(mirror::compare(&*facts, nullptr, now));
  (void)node::to_json(*facts, now);
  auto again = node::machine_from(node::to_message(*facts, now), now);
  if (!again || again->options != facts->options || again->server.has_value() != facts->server.has_value()) std::abort();
  return 0;
}
