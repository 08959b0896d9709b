#include "feed/layout.h"

#include <algorithm>
#include <charconv>

#include "feed/tables.h"

namespace verbund::feed {
namespace {

constexpr std::string_view kKey = "key";

/// A line must stay one.
std::string escaped(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == '\\' || c == '\n') text.push_back('\\');
    text.push_back(c == '\n' ? 'n' : c);
  }
  return text;
}

std::string unescaped(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      name.push_back(text[++i] == 'n' ? '\n' : text[i]);
    } else {
      name.push_back(text[i]);
    }
  }
  return name;
}

/// Takes a number and the character behind it off the front.
template <typename Number>
bool take(std::string_view& text, char end, Number& number) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(rest - text.data());
  if (error != std::errc{} || length >= text.size() || *rest != end) return false;
  text.remove_prefix(length + 1);
  return true;
}

bool parse_key(std::string_view text, std::vector<int>& key) {
  while (!text.empty()) {
    int number = 0;
    const auto [rest, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
    if (text.front() != ' ' || error != std::errc{}) return false;
    key.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  }
  return true;
}

/// For each column of the table: which one of before it is; nullptr: none.
std::vector<const Layout::Column*> origins(const Layout& before, const CapturedTable& now, bool by_number) {
  std::vector<const Layout::Column*> found;
  for (const Column& column : now.columns) {
    const auto same = std::ranges::find_if(before.columns, [&](const Layout::Column& old) {
      return by_number ? old.number == column.number : old.name == column.name;
    });
    found.push_back(same == before.columns.end() ? nullptr : &*same);
  }
  return found;
}

bool same_key(const Layout& before, const CapturedTable& now, const std::vector<const Layout::Column*>& origin) {
  return std::ranges::equal(now.key, before.key, [&](std::size_t column, int number) {
    return origin[column] != nullptr && origin[column]->number == number;
  });
}

}  // namespace

const Layout::Column* Layout::named(std::string_view name) const {
  const auto found = std::ranges::find(columns, name, &Column::name);
  return found == columns.end() ? nullptr : &*found;
}

Layout layout_of(const CapturedTable& table) {
  Layout layout;
  for (const Column& column : table.columns) layout.columns.push_back({column.number, column.type, column.modifier, column.name});
  for (const std::size_t column : table.key) layout.key.push_back(table.columns[column].number);
  return layout;
}

std::string layout_text(const Layout& layout) {
  std::string text;
  for (const Layout::Column& column : layout.columns) {
    text += fmt::format("{}:{}:{}:{}\n", column.number, column.type, column.modifier, escaped(column.name));
  }
  text += kKey;
  for (const int number : layout.key) text += fmt::format(" {}", number);
  return text;
}

std::optional<Layout> parse_layout(std::string_view text) {
  Layout layout;
  for (;;) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (end == std::string_view::npos) {
      if (!line.starts_with(kKey) || !parse_key(line.substr(kKey.size()), layout.key)) return std::nullopt;
      return layout;
    }
    text.remove_prefix(end + 1);
    Layout::Column column;
    if (!take(line, ':', column.number) || !take(line, ':', column.type) || !take(line, ':', column.modifier)) return std::nullopt;
    column.name = unescaped(line);
    layout.columns.push_back(std::move(column));
  }
}

Reshaping reshape(const Layout& before, const CapturedTable& now, Evidence evidence) {
  Reshaping change;
  const auto origin = origins(before, now, evidence.same_relation);
  bool retyped = false;
  for (std::size_t i = 0; i < origin.size(); ++i) {
    if (origin[i] == nullptr) {
      change.added.push_back(i);
    } else {
      if (origin[i]->name != now.columns[i].name) change.renamed.emplace_back(origin[i]->name, now.columns[i].name);
      retyped = retyped || origin[i]->type != now.columns[i].type;
    }
  }
  for (const Layout::Column& old : before.columns) {
    if (std::ranges::none_of(origin, [&](const auto* kept) { return kept == &old; })) change.dropped.push_back(old.name);
  }
  bool ambiguous = false;
  for (std::size_t i = 0; i < origin.size(); ++i) {
    // What the log calls by a name that another column had before could be either of the two.
    const bool is_new_name = origin[i] == nullptr || origin[i]->name != now.columns[i].name;
    ambiguous = ambiguous || (is_new_name && before.named(now.columns[i].name) != nullptr);
  }
  if (!same_key(before, now, origin)) {
    change.kind = Reshaping::Kind::kRekey;
  } else if (!evidence.same_relation || !evidence.same_files || retyped || ambiguous) {
    change.kind = Reshaping::Kind::kReread;
  } else if (change.changes_columns()) {
    change.kind = Reshaping::Kind::kFollow;
  }
  return change;
}

}  // namespace verbund::feed
