#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mirror/crc.h"
#include "mirror/journal.h"

namespace {

/// No fuzzer guesses a CRC: it writes lines, and they get theirs.
std::string with_crcs(std::string_view text) {
  std::string whole;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    whole += verbund::mirror::with_crc(text.substr(0, end));
    if (end < text.size()) whole += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return whole;
}

}  // namespace

// Whatever a disk gives back: an answer or kBadJournal, and what is accepted can be written again and read the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::mirror;
  if (size < 1) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) text = with_crcs(text);
  const auto journal = parse_journal(text);
  if (!journal) {
    if (journal.error().code != verbund::ErrorCode::kBadJournal) std::abort();
    return 0;
  }
  if (journal->good_bytes > text.size()) std::abort();
  for (const JournalEntry& entry : journal->entries) {
    const auto again = parse_line(to_line(entry));
    if (!again || again->sequence != entry.sequence || again->time != entry.time || again->step != entry.step ||
        again->phase != entry.phase) {
      std::abort();
    }
  }
  return 0;
}
