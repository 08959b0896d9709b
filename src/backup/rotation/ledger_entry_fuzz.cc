// A line of the ledger: read or refused; what is read is written the same again, and a book takes it or stays as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "backup/rotation/book.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::backup;
  Book book;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto entry = entry_of(line);
    if (!entry) continue;
    const auto text = json_of(*entry);
    const auto again = entry_of(text);
    if (!again || json_of(*again) != text) std::abort();
    const auto before = book.next_sequence();
    const bool taken = book.enter(*entry).has_value();
    if (book.next_sequence() != before + (taken ? 1 : 0)) std::abort();
  }
  return 0;
}
