#include "importer/csv/writer.h"

#include "base/messages.h"
#include "importer/record_locks.h"

namespace verbund::importer::csv {
namespace {

void append_element(std::string& array, const postgres::Parameter& value) {
  if (array.size() > 1) array += ',';
  if (!value) {
    array += "NULL";
    return;
  }
  array += '"';
  for (const char c : *value) {
    if (c == '"' || c == '\\') array += '\\';
    array += c;
  }
  array += '"';
}

/// One array literal per column.
template <typename Rows, typename Of>
std::vector<postgres::Parameter> arrays_of(const Rows& rows, std::size_t columns, Of of) {
  std::vector<postgres::Parameter> out;
  for (std::size_t column = 0; column < columns; ++column) {
    std::string array = "{";
    for (const auto& row : rows) append_element(array, of(row).values[column]);
    out.emplace_back(array + "}");
  }
  return out;
}

Error duplicate_error(std::string_view many) {
  const auto error = many == "1" ? fail(ErrorCode::kConstraint, phrase("a row of the table matches it already"))
                                 : fail(ErrorCode::kConstraint, phrase("several rows of the table match it"));
  return error.error();
}

const PendingRow& same(const PendingRow& row) { return row; }
const PendingRow& pointed_at(const PendingRow* row) { return *row; }

}  // namespace

bool is_fault_of_a_row(const postgres::Connection& connection, const Error& error) {
  if (error.code == ErrorCode::kDatabaseDown) return false;
  if (error.code == ErrorCode::kConstraint) return true;
  // 22 data, 23 constraint, 44 check option, P0 raised by a trigger, VG by the guard.
  const auto state = connection.last_sqlstate().substr(0, 2);
  return state == "22" || state == "23" || state == "44" || state == "P0" || state == "VG";
}

std::string array_of(std::span<const postgres::Parameter> values) {
  std::string array = "{";
  for (const auto& value : values) append_element(array, value);
  return array + "}";
}

Status RowWriter::write(std::span<const PendingRow> rows) {
  if (rows.empty()) return {};
  if (auto marked = connection_.execute("SAVEPOINT rows"); !marked) return marked;
  Sorted sorted;
  if (auto written = write_once(rows, sorted); !written) {
    if (!is_fault_of_a_row(connection_, written.error())) return written;
    if (auto back = connection_.execute("ROLLBACK TO rows; RELEASE rows"); !back) return back;
    if (rows.size() == 1) {
      const bool by_guard = connection_.last_sqlstate() == kRefusedByGuard;
      settled_(rows.front(), by_guard ? Outcome::kRefusedByGuard : Outcome::kRefused, written.error());
      return {};
    }
    // Halves find the bad row in a few steps and leave the good ones together.
    const auto middle = rows.size() / 2;
    if (auto first = write(rows.first(middle)); !first) return first;
    return write(rows.subspan(middle));
  }
  if (auto released = connection_.execute("RELEASE rows"); !released) return released;
  for (const auto& [row, outcome] : sorted.settled) settled_(*row, outcome, {});
  for (const auto& [row, why] : sorted.refused) settled_(*row, Outcome::kRefused, why);
  // Each round settles the first row of every key: this ends.
  return write(sorted.repeated);
}

Status RowWriter::write_once(std::span<const PendingRow> rows, Sorted& sorted) {
  if (target_.find_sql.empty()) {
    for (const auto& row : rows) sorted.fresh.push_back(&row);
  } else {
    auto found = sort(rows);
    if (!found) return pass(found);
    sorted = std::move(*found);
  }
  return write_sorted(sorted);
}

Result<RowWriter::Sorted> RowWriter::sort(std::span<const PendingRow> rows) {
  auto found = connection_.query(target_.find_sql, arrays_of(rows, target_.columns.size(), same));
  if (!found) return pass(found);
  Sorted out;
  for (int at = 0; at < found->size(); ++at) {
    const auto& row = rows[static_cast<std::size_t>(at)];  // in the order of ord
    const auto hits = found->text(at, 2);
    if (found->text(at, 1) == "t") out.repeated.push_back(row);
    else if (hits == "0") out.fresh.push_back(&row);
    else if (on_duplicate_ == OnDuplicate::kSkip) out.settled.emplace_back(&row, Outcome::kDuplicate);
    else if (hits != "1" || on_duplicate_ == OnDuplicate::kRefuse) out.refused.emplace_back(&row, duplicate_error(hits));
    else out.known.push_back(&row);
  }
  return out;
}

Status RowWriter::write_sorted(Sorted& sorted) {
  if (!sorted.fresh.empty()) {
    auto inserted = connection_.query(target_.insert_sql, arrays_of(sorted.fresh, target_.columns.size(), pointed_at));
    if (!inserted) return pass(inserted);
    // A trigger of the application can leave out a row without an error; halving finds which.
    if (inserted->affected() != sorted.fresh.size()) {
      return fail(ErrorCode::kConstraint, phrase("a trigger or rule of the table left it out"));
    }
    for (const auto* row : sorted.fresh) sorted.settled.emplace_back(row, Outcome::kImported);
  }
  return update(sorted);
}

Status RowWriter::update(Sorted& sorted) {
  if (sorted.known.empty()) return {};
  std::vector<Outcome> outcomes(sorted.known.size(), Outcome::kUnchanged);
  if (!target_.update_sql.empty()) {
    auto updated = connection_.query(target_.update_sql, arrays_of(sorted.known, target_.columns.size(), pointed_at));
    if (!updated) return pass(updated);
    for (int at = 0; at < updated->size(); ++at) {
      const auto ord = static_cast<std::size_t>(std::stoul(std::string(updated->text(at, 0))));
      outcomes.at(ord - 1) = Outcome::kUpdated;
    }
  }
  for (std::size_t at = 0; at < outcomes.size(); ++at) sorted.settled.emplace_back(sorted.known[at], outcomes[at]);
  return {};
}

}  // namespace verbund::importer::csv
