#pragma once
/// Replaces what the file says by keys of other tables (Lookup of the mapping). One thread, one connection, inside the caller's transaction.
#include "importer/csv/writer.h"

namespace verbund::importer::csv {

class RowLookup {
 public:
  using Refused = std::function<void(const PendingRow&, const Error& why)>;
  RowLookup(postgres::Connection& connection, const Target& target, Refused refused)
      : connection_(connection), target_(target), refused_(std::move(refused)) {}

  /// The rows whose keys were all found, in their order; empty values stay empty. Errors: those that are no row's fault.
  Result<std::vector<PendingRow>> resolve(std::vector<PendingRow> rows);

 private:
  Status resolve_column(std::size_t column, std::vector<PendingRow>& rows);
  Status ask(std::size_t column, std::span<PendingRow> rows, std::vector<PendingRow>& found);

  postgres::Connection& connection_;
  const Target& target_;
  Refused refused_;
};

}  // namespace verbund::importer::csv
