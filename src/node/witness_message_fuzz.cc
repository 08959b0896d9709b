// What a witness is asked, and what it answers: never a crash, and what is taken is said again as it was heard.
#include <cstdlib>

#include "node/mirror/report.h"
#include "node/mirror/witness_place.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund;
  const auto object = node::object_of(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!object) return 0;
  if (const auto call = node::witness_call_from(*object)) {
    const auto again = node::witness_call_from(node::to_json(*call));
    if (!again || again->sequence != call->sequence || again->lease != call->lease) std::abort();
  }
  if (const auto answer = node::witness_answer_from(*object)) {
    if (!node::witness_answer_from(node::to_json(*answer))) std::abort();
  }
  if (const auto place = node::witness_place_from(*object)) {
    if (!node::witness_place_from(node::to_json(*place))) std::abort();
  }
  return 0;
}
