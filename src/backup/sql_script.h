#pragma once
/// SQL as pg_restore writes it, cut into its statements: what a restore needs to know before it begins. Pure, any thread.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace verbund::backup {

struct SqlToken {
  enum class Kind { kWord, kQuoted, kString, kOther } kind = Kind::kOther;
  std::string text;             ///< of an identifier or string: without its quotes
  std::size_t begin = 0, end = 0;  ///< in Statement::text

  [[nodiscard]] bool is(std::string_view word) const { return kind == Kind::kWord && text == word; }
  [[nodiscard]] bool identifier() const { return kind == Kind::kWord || kind == Kind::kQuoted; }
};

struct SqlStatement {
  std::string_view text;        ///< from its first word to its last; no ';'
  std::vector<SqlToken> tokens;

  /// The words at the start.
  [[nodiscard]] bool starts(std::initializer_list<std::string_view> words) const;
};

/// Comments and psql's own lines (\connect) are passed over; strings, dollar quotes and quoted names are never looked into.
void for_each_statement(std::string_view script, const std::function<void(const SqlStatement&)>& found);

/// What a schema script asks of the server and of the database as a whole.
struct ScriptNeeds {
  std::vector<std::string> roles, tablespaces;  ///< each once, sorted
  std::string database;                         ///< name in CREATE DATABASE; empty: there is none
  std::string create;                           ///< CREATE DATABASE with the name cut out: "CREATE DATABASE {} WITH …"
  /// Owner, settings, rights, comment of the database; "{}" stands where its name stood, other braces are doubled.
  std::vector<std::string> properties;
};
ScriptNeeds read_needs(std::string_view script);

}  // namespace verbund::backup
