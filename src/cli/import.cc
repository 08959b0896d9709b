/// verbund import FILE|DIR… [--mapping FILE.toml] | --synthetic N [--seed S]: records into the practice's database, from the
/// node's own machine.
#include <unistd.h>

#include "cli/command.h"
#include "cli/import_locks.h"
#include "importer/csv/import.h"
#include "importer/importer.h"
#include "importer/synthetic.h"
#include "node/installation.h"

namespace verbund::cli {
namespace {

struct Options {
  std::vector<std::string> paths;
  std::uint64_t synthetic = 0;
  std::uint64_t seed = 1;
  std::string mapping;  ///< file; empty: no CSV
  std::string match = "number";
  std::string number_system;
  std::string source;
  std::string charset;
  bool lenient = false;
  bool strict = false;
  bool dry_run = false;
};

Result<importer::ImportOptions> record_options(const Options& options) {
  importer::ImportOptions out;
  out.dry_run = options.dry_run;
  out.source = options.source;
  if (!options.number_system.empty()) out.number_system = options.number_system;
  if (options.match == "name") out.match = importer::PatientMatch::kPerson;
  if (options.match == "either") out.match = importer::PatientMatch::kEither;
  if (options.lenient) out.xdt.strictness = importer::xdt::Strictness::kLenient;
  if (!options.charset.empty()) {
    out.xdt.charset = importer::charset_named(options.charset);
    if (!out.xdt.charset) {
      return fail(ErrorCode::kUsage, phrase("import: there is no character set {}", options.charset), phrase("one of {}", importer::charset_names()));
    }
  }
  return out;
}

/// What does not go together. Empty: all does.
Status check(const Options& options) {
  if (options.paths.empty() == (options.synthetic == 0)) {
    return fail(ErrorCode::kUsage, phrase("import: name files or directories, or --synthetic N"));
  }
  if (options.synthetic > 0 && (options.dry_run || !options.mapping.empty())) {
    return fail(ErrorCode::kUsage, phrase("import: --synthetic goes with neither --dry-run nor --mapping"));
  }
  if (options.lenient && options.strict) return fail(ErrorCode::kUsage, phrase("import: either --strict or --lenient"));
  const bool of_records = options.match != "number" || !options.number_system.empty() || !options.source.empty() || !options.charset.empty();
  if (!options.mapping.empty() && of_records) {
    return fail(ErrorCode::kUsage, phrase("import: with --mapping, the mapping says the character set and what a duplicate is"));
  }
  return {};
}

/// One line on a terminal, redrawn at most ten times a second; nothing where standard error is a file.
class ProgressBar {
 public:
  explicit ProgressBar(bool quiet) : shown_(!quiet && isatty(STDERR_FILENO)) {}
  ~ProgressBar() {
    if (drawn_) fmt::print(stderr, "\n");
  }
  void draw(std::uint64_t done, std::uint64_t total, const std::string& text) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || total == 0 || (drawn_ && done < total && now - last_ < milliseconds{100})) return;
    last_ = now;
    drawn_ = true;
    constexpr std::uint64_t kWidth = 30;
    const auto filled = std::min(done, total) * kWidth / total;
    std::string bar;
    for (std::uint64_t i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "░";
    fmt::print(stderr, "\r{} {:3} %  {}\x1b[K", bar, std::min(done, total) * 100 / total, text);
    std::fflush(stderr);
  }

 private:
  bool shown_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

Result<importer::ImportReport> import_records(const Globals& globals, postgres::Connection& connection, const Options& options) {
  ProgressBar bar(globals.json);
  const auto files = [&](const importer::ImportProgress& progress) {
    bar.draw(progress.bytes_done, progress.bytes_total,
             translated(globals.language, "{}/{} files, {} resources", progress.files_done, progress.files_total, progress.resources));
    return true;
  };
  if (options.synthetic > 0) {
    return importer::import_synthetic(connection, options.synthetic, options.seed, {});
  }
  ImportLocks locks(globals);
  std::vector<std::filesystem::path> paths(options.paths.begin(), options.paths.end());
  if (!options.mapping.empty()) {
    auto mapping = importer::csv::read_mapping(options.mapping);
    if (!mapping) return pass(mapping);
    importer::csv::CsvOptions how;
    how.strict = options.strict;
    how.dry_run = options.dry_run;
    how.locks = &locks;
    return importer::csv::import_csv(connection, paths, *mapping, how, files);
  }
  auto how = record_options(options);
  if (!how) return pass(how);
  how->locks = &locks;
  return importer::import_files(connection, paths, *how, files);
}

int import(const Globals& globals, const Options& options) {
  if (auto checked = check(options); !checked) return report(globals, checked.error());
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  auto installation = node::Installation::load(directory);
  if (!installation) return report(globals, installation.error());
  auto settings = installation->application_connection();
  if (!settings) return report(globals, settings.error());
  auto connection = postgres::Connection::open(*settings);
  if (!connection) {
    auto error = std::move(connection.error());
    if (error.hint.empty()) error.advise(phrase("the node must be running: verbund up"));
    return report(globals, error);
  }
  auto done = import_records(globals, *connection, options);
  if (!done) return report(globals, done.error());
  fmt::print("{}\n", globals.json ? done->to_json() : done->to_text(globals.language));
  return done->outcome() ? exit_code(*done->outcome()) : 0;
}

}  // namespace

void add_import(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("import", text("import records from files of FHIR R4, GDT, BDT, or CSV with a mapping (also .gz; directories)"));
  auto options = std::make_shared<Options>();
  command->add_option("paths", options->paths, text("files and directories"));
  command->add_option("--mapping", options->mapping, text("the files are CSV: TOML file that says which column goes where"));
  command->add_flag("--dry-run", options->dry_run, text("do and report everything, then write nothing"));
  command->add_flag("--lenient", options->lenient, text("GDT, BDT: tolerate wrong lengths and the like, and count them"));
  command->add_flag("--strict", options->strict, text("CSV: refuse a file with a bad row as a whole (GDT and BDT: is so anyway)"));
  command->add_option("--match", options->match, text("what finds a patient: number; name (with first name and birth date); either"))
      ->check(CLI::IsMember({"number", "name", "either"}))->capture_default_str();
  command->add_option("--number-system", options->number_system, text("GDT, BDT: patient_identifier.system of the patient numbers in the files"));
  command->add_option("--charset", options->charset, text("GDT, BDT: character set, in place of what the files say"));
  command->add_option("--source", options->source, text("FHIR: base URL that the files come from"));
  command->add_option("--synthetic", options->synthetic, text("make so many synthetic German patients instead"))->check(in_range(globals, 1, 10'000'000));
  command->add_option("--seed", options->seed, text("of the synthetic patients; the same seed gives the same patients"))->capture_default_str();
  command->callback([&globals, run, options] { run([&globals, options] { return import(globals, *options); }); });
}

}  // namespace verbund::cli
