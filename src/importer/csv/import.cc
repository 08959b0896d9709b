#include "importer/csv/import.h"

#include "base/messages.h"
#include "importer/byte_source.h"
#include "importer/csv/lookup.h"
#include "importer/csv/row.h"
#include "importer/csv/writer.h"

namespace verbund::importer::csv {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
/// A batch of long rows ends earlier.
constexpr std::size_t kMaxBatchBytes = 8 * 1024 * 1024;

/// What is written between two commits: a batch, a file (strict), or all (dry run, which never commits).
class Unit {
 public:
  Unit(postgres::Connection& connection, const Mapping& mapping, bool nested, UnderGuard& guard)
      : connection_(connection), mapping_(mapping), nested_(nested), guard_(guard) {}

  Status begin() {
    if (open_) return {};
    if (auto begun = connection_.execute(nested_ ? "SAVEPOINT unit" : "BEGIN"); !begun) return begun;
    open_ = true;
    if (auto begun = guard_.begin(); !begun) return begun;
    // Times without a zone are those of the practice, not of the server.
    return connection_.execute(fmt::format("SET LOCAL TimeZone = {}; SET LOCAL plan_cache_mode = force_custom_plan",
                                           postgres::Connection::quote_literal(mapping_.time_zone)));
  }
  Status commit() {
    if (open_ && !nested_) {
      if (auto settled = guard_.settle(); !settled) return settled;
    }
    return end(nested_ ? "RELEASE unit" : "COMMIT");
  }
  Status roll_back() { return end(nested_ ? "ROLLBACK TO unit; RELEASE unit" : "ROLLBACK"); }
  [[nodiscard]] const UnderGuard& guard() const { return guard_; }

 private:
  Status end(std::string_view sql) {
    if (!open_) return {};
    open_ = false;
    auto ended = connection_.execute(sql);
    guard_.over();
    return ended;
  }

  postgres::Connection& connection_;
  const Mapping& mapping_;
  bool nested_;
  UnderGuard& guard_;
  bool open_ = false;
};

/// One file on its way into the table.
class FileImport {
 public:
  FileImport(postgres::Connection& connection, const Mapping& mapping, const Target& target, const CsvOptions& options, const InputFile& file, UnderGuard& guard)
      : options_(options), mapping_(mapping), target_(target), file_(file), unit_(connection, mapping, options.dry_run, guard),
        converter_(mapping, target),
        lookup_(connection, target, [this](const PendingRow& row, const Error& why) { refuse(row.line, why); }), writer_(connection, target, mapping.on_duplicate,
                                             [this](const PendingRow& row, Outcome outcome, const Error& why) { settle(row, outcome, why); }) {}

  /// `between` is called after each batch; its error ends the import.
  Status run(std::uint64_t& read_bytes, const std::function<Status(std::uint64_t rows)>& between) {
    between_ = &between;
    auto read = read_rows(read_bytes);
    if (!broken_) return pass(broken_);
    // What stands before a fault of the file is imported like any other rows.
    broken_ = flush();
    if (!broken_) return pass(broken_);
    if (!read) problem(0, read.error());
    return finish(read.has_value());
  }
  [[nodiscard]] const ImportReport& report() const { return report_; }

 private:
  Status read_rows(std::uint64_t& read_bytes) {
    auto source = ByteSource::open(file_);
    if (!source) return pass(source);
    DiskProgress progress(*source, read_bytes);
    Status refused;  // the header
    CsvReader reader(mapping_.format, options_.limits, [&](CsvRow& row) {
      if (mapping_.header && !header_read_) {
        header_read_ = true;
        refused = converter_.read_header(row);
        return refused.has_value();
      }
      broken_ = take(row);
      return broken_.has_value();
    });
    for (bool first = true;; first = false) {
      auto bytes = source->next();
      if (!bytes) return pass(bytes);
      if (bytes->empty()) break;
      progress.update();
      auto text = *bytes;
      if (first && text.starts_with(kByteOrderMark)) {
        if (mapping_.charset != Charset::kUtf8) {
          return fail(ErrorCode::kBadInput, phrase("line 1: begins with a UTF-8 byte order mark, the mapping says another character set"));
        }
        text.remove_prefix(kByteOrderMark.size());
      }
      if (auto fed = reader.feed(text); !fed) return fed;
      if (reader.ended()) return refused;
    }
    if (auto finished = reader.finish(); !finished) return finished;
    if (mapping_.header && !header_read_) return fail(ErrorCode::kBadInput, phrase("the file is empty, without even a header"));
    return refused;
  }

  Status take(const CsvRow& row) {
    ++rows_;
    auto converted = converter_.convert(row);
    if (!converted) {
      refuse(row.line, fail(ErrorCode::kBadInput, std::move(converted.error())).error());
      return {};
    }
    for (const auto& value : *converted) pending_bytes_ += value ? value->size() : 0;
    pending_.push_back({row.line, std::move(*converted)});
    return pending_.size() >= options_.batch_size || pending_bytes_ >= kMaxBatchBytes ? flush() : Status{};
  }

  Status flush() {
    if (pending_.empty()) return {};
    if (auto begun = unit_.begin(); !begun) return pass(begun, "import");
    auto rows = lookup_.resolve(std::move(pending_));
    if (!rows) return pass(rows, "import");
    if (auto done = writer_.write(*rows); !done) return pass(done, "import");
    pending_.clear();
    pending_bytes_ = 0;
    if (!options_.strict) {
      if (auto committed = unit_.commit(); !committed) return pass(committed, "import");
    }
    return (*between_)(std::exchange(rows_, 0));
  }

