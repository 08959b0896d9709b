#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mirror/journal.h"

// Whatever a disk gives back: an answer or kBadJournal, and what is accepted can be written again and read the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::mirror;
  const auto journal = parse_journal({reinterpret_cast<const char*>(data), size});
  if (!journal) return 0;
  if (journal->good_bytes > size) std::abort();
  for (const JournalEntry& entry : journal->entries) {
    const auto again = parse_line(to_line(entry));
    if (!again || again->sequence != entry.sequence || again->step != entry.step) std::abort();
  }
  return 0;
}
