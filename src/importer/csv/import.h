#pragma once
/// Imports CSV files into a table of the source database, as a mapping says (docs/formats/csv.md).
/// Threads: as importer.h.
#include "importer/csv/mapping.h"
#include "importer/importer.h"

namespace verbund::importer::csv {

struct CsvOptions {
  /// A file with a row that can't be imported is refused as a whole; each file is one transaction then.
  bool strict = false;
  bool dry_run = false;           ///< as ImportOptions::dry_run
  std::size_t batch_size = 500;   ///< rows per transaction, when not strict
  CsvLimits limits;
  RecordLocks* locks = nullptr;   ///< as ImportOptions::locks
};

/// Reads files and directories (.csv, .tsv, also .gz) and writes their rows into the mapping's table.
///
/// A row that can't be imported is named with line and reason among the report's file problems, at most
/// ImportReport::kMaxFileProblems of them. Memory depends on the limits and the batch, not on what a file holds.
/// Errors: those of find_target (csv/table.h), kNotFound (a path), kCancelled, kDatabaseDown, kDatabase.
[[nodiscard]] Result<ImportReport> import_csv(postgres::Connection& connection, std::span<const std::filesystem::path> paths,
                                              const Mapping& mapping, const CsvOptions& options = {}, const ProgressSink& progress = {});

}  // namespace verbund::importer::csv