  Status finish(bool read_to_its_end) {
    auto& type = report_.types[target_.shown];
    if (!options_.strict || (read_to_its_end && refused_ == 0)) {
      if (read_to_its_end) ++report_.files;
      return unit_.commit();
    }
    const auto imported = type.imported + type.updated + type.unchanged;
    type = {};
    if (refused_ > 0) type.skipped[Skip{SkipReason::kUnreadable, {}}].count = refused_;
    report_.file_problem(file_.shown, fail(ErrorCode::kBadInput, phrase("refused as a whole: {} rows that could be imported were left out, too", imported)).error());
    return unit_.roll_back();
  }

  void settle(const PendingRow& row, Outcome outcome, const Error& why) {
    auto& type = report_.types[target_.shown];
    switch (outcome) {
      case Outcome::kImported: ++type.imported; break;
      case Outcome::kUpdated: ++type.updated; break;
      case Outcome::kUnchanged: ++type.unchanged; break;
      case Outcome::kDuplicate: type.skipped[Skip{SkipReason::kDuplicate, {}}].add(place(row.line)); break;
      case Outcome::kRefused: refuse(row.line, why); break;
      case Outcome::kRefusedByGuard: leave_to_holder(row.line, why); break;
    }
  }

  void refuse(std::uint64_t line, const Error& why) {
    ++refused_;
    ++report_.types[target_.shown].skipped[Skip{SkipReason::kUnreadable, {}}].count;
    problem(line, why);
  }
  void leave_to_holder(std::uint64_t line, const Error& why) {
    auto holder = unit_.guard().held_by();
    if (!holder) return refuse(line, why);
    if (options_.strict) return refuse(line, fail(ErrorCode::kHeld, phrase("its record is locked by {}", *holder)).error());
    ++refused_;
    report_.types[target_.shown].skipped[Skip{SkipReason::kHeld, std::move(*holder)}].add(place(line));
  }
  void problem(std::uint64_t line, const Error& why) { report_.file_problem(line == 0 ? file_.shown : place(line), why); }
  [[nodiscard]] std::string place(std::uint64_t line) const { return fmt::format("{}: line {}", file_.shown, line); }

  const CsvOptions& options_;
  const Mapping& mapping_;
  const Target& target_;
  const InputFile& file_;
  Unit unit_;
  RowConverter converter_;
  RowLookup lookup_;
  RowWriter writer_;
  const std::function<Status(std::uint64_t)>* between_ = nullptr;
  ImportReport report_;
  std::vector<PendingRow> pending_;
  std::size_t pending_bytes_ = 0;
  std::uint64_t rows_ = 0, refused_ = 0;
  bool header_read_ = false;
  Status broken_;  ///< what ends the whole import
};

void add_report(ImportReport& to, const ImportReport& from) {
  for (const auto& [name, type] : from.types) {
    auto& sum = to.types[name];
    sum.imported += type.imported;
    sum.updated += type.updated;
    sum.unchanged += type.unchanged;
    for (const auto& [skip, found] : type.skipped) {
      auto& all = sum.skipped[skip];
      all.count += found.count;
      for (const auto& example : found.examples) {
        if (all.examples.size() < Occurrences::kMaxExamples) all.examples.push_back(example);
      }
    }
  }
  to.file_problem_count += from.file_problem_count;
  for (const auto& problem : from.file_problems) {
    if (to.file_problems.size() < ImportReport::kMaxFileProblems) to.file_problems.push_back(problem);
  }
  to.files += from.files;
}

}  // namespace

Result<ImportReport> import_csv(postgres::Connection& connection, std::span<const std::filesystem::path> paths, const Mapping& mapping,
                                const CsvOptions& options, const ProgressSink& progress) {
  const auto start = std::chrono::steady_clock::now();
  auto target = find_target(connection, mapping);
  if (!target) return pass(target);
  auto found = discover(paths, Wanted::kCsv);
  if (!found) return pass(found);
  ImportReport report;
  report.dry_run = options.dry_run;
  for (auto& [file, cause] : found->problems) report.file_problem(std::move(file), std::move(cause));
  ImportProgress seen;
  seen.files_total = found->files.size();
  for (const auto& file : found->files) seen.bytes_total += file.size_bytes;
  std::optional<postgres::Connection::Transaction> trial;  // rolled back when it goes
  if (options.dry_run) {
    auto begun = connection.begin();
    if (!begun) return pass(begun, "import");
    trial.emplace(std::move(*begun));
  }
  const std::function<Status(std::uint64_t)> between = [&](std::uint64_t rows) -> Status {
    seen.resources += rows;
    if (!progress || progress(seen)) return {};
    return fail(ErrorCode::kCancelled, phrase("import cancelled after {} rows; what was committed until then stays", seen.resources));
  };
  UnderGuard guard(connection, options.locks);
  for (const auto& file : found->files) {
    const auto before = seen.bytes_done;
    FileImport one(connection, mapping, *target, options, file, guard);
    if (auto done = one.run(seen.bytes_done, between); !done) {
      if (!options.dry_run && connection.in_transaction()) (void)connection.execute("ROLLBACK");
      return pass(done);
    }
    add_report(report, one.report());
    seen.bytes_done = before + file.size_bytes;
    ++seen.files_done;
    if (auto going = between(0); !going) return pass(going);
  }
  report.bytes = seen.bytes_done;
  report.elapsed = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  return report;
}

}  // namespace verbund::importer::csv
