#pragma once
/// The templates of BatchWriter that write rows of one table. Not for other folders.
#include "importer/batch_writer.h"
#include "importer/upsert_sql.h"

namespace verbund::importer {

template <typename Row>
Result<BatchWriter::Changes> BatchWriter::upsert_statement(std::span<const Pending<Row>> rows, Absent absent) {
  static const std::string replacing = upsert_sql<Row>(Absent::kClears);
  static const std::string completing = upsert_sql<Row>(Absent::kStays);
  const std::string& sql = absent == Absent::kClears ? replacing : completing;
  json::array array;
  array.reserve(rows.size());
  for (const auto& [row, item] : rows) array.push_back(row_json(*row));
  auto changed = connection_.query(sql, {json::serialize(array)});
  if (!changed) return pass(changed);
  Changes out;
  for (int at = 0; at < changed->size(); ++at) {
    out.emplace(changed->text(at, 0), changed->text(at, 1) == "t" ? Change::kInserted : Change::kUpdated);
  }
  return out;
}

/// All rows in one statement; if PostgreSQL refuses one of them, each in a statement of its own, so that one bad row does
/// not take the others with it.
template <typename Row>
Result<BatchWriter::Changes> BatchWriter::upsert(std::span<const Pending<Row>> rows, Absent absent) {
  if (rows.empty()) return Changes{};
  Changes changes;
  auto done = attempt([&]() -> Status {
    auto written = upsert_statement<Row>(rows, absent);
    if (!written) return pass(written);
    changes = std::move(*written);
    return {};
  });
  if (!done) return pass(done);
  if (*done) return changes;
  if (rows.size() > 1) return upsert_singly<Row>(rows, absent);
  skip_refused(*rows.front().item, *refusal_);
  return Changes{};
}

template <typename Row>
Result<BatchWriter::Changes> BatchWriter::upsert_singly(std::span<const Pending<Row>> rows, Absent absent) {
  Changes all;
  for (const auto& row : rows) {
    auto one = upsert<Row>(std::span(&row, 1), absent);
    if (!one) return one;
    all.merge(*one);
  }
  return all;
}

}  // namespace verbund::importer
