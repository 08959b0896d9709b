// Lists of records: pages and chosen ones.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/postgres/arrays.h"
#include "records/key_text.h"
#include "records/statements.h"

namespace verbund::records {
namespace {

using postgres::Connection;
using postgres::Parameter;
using postgres::Rows;

std::string to_hex(std::string_view text) {
  std::string hex;
  for (const char c : text) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

/// Branch, label and key of the row after which to go on. Errors: kBadMessage.
Result<std::vector<std::string>> read_after(const std::string& hex, const RecordType& type) {
  const auto refuse = [] { return fail(ErrorCode::kBadMessage, phrase("list records: 'after' is not from an earlier page")); };
  if (hex.size() % 2 != 0) return refuse();
  std::string text;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
    if (error != std::errc() || end != hex.data() + i + 2 || value == 0) return refuse();
    text += static_cast<char>(value);
  }
  auto parts = split_key(text);
  if (!parts || parts->size() != type.key.size() + 2) return refuse();
  return parts;
}

/// "31.12.1974" as the database writes it; absent: no date.
std::optional<std::string> iso_date(const std::string& word) {
  std::array<unsigned, 3> numbers{};
  const char* at = word.data();
  const char* const end = at + word.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto [next, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc() || (i < 2 && (next == end || *next != '.'))) return std::nullopt;
    at = i < 2 ? next + 1 : next;
  }
  const auto [day, month, year] = numbers;
  if (at != end || day > 31 || month > 12 || year < 1000 || year > 9999) return std::nullopt;
  return fmt::format("{:04}-{:02}-{:02}", year, month, day);
}

std::vector<std::string> words_of(const std::string& search) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : search + ' ') {
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != ',' && c != '\0') {
      word += c;
    } else if (!word.empty()) {
      if (words.size() < kMaxSearchWords) words.push_back(iso_date(word).value_or(word));
      word.clear();
    }
  }
  return words;
}

/// A condition for each word, over column f: as typed, or in the folded spelling. Both, because folding a part of a word
/// may see less than folding the whole ("el" of "Michael", folded "michal"). strpos knows no wildcards.
std::string search_condition(const std::vector<std::string>& words, std::vector<Parameter>& parameters) {
  std::string sql;
  for (const auto& word : words) {
    parameters.emplace_back(word);
    const auto typed = fmt::format("${}::text", parameters.size());
    sql += fmt::format(" AND (strpos(lower(f COLLATE \"C\"), lower({0} COLLATE \"C\")) > 0 OR strpos({1}, {2}) > 0)", typed,
                       folded("f"), folded(typed));
  }
  return sql;
}

/// Rows of k1, k2, …, l, g.
ListedRecord record_at(const Rows& rows, int row, const RecordType& type) {
  std::vector<std::string> parts;
  const int keys = static_cast<int>(type.key.size());
  for (int i = 0; i < keys; ++i) parts.emplace_back(rows.text(row, i));
  return {{type.type, join_key(parts)}, std::string(rows.text(row, keys)), std::string(rows.text(row, keys + 1))};
}

std::string key_texts(const RecordType& type) {
  std::string columns;
  for (std::size_t i = 0; i < type.key.size(); ++i) columns += fmt::format("k{}::text, ", i + 1);
  return columns;
}

Result<std::uint64_t> count(Connection& source, const RecordType& type, const std::vector<std::string>& words) {
  std::vector<Parameter> parameters;
  std::string sql = "SELECT count(*) FROM " + table_of(type);
  if (!words.empty()) {
    sql = fmt::format("SELECT count(*) FROM {} AS s WHERE true{}", listed(type, true), search_condition(words, parameters));
  }
  auto rows = source.query(sql, parameters);
  if (!rows) return pass(rows, "count records");
  return parse_u64(rows->text(0, 0));
}

