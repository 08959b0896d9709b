#pragma once
/// Writes converted rows into the target table, many a statement. One thread, one connection, inside the caller's transaction.
#include <span>

#include "importer/csv/table.h"

namespace verbund::importer::csv {

struct PendingRow {
  std::uint64_t line = 0;
  std::vector<postgres::Parameter> values;
};

enum class Outcome { kImported, kUpdated, kUnchanged, kDuplicate, kRefused, kRefusedByGuard };

/// True when `error` of the last statement is about its values: the row's fault, not the import's.
bool is_fault_of_a_row(const postgres::Connection& connection, const Error& error);
/// '{"a",NULL}'
std::string array_of(std::span<const postgres::Parameter> values);

class RowWriter {
 public:
  /// `settled` hears of every row once; why is set for kRefused and kRefusedByGuard (then it is the connection's last error).
  using Settled = std::function<void(const PendingRow&, Outcome, const Error& why)>;
  RowWriter(postgres::Connection& connection, const Target& target, OnDuplicate on_duplicate, Settled settled)
      : connection_(connection), target_(target), on_duplicate_(on_duplicate), settled_(std::move(settled)) {}

  /// Errors: those that are no single row's fault; the transaction is broken then.
  Status write(std::span<const PendingRow> rows);

 private:
  struct Sorted {
    std::vector<const PendingRow*> fresh, known;
    std::vector<PendingRow> repeated;  ///< say the same key as an earlier row of the batch
    std::vector<std::pair<const PendingRow*, Outcome>> settled;
    std::vector<std::pair<const PendingRow*, Error>> refused;
  };
  Result<Sorted> sort(std::span<const PendingRow> rows);
  Status write_sorted(Sorted& sorted);
  Status update(Sorted& sorted);
  Status write_once(std::span<const PendingRow> rows, Sorted& sorted);

  postgres::Connection& connection_;
  const Target& target_;
  OnDuplicate on_duplicate_;
  Settled settled_;
};

}  // namespace verbund::importer::csv
