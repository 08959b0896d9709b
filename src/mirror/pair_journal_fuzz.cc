#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mirror/crc.h"
#include "mirror/pair_journal.h"

// Whatever a disk gives back as a line: an entry or kBadJournal, and what is accepted is written again as it was read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::mirror;
  if (size < 1) return 0;
  std::string line(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) line = with_crc(line);  // no fuzzer guesses a CRC
  const auto entry = parse_pair_line(line);
  if (!entry) {
    if (entry.error().code != verbund::ErrorCode::kBadJournal) std::abort();
    return 0;
  }
  const auto text = to_line(*entry);
  const auto again = parse_pair_line(text);
  if (!again || to_line(*again) != text) std::abort();
  return 0;
}
