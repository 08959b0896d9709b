#pragma once
/// Configuration files with the line of every value, so that a refusal can name file, line and range.
/// TOML (config/verbund.toml, client.toml) and Java properties (config/P2P.properties). Any thread; values.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace verbund::os {

struct ConfigValue {
  std::variant<std::string, std::int64_t, bool, double, std::vector<std::string>> value;
  int line = 0;
};

/// A flat view: "feed.retention" → value; arrays of tables get their index: "record.0.table".
class ConfigFile {
 public:
  static Result<ConfigFile> read_toml(const std::filesystem::path& path);
  static Result<ConfigFile> parse_toml(std::string_view text, std::string name);
  /// key = value or key: value, # and ! comments, \uXXXX, line continuation. A key given twice is refused, as are a line
  /// without '=' or ':' and an unknown escape. UTF-8, or ISO 8859-1 when it is no UTF-8. Blanks at the end are cut.
  static Result<ConfigFile> read_properties(const std::filesystem::path& path);
  static Result<ConfigFile> parse_properties(std::string_view text, std::string name);

  // Everything in a properties file is text: numbers, true/yes/on/1 and false/no/off/0, lists with commas are read from it.
  // Getters mark the key as known. Wrong type or out of range: kBadConfig "FILE:LINE: KEY = VALUE: …", hint: the range;
  // a VALUE that may be a secret (by the name of its key) is not shown.
  Result<std::string> text(const std::string& key, std::string fallback);
  Result<std::int64_t> integer(const std::string& key, std::int64_t fallback, std::int64_t low, std::int64_t high);
  Result<bool> boolean(const std::string& key, bool fallback);
  Result<std::vector<std::string>> list(const std::string& key, std::vector<std::string> fallback);
  /// One of `allowed`, in any case of letters; returned as it is written there.
  Result<std::string> choice(const std::string& key, std::string fallback, const std::vector<std::string>& allowed);
  [[nodiscard]] bool has(const std::string& key) const;
  /// What stands in a table: "sync.folders" → {"plans"}.
  [[nodiscard]] std::vector<std::string> names(const std::string& table) const;
  /// Where the key stands; 0: it does not.
  [[nodiscard]] int line(const std::string& key) const;
  /// Number of tables in an array of tables.
  [[nodiscard]] std::size_t count(const std::string& array) const;
  /// Keys that no getter asked for (has and count ask, too): a typo is refused, with its line and the nearest known key.
  /// `except`: keys that begin so are left to a later reader.
  Status refuse_unknown(std::string_view except = {}) const;
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  const ConfigValue* find(const std::string& key) const;

  std::string name_;
  bool only_texts_ = false;  ///< properties
  std::map<std::string, ConfigValue> values_;
  std::map<std::string, std::size_t> arrays_;
  mutable std::map<std::string, bool> known_;
};

}  // namespace verbund::os
