#include "records/statements.h"

#include <fmt/format.h>

#include "records/catalog.h"

namespace verbund::records {

using postgres::Connection;

std::string table_of(const RecordType& type) { return quoted(TableName{type.schema, type.table}); }

std::string collate(const RecordType& type) {
  return type.collation.empty() ? std::string() : " COLLATE " + Connection::quote_identifier(type.collation);
}

std::string key_expression(const RecordType& type) {
  std::string joined;
  for (const auto& column : type.key) {
    if (!joined.empty()) joined += " || ',' || ";
    joined += fmt::format(R"(replace(replace({}::text, '\', '\\'), ',', '\,'))", Connection::quote_identifier(column));
  }
  return joined;
}

std::string folded(std::string_view expression) {
  // Umlauts and accents lose their marks, then the written-out forms do: müller, mueller, muller are one. Only characters
  // of Latin 1, which an older database may be encoded in. translate is slow and most names are ASCII: they pass it by
  // (in UTF-8 they are those with as many bytes as characters).
  return fmt::format(
      "replace(replace(replace(replace(CASE WHEN octet_length({0}) = length({0}) AND getdatabaseencoding() = 'UTF8'"
      " THEN lower(({0}) COLLATE \"C\") ELSE translate(lower(({0}) COLLATE \"C\"),"
      " 'äöüáàâãåéèêëíìîïóòôõúùûñçýÿÄÖÜÁÀÂÃÅÉÈÊËÍÌÎÏÓÒÔÕÚÙÛÑÇÝ', 'aouaaaaaeeeeiiiioooouuuncyyaouaaaaaeeeeiiiioooouuuncy') END,"
      " 'ae', 'a'), 'oe', 'o'), 'ue', 'u'), 'ß', 'ss')",
      expression);
}

std::string key_columns(const RecordType& type) {
  std::string columns;
  for (std::size_t i = 0; i < type.key.size(); ++i) columns += fmt::format("{}k{}", i > 0 ? ", " : "", i + 1);
  return columns;
}

std::string listed(const RecordType& type, bool searched) {
  std::string sql = fmt::format("(SELECT coalesce(({}\n)::text, ''){} AS g, coalesce(({}\n)::text, ''){} AS l", type.group_sql,
                                collate(type), type.label_sql, collate(type));
  for (std::size_t i = 0; i < type.key.size(); ++i) {
    sql += fmt::format(", {} AS k{}", Connection::quote_identifier(type.key[i]), i + 1);
  }
  if (!searched) return sql + fmt::format(" FROM {} AS r)", table_of(type));
  std::string columns;
  for (const auto& column : type.search_columns) columns += ", " + Connection::quote_identifier(column) + "::text";
  // A line feed between: no word, which has none, is found across two columns. OFFSET 0: once per row, not per use.
  const auto searched_text = columns.empty() ? std::string("''::text") : fmt::format("concat_ws(chr(10){})", columns);
  return sql + fmt::format(", verbund_f AS f FROM (SELECT *, {} AS verbund_f FROM {} OFFSET 0) AS r)", searched_text, table_of(type));
}

Result<Connection::Transaction> begin_reading(Connection& source) {
  auto transaction = source.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!transaction) return transaction;
  // No JIT: compiling costs more than these statements do.
  auto bounded = source.execute(fmt::format(
      "SET LOCAL statement_timeout = '{}s'; SET LOCAL lock_timeout = '3s'; SET LOCAL datestyle = 'ISO'; SET LOCAL jit = off",
      kReadTimeout.count()));
  if (!bounded) return pass(bounded);
  return transaction;
}

bool unreadable_value(const Connection& source) { return source.last_sqlstate().starts_with("22"); }

}  // namespace verbund::records
