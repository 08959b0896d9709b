#pragma once
/// Imports records into the practice's database: files of FHIR R4 (docs/formats/import-fhir.md), of GDT and BDT
/// (docs/formats/gdt.md), and CSV with a mapping (csv/import.h).
///
/// Threads: an import runs on the caller's thread and blocks; it belongs on a worker. One import per database at a time:
/// two at once are safe for the data, but what one writes the other may count as its own update.
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "importer/input.h"
#include "importer/mapping.h"
#include "importer/record_locks.h"
#include "importer/report.h"
#include "importer/xdt/reader.h"
#include "platform/postgres/connection.h"

namespace verbund::importer {

struct ImportOptions {
  std::size_t batch_size = 500;  ///< resources per transaction
  /// Base URL ("https://host/fhir") that files without a full URL come from. References to it resolve to their resources;
  /// empty: files of unknown origin, which belong together.
  std::string source;
  InputLimits limits;
  PatientMatch match = PatientMatch::kIdentifier;
  /// GDT, BDT: how to read, and the system of the patient numbers in them (patient_identifier.system).
  xdt::XdtOptions xdt;
  std::string number_system = "urn:verbund:xdt:3000";
  /// Does and reports everything, in one transaction that is rolled back. Rows that it would change are locked until then.
  bool dry_run = false;
  /// Where the tables are guarded: takes the work locks of what each batch writes. None: such writes are refused. Borrowed.
  RecordLocks* locks = nullptr;
};

struct ImportProgress {
  std::uint64_t files_done = 0;
  std::uint64_t files_total = 0;
  std::uint64_t bytes_done = 0;  ///< on disk; never falls
  std::uint64_t bytes_total = 0;
  std::uint64_t resources = 0;   ///< seen so far, whatever became of them
};
/// Called after each batch and file. False ends the import.
using ProgressSink = std::function<bool(const ImportProgress&)>;

/// Reads files and directories (recursively) and writes what they hold into the tables of schema/demo/praxis.sql.
///
/// Idempotent: a row is found again by its identity, and written only when it differs. A file or resource that is broken,
/// of an unknown kind or without its patient is left out and named in the report, which is then `kIncomplete`
/// (ImportReport::outcome), not an error. Of a GDT or BDT file that strict reading refuses nothing is imported. Files may come in any order: what refers to a later one waits for it.
/// Errors: kNotFound (a path does not exist; nothing is written), kCancelled (by `progress`), kDatabaseDown, kDatabase;
/// batches committed before them stay.
[[nodiscard]] Result<ImportReport> import_files(postgres::Connection& connection, std::span<const std::filesystem::path> paths,
                                                const ImportOptions& options = {}, const ProgressSink& progress = {});

/// schema/demo/praxis.sql, carried inside the binary; may be executed again. Lives for ever.
[[nodiscard]] std::string_view demo_schema_sql();
/// schema/demo/records.toml likewise: the record types of the demo practice, for config/verbund.toml.
[[nodiscard]] std::string_view demo_records_toml();

/// The demo practice's nurses (user names).
[[nodiscard]] std::span<const std::string_view> demo_nurses();
/// Gives each patient that has no nurse one of demo_nurses(), the same on every machine. How many patients got one.
[[nodiscard]] Result<std::uint64_t> assign_demo_nurses(postgres::Connection& connection);

}  // namespace verbund::importer
