#include "backup/sql_script.h"

#include <set>

namespace verbund::backup {
namespace {

bool word_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }
bool word_part(char c) { return word_start(c) || (c >= '0' && c <= '9') || c == '$'; }

/// Cuts one statement after the other.
class Scanner {
 public:
  Scanner(std::string_view script, const std::function<void(const SqlStatement&)>& found) : script_(script), found_(found) {}

  void run() {
    while (at_ < script_.size()) step();
    end_statement();
  }

 private:
  void step() {
    const char c = script_[at_];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (script_.substr(at_).starts_with("--") || (c == '\\' && tokens_.empty())) {
      at_ = std::min(script_.find('\n', at_), script_.size());
    } else if (c == ';') {
      end_statement();
      ++at_;
    } else if (c == '"') {
      quoted('"', SqlToken::Kind::kQuoted, false);
    } else if (c == '\'') {
      quoted('\'', SqlToken::Kind::kString, !tokens_.empty() && tokens_.back().is("E") && begin_ + tokens_.back().end == at_);
    } else if (c == '$' && dollar_quoted()) {
    } else if (word_start(c)) {
      word();
    } else {
      add(SqlToken::Kind::kOther, std::string(1, c), at_ + 1);
    }
  }

  void add(SqlToken::Kind kind, std::string text, std::size_t end) {
    if (tokens_.empty()) begin_ = at_;
    tokens_.push_back({kind, std::move(text), at_ - begin_, end - begin_});
    at_ = end;
  }

  void word() {
    std::size_t end = at_;
    while (end < script_.size() && word_part(script_[end])) ++end;
    add(SqlToken::Kind::kWord, std::string(script_.substr(at_, end - at_)), end);
  }

  void quoted(char quote, SqlToken::Kind kind, bool backslashes) {
    std::string text;
    std::size_t end = at_ + 1;
    for (; end < script_.size(); ++end) {
      if (backslashes && script_[end] == '\\' && end + 1 < script_.size()) {
        ++end;
      } else if (script_[end] == quote) {
        if (end + 1 >= script_.size() || script_[end + 1] != quote) break;
        ++end;
      }
      text += script_[end];
    }
    add(kind, std::move(text), std::min(end + 1, script_.size()));
  }

  bool dollar_quoted() {
    std::size_t end = at_ + 1;
    while (end < script_.size() && script_[end] != '$' && word_part(script_[end])) ++end;
    if (end >= script_.size() || script_[end] != '$') return false;
    const auto tag = script_.substr(at_, end + 1 - at_);
    const auto close = script_.find(tag, end + 1);
    add(SqlToken::Kind::kString, {}, close == std::string_view::npos ? script_.size() : close + tag.size());
    return true;
  }

  void end_statement() {
    if (tokens_.empty()) return;
    found_({script_.substr(begin_, tokens_.back().end), tokens_});
    tokens_.clear();
  }

  const std::string_view script_;
  const std::function<void(const SqlStatement&)>& found_;
  std::size_t at_ = 0, begin_ = 0;
  std::vector<SqlToken> tokens_;
};

std::string doubled_braces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '{' || c == '}') out += c;
  }
  return out;
}

class Needs {
 public:
  void take(const SqlStatement& statement) {
    roles_of(statement);
    tablespaces_of(statement);
    note_authorization(statement);
    if (statement.starts({"CREATE", "DATABASE"}) && statement.tokens.size() > 2) {
      needs_.database = statement.tokens[2].text;
      needs_.create = without_name(statement, 2);
    } else if (const auto name = name_of_database(statement)) {
      keep(without_name(statement, *name));
    }
  }

  ScriptNeeds done() && {
    needs_.roles.assign(roles_.begin(), roles_.end());
    needs_.tablespaces.assign(tablespaces_.begin(), tablespaces_.end());
    return std::move(needs_);
  }

