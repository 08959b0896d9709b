// "PATTERN\nPATH": whatever is written, a verdict or kBadConfig; a set covers what lies beneath what it covers.
#include <cstdlib>

#include "backup/path_lists.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace verbund::backup;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const std::size_t cut = std::min(text.find('\n'), size);
  const std::string_view path = text.substr(std::min(cut + 1, size));
  const std::vector<ListEntry> entries{{std::string(text.substr(0, cut)), false, {}}};
  for (const auto letter_case : {LetterCase::kExact, LetterCase::kIgnored}) {
    const auto set = PathSet::compile(entries, "1", letter_case);
    if (!set) {
      if (set.error().code != verbund::ErrorCode::kBadConfig) std::abort();
      return 0;
    }
    const auto verdict = set->judge(path);
    if (verdict.covered && !set->judge(std::string(path) + "/x").covered) std::abort();
    if (verdict.covered && !verdict.leads) std::abort();
  }
  (void)version_matches(path, text.substr(0, cut));
  return 0;
}
