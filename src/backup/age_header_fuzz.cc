/// The head of a sealed file: an answer, and nobody's key opens what was not made for it.
#include <cstdint>
#include <cstdlib>

#include "backup/age.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::backup;
  static const RecipientKey key = RecipientKey::generate("", {});
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto header = read_age_header(text);
  if (!header) return 0;
  if (header->bytes > size || !text.starts_with(header->covered) || !age_header_is_whole(text)) std::abort();
  if (header->open(key)) std::abort();
  return 0;
}
