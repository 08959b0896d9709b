#include "backup/sums.h"

#include <set>

#include "backup/digest.h"
#include "backup/names.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kHashDigits = 64;
constexpr std::string_view kBetween = "  ";  // two blanks: read as binary

Result<Sum> read_line(std::string_view line) {
  const std::size_t head = kHashDigits + kBetween.size();
  if (line.size() <= head || line.substr(kHashDigits, kBetween.size()) != kBetween || !is_sha256_hex(line.substr(0, kHashDigits))) {
    return fail(ErrorCode::kDamaged, phrase("not of the form HASH  NAME"));
  }
  Sum sum{std::string(line.substr(head)), std::string(line.substr(0, kHashDigits))};
  if (auto good = check_name(sum.name); !good) return pass(good);
  return sum;
}

}  // namespace

std::string sums_text(std::vector<Sum> sums) {
  std::ranges::sort(sums, {}, &Sum::name);
  std::string text;
  for (const Sum& sum : sums) text += fmt::format("{}{}{}\n", sum.hash, kBetween, sum.name);
  return text;
}

Result<std::vector<Sum>> read_sums(std::string_view text) {
  std::vector<Sum> sums;
  std::set<std::string> names;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    auto sum = end == std::string_view::npos ? Result<Sum>(fail(ErrorCode::kDamaged, phrase("its end is missing")))
                                             : read_line(text.substr(0, end));
    if (sum && !sums.empty() && sum->name <= sums.back().name) sum = fail(ErrorCode::kDamaged, phrase("not in order"));
    if (sum && !names.insert(folded(sum->name)).second) sum = fail(ErrorCode::kDamaged, phrase("a name stands there twice"));
    if (!sum) return pass(sum, phrase("{}, line {}", kSumsName, number));
    sums.push_back(std::move(*sum));
    text.remove_prefix(end + 1);
  }
  if (sums.empty()) return fail(ErrorCode::kDamaged, phrase("{} is empty", kSumsName));
  return sums;
}

}  // namespace verbund::backup
