#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sync/model/rules.h"

// A file of rules from anybody, and its filters alone: rules or kBadConfig. What is accepted is looked through, and is the same after it was written and read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund;
  using namespace verbund::sync;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto filter = parse_filter(text)) {
    const auto again = parse_filter(to_string(*filter));
    if (!again || *again != *filter) std::abort();
  } else if (filter.error().code != ErrorCode::kBadConfig) {
    std::abort();
  }
  const auto rules = read_rules(text, "fuzz.toml");
  if (!rules) {
    if (rules.error().code != ErrorCode::kBadConfig) std::abort();
    return 0;
  }
  for (const auto& fault : faults_of(*rules)) {
    if (fault.english().empty()) std::abort();
  }
  const auto again = read_rules(write_rules(*rules), "again.toml");
  if (!again || *again != *rules) std::abort();
  if (!difference(*rules, *again).empty()) std::abort();
  return 0;
}
