// The getters of ConfigFile. Parsers: toml_view.cc, properties.cc.
#include "platform/os/config_file.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::os {
namespace {

constexpr std::size_t kMaxFileBytes = 1024 * 1024;
constexpr std::size_t kMaxShownBytes = 80;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

/// Messages end up in logs: what may be a secret is not repeated in them.
bool secret(const std::string& key) {
  const std::string name = lower(key);
  for (const std::string_view word : {"password", "secret", "token", "passphrase", "private"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

std::string shown(const std::string& key, const ConfigValue& value) {
  if (secret(key)) return "…";
  struct Visitor {
    std::string operator()(const std::string& text) const {
      if (text.size() <= kMaxShownBytes) return text;
      std::size_t end = kMaxShownBytes;
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a character
      return fmt::format("{}…", std::string_view(text).substr(0, end));
    }
    std::string operator()(std::int64_t number) const { return fmt::to_string(number); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(double number) const { return fmt::to_string(number); }
    std::string operator()(const std::vector<std::string>& list) const { return fmt::format("a list of {}", list.size()); }
  };
  return std::visit(Visitor{}, value.value);
}

std::unexpected<Error> refuse(const std::string& file, const std::string& key, const ConfigValue& value,
                              Phrase cause, Phrase hint) {
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: {} = {}: {}", file, value.line, key, shown(key, value), cause),
              std::move(hint));
}

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

/// Levenshtein's distance: letters to insert, remove or replace.
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= left.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t replaced = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

/// The part before the first index: "recrod" of "recrod.0.table".
std::string_view array_part(std::string_view key) {
  for (std::size_t dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.', dot + 1)) {
    if (dot + 1 < key.size() && key[dot + 1] >= '0' && key[dot + 1] <= '9') return key.substr(0, dot);
  }
  return key;
}

std::string nearest(const std::string& key, const std::map<std::string, bool>& known) {
  if (key.size() > 200) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, key.size() / 3) + 1;
  for (const auto& [candidate, asked] : known) {
    const std::size_t apart = std::min(distance(lower(key), lower(candidate)),
                                       distance(lower(array_part(key)), lower(candidate)));
    if (apart < best_distance) {
      best = candidate;
      best_distance = apart;
    }
  }
  return best;
}

}  // namespace

Result<ConfigFile> ConfigFile::read_toml(const std::filesystem::path& path) {
  auto text = read_file(path, kMaxFileBytes);
  if (!text) return pass(text, "read configuration");
  return parse_toml(*text, path.native());
}

Result<ConfigFile> ConfigFile::read_properties(const std::filesystem::path& path) {
  auto text = read_file(path, kMaxFileBytes);
  if (!text) return pass(text, "read configuration");
  return parse_properties(*text, path.native());
}

const ConfigValue* ConfigFile::find(const std::string& key) const {
  known_[key] = true;
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

Result<std::string> ConfigFile::text(const std::string& key, std::string fallback) {
  const ConfigValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* text = std::get_if<std::string>(&value->value)) return *text;
  return refuse(name_, key, *value, phrase("not a text"), phrase("Write the value in quotes."));
}

Result<std::int64_t> ConfigFile::integer(const std::string& key, std::int64_t fallback, std::int64_t low,
                                         std::int64_t high) {
  const ConfigValue* value = find(key);
  if (value == nullptr) return fallback;
  const Phrase range = phrase("A whole number from {} to {}.", low, high);
  std::optional<std::int64_t> number;
  if (const auto* given = std::get_if<std::int64_t>(&value->value)) number = *given;
  if (const auto* text = std::get_if<std::string>(&value->value); text != nullptr && only_texts_) number = number_in(*text);
  if (!number) return refuse(name_, key, *value, phrase("not a whole number"), range);
  if (*number < low || *number > high) return refuse(name_, key, *value, phrase("out of range"), range);
  return *number;
}

Result<bool> ConfigFile::boolean(const std::string& key, bool fallback) {
  const ConfigValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* flag = std::get_if<bool>(&value->value)) return *flag;
  if (const auto* text = std::get_if<std::string>(&value->value); text != nullptr && only_texts_) {
    const std::string word = lower(*text);
    if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
    if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  }
  return refuse(name_, key, *value, phrase("neither true nor false"), phrase("true or false"));
}

Result<std::vector<std::string>> ConfigFile::list(const std::string& key, std::vector<std::string> fallback) {
  const ConfigValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* list = std::get_if<std::vector<std::string>>(&value->value)) return *list;
  if (const auto* text = std::get_if<std::string>(&value->value); text != nullptr && only_texts_) return split_list(*text);
  return refuse(name_, key, *value, phrase("not a list of texts"), phrase("Write: {}", R"(["first", "second"])"));
}

Result<std::string> ConfigFile::choice(const std::string& key, std::string fallback,
                                       const std::vector<std::string>& allowed) {
  const ConfigValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* text = std::get_if<std::string>(&value->value)) {
    for (const std::string& word : allowed) {
      if (lower(word) == lower(*text)) return word;
    }
  }
  return refuse(name_, key, *value, phrase("not one of the choices"), phrase("One of: {}.", fmt::format("{}", fmt::join(allowed, ", "))));
}

bool ConfigFile::has(const std::string& key) const { return find(key) != nullptr || arrays_.contains(key); }

std::vector<std::string> ConfigFile::names(const std::string& table) const {
  const auto prefix = table + ".";
  std::vector<std::string> names;
  for (auto at = values_.lower_bound(prefix); at != values_.end() && at->first.starts_with(prefix); ++at) names.push_back(at->first.substr(prefix.size()));
  return names;
}

int ConfigFile::line(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? 0 : found->second.line;
}

std::size_t ConfigFile::count(const std::string& array) const {
  known_[array] = true;
  const auto found = arrays_.find(array);
  return found == arrays_.end() ? 0 : found->second;
}

Status ConfigFile::refuse_unknown(std::string_view except) const {
  const ConfigValue* first = nullptr;
  const std::string* first_key = nullptr;
  for (const auto& [key, value] : values_) {
    if (known_.contains(key) || (!except.empty() && key.starts_with(except)) || (first != nullptr && first->line <= value.line)) continue;
    first = &value;
    first_key = &key;
  }
  if (first == nullptr) return {};
  const std::string proposal = nearest(*first_key, known_);
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: no such setting", name_, first->line, *first_key),
              proposal.empty() ? Phrase() : phrase("Did you mean {}?", proposal));
}

}  // namespace verbund::os
