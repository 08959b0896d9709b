/// Dates and numbers as people write them.
#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "importer/csv/mapping.h"

namespace verbund::importer::csv {
namespace {

/// What a letter of a pattern stands for; 0: itself.
char part_of(char letter) {
  switch (letter) {
    case 'D': case 'T': return 'D';
    case 'Y': case 'J': return 'Y';
    case 'M': case 'h': case 'm': case 's': return letter;
    default: return 0;
  }
}

struct Step {
  char part = 0;  ///< 0: `literal` must stand here
  char literal = 0;
  std::size_t width = 0;
};

std::vector<Step> steps_of(std::string_view pattern) {
  std::vector<Step> out;
  for (std::size_t at = 0; at < pattern.size();) {
    const char part = part_of(pattern[at]);
    if (part == 0) {
      out.push_back({0, pattern[at++], 1});
      continue;
    }
    const char letter = pattern[at];
    std::size_t width = 0;
    while (at < pattern.size() && pattern[at] == letter) ++at, ++width;
    out.push_back({part, 0, width});
  }
  return out;
}

/// Takes a number of `width` digits; one digit in the pattern takes one or two.
std::optional<int> take_number(std::string_view& text, std::size_t width) {
  const std::size_t least = width, most = width == 1 ? 2 : width;
  int value = 0;
  std::size_t taken = 0;
  while (taken < most && taken < text.size() && text[taken] >= '0' && text[taken] <= '9') value = value * 10 + (text[taken++] - '0');
  if (taken < least) return std::nullopt;
  text.remove_prefix(taken);
  return value;
}

struct Moment {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;

  bool set(char part, int value, std::size_t width) {
    constexpr int kFirstShortYear = 30;  // "29" is 2029, "30" is 1930
    switch (part) {
      case 'Y': year = width == 2 ? value + (value < kFirstShortYear ? 2000 : 1900) : value; break;
      case 'M': month = value; break;
      case 'D': day = value; break;
      case 'h': hour = value; break;
      case 'm': minute = value; break;
      default: second = value;
    }
    return true;
  }
  [[nodiscard]] bool valid() const {
    const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    return year > 0 && date.ok() && hour < 24 && minute < 60 && second < 60;
  }
};

}  // namespace

bool is_date_pattern(std::string_view pattern) {
  std::string seen;
  for (const auto& step : steps_of(pattern)) {
    if (step.part == 0) continue;
    if (seen.find(step.part) != std::string::npos) return false;
    if (step.part == 'Y' ? step.width != 2 && step.width != 4 : step.width > 2) return false;
    seen += step.part;
  }
  return std::all_of(std::begin("YMD"), std::end("YMD") - 1, [&](char part) { return seen.find(part) != std::string::npos; });
}

std::optional<std::string> convert_date(std::string_view text, std::string_view pattern) {
  Moment moment;
  bool clock = false;
  for (const auto& step : steps_of(pattern)) {
    if (step.part == 0) {
      if (text.empty() || text.front() != step.literal) return std::nullopt;
      text.remove_prefix(1);
      continue;
    }
    const auto value = take_number(text, step.width);
    if (!value) return std::nullopt;
    moment.set(step.part, *value, step.width);
    clock = clock || step.part == 'h' || step.part == 'm' || step.part == 's';
  }
  if (!text.empty() || !moment.valid()) return std::nullopt;
  const auto date = fmt::format("{:04}-{:02}-{:02}", moment.year, moment.month, moment.day);
  return clock ? fmt::format("{} {:02}:{:02}:{:02}", date, moment.hour, moment.minute, moment.second) : date;
}

std::optional<std::string> convert_number(std::string_view text, char decimal) {
  const char group = decimal == ',' ? '.' : ',';
  std::string out;
  bool point = false;
  std::optional<std::size_t> digits_since_group;
  std::size_t digits = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c >= '0' && c <= '9') {
      ++digits;
      if (digits_since_group) ++*digits_since_group;
      out += c;
    } else if ((c == '-' || c == '+') && at == 0) {
      if (c == '-') out += c;
    } else if (c == decimal && !point) {
      if (digits_since_group && *digits_since_group != 3) return std::nullopt;
      digits_since_group.reset();
      point = true;
      out += '.';
    } else if (c == group && !point && digits > 0 && (digits_since_group ? *digits_since_group == 3 : digits <= 3)) {
      digits_since_group = 0;  // groups of three, else "1.5" would silently be fifteen
    } else {
      return std::nullopt;
    }
  }
  if (digits == 0 || (digits_since_group && *digits_since_group != 3)) return std::nullopt;
  if (out.back() == '.') out.pop_back();
  return out;
}

}  // namespace verbund::importer::csv
