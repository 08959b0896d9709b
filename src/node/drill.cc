#include "node/drill.h"

#include <csignal>
#include <thread>

#include <boost/json.hpp>

#include "backup/restore_office.h"
#include "base/messages.h"
#include "node/office_backup.h"
#include "platform/os/file.h"
#include "platform/os/process.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr seconds kStartLimit{180}, kFeedLimit{300}, kStopLimit{60};
constexpr milliseconds kBetweenQuestions{100};
constexpr std::size_t kShownBytes = 400, kMaxConfigBytes = 1024 * 1024;

fs::path marker(const fs::path& directory) { return directory / "backup" / "drill"; }

/// "feed.state" of a status.
std::string member(const json::value& root, const char* part, const char* name) {
  const auto* object = root.if_object();
  const auto* inner = object ? object->if_contains(part) : nullptr;
  const auto* value = inner && inner->is_object() ? inner->get_object().if_contains(name) : nullptr;
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// A line that begins a table of TOML; its name with what follows a dot: "mail", "mail.to".
std::optional<std::string_view> table_of(std::string_view line) {
  while (line.ends_with(' ') || line.ends_with('\r')) line.remove_suffix(1);
  if (!line.starts_with('[') || !line.ends_with(']')) return std::nullopt;
  line = line.substr(line.starts_with("[[") ? 2 : 1);
  line = line.substr(0, line.find(']'));
  const bool name = !line.empty() && std::ranges::all_of(line, [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.'; });
  return name ? std::optional(line) : std::nullopt;
}

/// verbund.toml without its table [mail].
std::string without_mail(std::string_view text) {
  std::string kept;
  bool mail = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size() - 1) + 1;
    const auto line = text.substr(0, end);
    text.remove_prefix(end);
    const auto shown = line.ends_with('\n') ? line.substr(0, line.size() - 1) : line;
    if (const auto table = table_of(shown)) mail = *table == "mail" || table->starts_with("mail.");
    if (!mail) kept += line;
  }
  return kept;
}

class Drill {
 public:
  Drill(const backup::SetReader& set, const DrillOptions& options, backup::Progress& progress, const Clock& clock, Log& log)
      : set_(set), options_(options), progress_(progress), clock_(clock), log_(log) {}
  ~Drill() { stop_node(); }

  Result<backup::DrillRecord> run() {
    const auto begun = clock_.now();
    const auto& manifest = set_.manifest();
    record_.installation = manifest.installation;
    record_.set = manifest.id;
    record_.sequence = manifest.sequence;
    record_.day = std::chrono::floor<std::chrono::days>(clock_.wall());
    FromSet from;
    from.directory = options_.scratch;
    from.signer = options_.signer;
    from.key = options_.key;
    from.on_step = options_.on_step;
    from.only_own_server = true;
    if (auto installed = install_from_set(set_, from, progress_, clock_, log_); !installed) return pass(installed);
    if (auto tamed = tame(); !tamed) return pass(tamed);
    databases_compared();
    folders();
    if (start_node()) {
      node_says();
      applications();
      if (options_.look && !cancelled()) options_.look(port_);
    }
    stop_node();
    if (cancelled()) return fail(ErrorCode::kCancelled, phrase("drill: it was cancelled"));
    record_.took = std::chrono::duration_cast<milliseconds>(clock_.now() - begun);
    record_.passed = std::ranges::all_of(record_.checks, &backup::DrillCheck::passed);
    return std::move(record_);
  }

 private:
  [[nodiscard]] bool cancelled() const { return progress_.cancelled() || (options_.interrupted != nullptr && options_.interrupted->load()); }
  void say(const Phrase& step) const {
    if (options_.on_step) options_.on_step(step);
  }
  void add(Phrase what, bool passed, Phrase detail = {}) { record_.checks.push_back({std::move(what), passed, std::move(detail)}); }

  /// It must not back up, mail, print, stop services or send copies as the office would: its configuration of all that is set aside.
  Status tame() {
    if (auto written = os::write_file_atomically(marker(options_.scratch), set_.manifest().id + "\n"); !written) return written;
    auto config = backup::load_config(options_.scratch);
    if (!config) return pass(config);
    config_ = std::move(*config);
    std::error_code error;
    fs::rename(options_.scratch / "config" / "backup.toml", options_.scratch / "config" / "backup.toml.of-the-office", error);
    if (error && error != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("set backup.toml aside: {}", error.message()));
    const auto file = options_.scratch / "config" / "verbund.toml";
    auto text = os::read_file(file, kMaxConfigBytes);
    if (!text) return pass(text);
    return os::write_file_atomically(file, without_mail(*text));
  }

  /// install_from_set has compared each table with what the dump's own snapshot saw, or there would be no installation.
  void databases_compared() {
    for (const auto& database : set_.manifest().databases) {
      std::uint64_t rows = 0;
      for (const auto& table : database.tables) rows += table.rows;
      add(phrase("database {}", database.name), true, phrase("{} tables, {} rows, each as in the set", database.tables.size(), rows));
    }
  }

  /// Every folder's second list, into a place of its own.
  void folders() {
    backup::OfficeRestore restore;
    for (const auto& folder : set_.manifest().folders) {
      if (folder.application != backup::kOwnApplication && std::ranges::find(restore.only, folder.application) == restore.only.end()) {
        restore.only.push_back(folder.application);
      }
    }
    if (restore.only.empty() || cancelled()) return;
    say(phrase("restoring the folders of the applications"));
    restore.into = look();
    restore.key = options_.key;
    restore.interrupted = options_.interrupted;
    backup::OfficeRestored done;
    auto restored = restore_folders(restore, done);
    for (const auto& folder : done.folders) {
      auto missing = folder.missing.empty() ? Phrase{} : phrase("missing: {}", fmt::format("{}", fmt::join(folder.missing, ", ")));
      add(phrase("folders of {}: {}", folder.application, folder.root.string()), folder.missing.empty(),
          folder.missing.empty() ? phrase("{} files, each as in the set", folder.counts.files) : std::move(missing));
    }
    if (!restored) add(phrase("folders of the applications"), false, phrase_of(restored.error()));
  }

  Status restore_folders(const backup::OfficeRestore& restore, backup::OfficeRestored& done) {
    auto installation = Installation::load(options_.scratch);
    if (!installation) return pass(installation);
    auto office = office_of(*installation);
    if (!office) return pass(office);
    auto programs = backup::Programs::find(std::nullopt);
    if (!programs) return pass(programs);
    if (auto made = os::make_directories(look(), 0755); !made) return made;
    return backup::restore_office(*office, set_, *programs, restore, done, progress_, clock_, log_);
  }

  [[nodiscard]] fs::path look() const { return options_.scratch / "drill" / "look"; }
  [[nodiscard]] fs::path node_log() const { return options_.scratch / "log" / "drill-node.log"; }

  bool start_node() {
    if (cancelled()) return false;
    say(phrase("starting the node"));
    os::Command command;
    command.argv = {options_.program.string(), "--dir", options_.scratch.string(), "--json", "node", "--yes", "--listen", "127.0.0.1:0"};
    auto started = os::start(command, node_log().string());
    if (!started) {
      add(phrase("the node starts"), false, phrase_of(started.error()));
      return false;
    }
    node_ = *started;
    const auto up = wait_until(kStartLimit, [this] {
      port_ = port_in_log();
      ended_ = os::exit_code_if_ended(*node_).has_value();
      return port_ != 0 || ended_;
    });
    if (up && port_ != 0 && !ended_) {
      add(phrase("the node starts"), true);
      return true;
    }
    auto text = os::read_file(node_log(), 16 * 1024 * 1024).value_or("");
    add(phrase("the node starts"), false, verbatim(text.substr(text.size() - std::min(text.size(), kShownBytes))));
    return false;
  }

  [[nodiscard]] std::uint16_t port_in_log() const {
    const auto text = os::read_file(node_log(), 16 * 1024 * 1024).value_or("");
    const auto at = text.find("{\"started\":true");
    if (at == std::string::npos || text.find('\n', at) == std::string::npos) return 0;
    boost::system::error_code error;
    const auto value = json::parse(std::string_view(text).substr(at, text.find('\n', at) - at), error);
    const auto* port = error || !value.is_object() ? nullptr : value.get_object().if_contains("port");
    return port && port->is_int64() ? static_cast<std::uint16_t>(port->get_int64()) : std::uint16_t{0};
  }

  /// True as soon as `done` says so; asked ten times a second.
  template <typename Done>
  bool wait_until(seconds limit, Done done) {
    const auto deadline = Deadline::in(clock_, limit);
    while (!done()) {
      if (deadline.passed(clock_) || cancelled()) return false;
      std::this_thread::sleep_for(kBetweenQuestions);
    }
    return true;
  }

  void node_says() {
    std::string database, feed, reason;
    const bool running = wait_until(kFeedLimit, [&] {
      auto status = options_.status(port_);
      if (!status) {
        reason = status.error().message;
        return false;
      }
      boost::system::error_code error;
      const auto root = json::parse(*status, error);
      if (error) return false;
      database = member(root, "database", "state");
      feed = member(root, "feed", "state");
      reason = member(root, "feed", "reason");
      return feed == "running";
    });
    add(phrase("the node answers"), !database.empty(), verbatim(database));
    add(phrase("the feed runs, in step with the database"), running, verbatim(running ? feed : feed + " " + reason));
  }

  /// What the applications say of themselves.
  void applications() {
    for (const auto& application : config_.applications) {
      if (application.check.empty() || cancelled()) continue;
      say(phrase("check of {}", application.name));
      os::Command command;
      command.argv = application.check;
      command.environment = {{"VERBUND_DRILL_FOLDERS", (look() / "folders").string()},
                             {"PGHOST", (options_.scratch / "postgres" / "run").string()},
                             {"PGUSER", Installation::kApplicationRole},
                             {"PGPASSFILE", (options_.scratch / "pgpass").string()}};
      if (auto installation = Installation::load(options_.scratch)) {
        command.environment["PGDATABASE"] = installation->settings().database;
        command.environment["PGPORT"] = std::to_string(installation->settings().postgres_port);
      }
      const auto outcome = os::run(command, Deadline::in(clock_, application.check_limit), clock_);
      const bool good = outcome && outcome->exit_code == 0;
      auto detail = !outcome ? phrase_of(outcome.error())
                    : good   ? Phrase{}
                             : phrase("exit code {}: {}", outcome->exit_code, (outcome->errors + outcome->output).substr(0, kShownBytes));
      add(phrase("check of {}", application.name), good, std::move(detail));
    }
  }

  void stop_node() {
    if (!node_) return;
    const bool gone = ended_ || os::exit_code_if_ended(*node_).has_value() || os::signal_and_wait(node_->pid, SIGTERM, Deadline::in(clock_, kStopLimit), clock_);
    if (!gone) os::signal_and_wait(node_->pid, SIGKILL, Deadline::in(clock_, kStopLimit), clock_);
    if (!gone) add(phrase("the node stops in order"), false);
    node_.reset();
  }

  const backup::SetReader& set_;
  const DrillOptions& options_;
  backup::Progress& progress_;
  const Clock& clock_;
  Log& log_;
  backup::Config config_;
  backup::DrillRecord record_;
  std::optional<os::Child> node_;
  bool ended_ = false;       // by itself
  std::uint16_t port_ = 0;
};

}  // namespace

bool same_system(const backup::Manifest& manifest, const std::vector<fs::path>& directories) {
  if (manifest.host == this_host()) return true;
  return std::ranges::any_of(directories, [&](const fs::path& directory) {
    auto name = os::read_file(directory / "backup" / "installation", 1024);
    return name && name->substr(0, name->find('\n')) == manifest.installation;
  });
}

bool is_drill(const fs::path& directory) {
  std::error_code error;
  return fs::exists(marker(directory), error);
}

Result<backup::DrillRecord> run_drill(const backup::SetReader& set, const DrillOptions& options, backup::Progress& progress, const Clock& clock, Log& log) {
  std::error_code error;
  if (fs::exists(options.scratch, error) && !fs::is_empty(options.scratch, error)) {
    return fail(ErrorCode::kAlreadyExists, phrase("drill: {} is not empty", options.scratch.string()), phrase("Name a directory that doesn't exist: it is removed afterwards."));
  }
  return Drill(set, options, progress, clock, log).run();
}

}  // namespace verbund::node
