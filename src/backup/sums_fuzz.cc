/// What a medium may hold as SHA256SUMS: what is taken is exactly what would be written.
#include <cstdint>
#include <cstdlib>

#include "backup/names.h"
#include "backup/sums.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::backup;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!check_name(portable_part(text))) std::abort();
  const auto sums = read_sums(text);
  if (sums && sums_text(*sums) != text) std::abort();
  return 0;
}