Result<Rows> page_rows(Connection& source, const RecordType& type, const std::optional<std::vector<std::string>>& after,
                       std::size_t limit, const std::vector<std::string>& words) {
  std::vector<Parameter> parameters;
  std::string conditions = search_condition(words, parameters);
  const auto order = "g, l, " + key_columns(type);
  if (after) {
    std::string values;
    for (std::size_t i = 0; i < after->size(); ++i) {
      parameters.emplace_back((*after)[i]);
      values += fmt::format("{}${}::{}", i > 0 ? ", " : "", parameters.size(), i < 2 ? "text" : type.key_types[i - 2]);
    }
    conditions += fmt::format(" AND ({}) > ({})", order, values);
  }
  parameters.emplace_back(std::to_string(limit + 1));  // one more tells whether there is a next page
  return source.query(fmt::format("SELECT {}l, g FROM {} AS s WHERE true{} ORDER BY {} LIMIT ${}::bigint", key_texts(type),
                                  listed(type, !words.empty()), conditions, order, parameters.size()),
                      parameters);
}

enum class Compared { kTyped, kAsText };

/// kTyped uses the primary key's index, and fails when one of the values is not of the key's type.
Result<std::vector<ListedRecord>> find_some(Connection& source, const RecordType& type,
                                            const std::vector<std::vector<std::string>>& columns, Compared compared) {
  auto transaction = begin_reading(source);
  if (!transaction) return pass(transaction);
  std::vector<Parameter> parameters;
  std::string arrays;
  std::string left;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    parameters.emplace_back(postgres::array_literal(columns[i]));
    const bool typed = compared == Compared::kTyped;
    arrays += fmt::format("{}${}::{}[]", i > 0 ? ", " : "", parameters.size(), typed ? type.key_types[i] : "text");
    left += fmt::format("{}k{}{}", i > 0 ? ", " : "", i + 1, typed ? "" : "::text");
  }
  auto rows = source.query(fmt::format("SELECT {}l, g FROM {} AS s WHERE ({}) IN (SELECT * FROM unnest({}))", key_texts(type),
                                       listed(type, false), left, arrays),
                           parameters);
  if (!rows) return pass(rows, "list records");
  std::vector<ListedRecord> found;
  for (int row = 0; row < rows->size(); ++row) found.push_back(record_at(*rows, row, type));
  if (auto done = transaction->commit(); !done) return pass(done);
  return found;
}

}  // namespace

Result<RecordPage> list(Connection& source, const RecordType& type, std::optional<std::string> after, std::size_t limit,
                        const std::string& search) {
  limit = std::clamp<std::size_t>(limit, 1, kMaxPage);
  const auto words = words_of(search);
  std::optional<std::vector<std::string>> last;
  if (after) {
    auto read = read_after(*after, type);
    if (!read) return pass(read);
    last = std::move(*read);
  }
  auto transaction = begin_reading(source);
  if (!transaction) return pass(transaction);
  auto rows = page_rows(source, type, last, limit, words);
  if (!rows) {
    if (!unreadable_value(source) || (!last && words.empty())) return pass(rows, "list records");
    return fail(ErrorCode::kBadMessage, phrase("list records: PostgreSQL can't read 'after' or the words to search"));
  }
  RecordPage page;
  const auto found = static_cast<std::size_t>(rows->size());
  for (std::size_t row = 0; row < std::min(found, limit); ++row) {
    page.records.push_back(record_at(*rows, static_cast<int>(row), type));
  }
  if (found > limit) {
    const int end = static_cast<int>(limit) - 1;
    std::vector<std::string> values{page.records.back().group, page.records.back().label};
    for (int i = 0; i < static_cast<int>(type.key.size()); ++i) values.emplace_back(rows->text(end, i));
    page.next = to_hex(join_key(values));
  }
  if (!after && !page.next) {
    page.total = found;
  } else if (!after) {
    auto total = count(source, type, words);
    if (!total) return pass(total);
    page.total = *total;
  }
  if (auto done = transaction->commit(); !done) return pass(done);
  return page;
}

Result<std::vector<ListedRecord>> list_some(Connection& source, const RecordType& type, const std::vector<std::string>& ids) {
  std::vector<std::vector<std::string>> columns(type.key.size());
  bool any = false;
  for (const auto& id : ids) {
    auto parts = split_key(id);
    if (!parts || parts->size() != type.key.size() || id.find('\0') != std::string::npos) continue;  // no record has such an id
    any = true;
    for (std::size_t i = 0; i < parts->size(); ++i) columns[i].push_back((*parts)[i]);
  }
  if (!any) return std::vector<ListedRecord>();
  auto found = find_some(source, type, columns, Compared::kTyped);
  if (found || !unreadable_value(source)) return found;
  return find_some(source, type, columns, Compared::kAsText);
}

}  // namespace verbund::records