 private:
  void role(const SqlStatement& statement, std::size_t index) {
    if (index >= statement.tokens.size()) return;
    const SqlToken& token = statement.tokens[index];
    if (!token.identifier() && token.kind != SqlToken::Kind::kString) return;
    for (const auto nobody : {"PUBLIC", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER", "DEFAULT"}) {
      if (token.is(nobody)) return;
    }
    roles_.insert(token.text);
  }

  /// Places of an unquoted word outside of parentheses.
  static std::vector<std::size_t> places(const SqlStatement& statement, std::string_view word) {
    std::vector<std::size_t> found;
    int depth = 0;
    for (std::size_t i = 0; i < statement.tokens.size(); ++i) {
      const SqlToken& token = statement.tokens[i];
      if (token.kind == SqlToken::Kind::kOther) depth += token.text == "(" ? 1 : token.text == ")" ? -1 : 0;
      if (depth == 0 && token.is(word)) found.push_back(i);
    }
    return found;
  }

  void roles_of(const SqlStatement& statement) {
    const auto& tokens = statement.tokens;
    for (const std::size_t place : places(statement, "OWNER")) {
      if (place + 1 < tokens.size() && tokens[place + 1].is("TO")) role(statement, place + 2);
    }
    const bool defaults = statement.starts({"ALTER", "DEFAULT", "PRIVILEGES"});
    if (defaults || statement.starts({"GRANT"})) {
      if (const auto to = places(statement, "TO"); !to.empty()) role(statement, to.back() + 1);
    }
    if (defaults || statement.starts({"REVOKE"})) {
      if (const auto from = places(statement, "FROM"); !from.empty()) role(statement, from.back() + 1);
    }
    if (defaults && tokens.size() > 5 && tokens[3].is("FOR")) role(statement, 5);
    if (statement.starts({"SET", "SESSION", "AUTHORIZATION"})) role(statement, 3);
    if (statement.starts({"CREATE", "USER", "MAPPING", "FOR"})) role(statement, 4);
    if (statement.starts({"ALTER", "ROLE"}) && tokens.size() > 3 && tokens[3].is("IN")) role(statement, 2);
    if (statement.starts({"CREATE", "POLICY"})) roles_of_policy(statement);
  }

  void roles_of_policy(const SqlStatement& statement) {
    const auto to = places(statement, "TO");
    for (std::size_t i = to.empty() ? statement.tokens.size() : to.front() + 1; i < statement.tokens.size(); ++i) {
      const SqlToken& token = statement.tokens[i];
      if (token.is("USING") || token.is("WITH")) return;
      role(statement, i);
    }
  }

  void tablespaces_of(const SqlStatement& statement) {
    const auto& tokens = statement.tokens;
    if (statement.starts({"SET", "default_tablespace"}) && tokens.size() > 3 && !tokens[3].text.empty()) tablespaces_.insert(tokens[3].text);
    if (!statement.starts({"CREATE", "DATABASE"})) return;
    for (const std::size_t place : places(statement, "TABLESPACE")) {
      if (place + 2 < tokens.size()) tablespaces_.insert(tokens[place + 2].text);
    }
  }

  void note_authorization(const SqlStatement& statement) {
    if (statement.starts({"SET", "SESSION", "AUTHORIZATION"})) {
      authorization_ = statement.tokens.size() > 3 && statement.tokens[3].is("DEFAULT") ? std::string() : doubled_braces(statement.text);
    }
    if (statement.starts({"RESET", "SESSION", "AUTHORIZATION"})) authorization_.clear();
  }

  /// Where the statement names the archived database as what it is about.
  [[nodiscard]] std::optional<std::size_t> name_of_database(const SqlStatement& statement) const {
    const bool about = statement.starts({"ALTER", "DATABASE"}) || statement.starts({"ALTER", "ROLE"}) || statement.starts({"GRANT"}) ||
                       statement.starts({"REVOKE"}) || statement.starts({"COMMENT", "ON", "DATABASE"}) || statement.starts({"SECURITY", "LABEL"});
    if (!about || needs_.database.empty()) return std::nullopt;
    for (std::size_t i = 0; i + 1 < statement.tokens.size(); ++i) {
      if (statement.tokens[i].is("DATABASE") && statement.tokens[i + 1].identifier() && statement.tokens[i + 1].text == needs_.database) return i + 1;
    }
    return std::nullopt;
  }

  static std::string without_name(const SqlStatement& statement, std::size_t token) {
    const SqlToken& name = statement.tokens[token];
    return doubled_braces(statement.text.substr(0, name.begin)) + "{}" + doubled_braces(statement.text.substr(name.end));
  }

  /// A right that somebody else than the owner has granted is granted by him again.
  void keep(std::string statement) {
    if (!authorization_.empty()) needs_.properties.push_back(authorization_);
    needs_.properties.push_back(std::move(statement));
    if (!authorization_.empty()) needs_.properties.emplace_back("RESET SESSION AUTHORIZATION");
  }

  ScriptNeeds needs_;
  std::set<std::string> roles_, tablespaces_;
  std::string authorization_;
};

}  // namespace

bool SqlStatement::starts(std::initializer_list<std::string_view> words) const {
  if (tokens.size() < words.size()) return false;
  return std::ranges::equal(words, std::span(tokens).first(words.size()), [](std::string_view word, const SqlToken& token) { return token.is(word); });
}

void for_each_statement(std::string_view script, const std::function<void(const SqlStatement&)>& found) { Scanner(script, found).run(); }

ScriptNeeds read_needs(std::string_view script) {
  Needs needs;
  for_each_statement(script, [&](const SqlStatement& statement) { needs.take(statement); });
  return std::move(needs).done();
}

}  // namespace verbund::backup
