#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "node/mirror/lost.h"
#include "node/mirror/pair_message.h"

// What another machine may say: a message or kBadMessage, and what is accepted is said again as it was heard. And what pg_waldump may print.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::node;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)lost_in(text);
  (void)fork_of(text, 1);
  const auto message = parse_pair_message(text);
  if (!message) {
    if (message.error().code != verbund::ErrorCode::kBadMessage) std::abort();
    return 0;
  }
  const auto said = to_text(*message);
  const auto again = parse_pair_message(said);
  if (!again || to_text(*again) != said) std::abort();
  return 0;
}
