/// verbund import FILE|DIR… | --synthetic N [--seed S]: records into the practice's database, from the node's own machine.
#include <unistd.h>

#include "cli/command.h"
#include "importer/importer.h"
#include "importer/synthetic.h"
#include "node/installation.h"

namespace verbund::cli {
namespace {

struct Options {
  std::vector<std::string> paths;
  std::uint64_t synthetic = 0;
  std::uint64_t seed = 1;
};

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
    fmt::print(stderr, "\r{} {:3} %  {}", bar, std::min(done, total) * 100 / total, text);
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
  std::vector<std::filesystem::path> paths(options.paths.begin(), options.paths.end());
  return importer::import_fhir(connection, paths, {}, files);
}

int import(const Globals& globals, const Options& options) {
  if (options.paths.empty() == (options.synthetic == 0)) {
    return report(globals, Error{ErrorCode::kUsage, "import: name files or directories, or --synthetic N", ""});
  }
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  auto installation = node::Installation::load(directory);
  if (!installation) return report(globals, installation.error());
  auto settings = installation->application_connection();
  if (!settings) return report(globals, settings.error());
  auto connection = postgres::Connection::open(*settings);
  if (!connection) {
    auto error = std::move(connection.error());
    if (error.hint.empty()) error.hint = "the node must be running: verbund up";
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
  auto* command = app.add_subcommand("import", text("import records from FHIR R4 files (.json, .ndjson, .gz; directories)"));
  auto options = std::make_shared<Options>();
  command->add_option("paths", options->paths, text("files and directories"));
  command->add_option("--synthetic", options->synthetic, text("make so many synthetic German patients instead"))->check(CLI::Range(1, 10'000'000));
  command->add_option("--seed", options->seed, text("of the synthetic patients; the same seed gives the same patients"))->capture_default_str();
  command->callback([&globals, run, options] { run([&globals, options] { return import(globals, *options); }); });
}

}  // namespace verbund::cli
