#include "backup/restore_office.h"

#include <algorithm>
#include <set>

#include "backup/names.h"
#include "backup/program.h"
#include "backup/services.h"
#include "backup/verify.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJournalPrefix = "restore-folder-";

class Restore {
 public:
  Restore(const Office& office, const SetReader& set, const Programs& programs, const OfficeRestore& options, OfficeRestored& done,
          Progress& progress, const Clock& clock, Log& log)
      : office_(office), set_(set), programs_(programs), options_(options), done_(done), progress_(progress), clock_(clock),
        log_(log), services_(office.directory / "backup" / "stopped.jsonl", clock, log) {}

  Status run() {
    done_.set = set_.manifest().id;
    if (auto chosen = choose(); !chosen) return chosen;
    if (auto checked = check_versions(); !checked) return checked;
    if (auto planned = plan_folders(); !planned) return planned;
    if (options_.dry_run) return plan_databases();
    say(phrase("verifying {} up to {}", done_.set, level_name(Level::kReadable)));
    VerifyOptions verify;
    verify.level = Level::kReadable;
    verify.key = options_.key;
    verify.interrupted = options_.interrupted;
    auto verified = verify_set(set_, programs_, verify, progress_, clock_, log_);
    if (!verified) return pass(verified);
    if (verified->reached < Level::kReadable) return fail(ErrorCode::kForbidden, phrase("restore {}: {}", done_.set, verified->not_higher));
    if (auto stopped = stop_services(); !stopped) {
      start_services();
      return stopped;
    }
    auto outcome = databases();
    if (outcome) outcome = folders();
    start_services();
    return outcome;
  }

 private:
  struct Chosen {
    const FolderEntry* entry;
    std::vector<std::string> paths;  ///< single files or folders below the root; empty: the second list
    fs::path root;                   ///< where it goes
  };

  void say(const Phrase& step) {
    if (options_.on_step) options_.on_step(step);
  }

  // What

  [[nodiscard]] fs::path root_of(const FolderEntry& entry) const {
    if (!options_.into) return entry.application == kOwnApplication ? office_.directory : fs::path(entry.root);
    return *options_.into / "folders" / fs::path(entry.root).relative_path();
  }

  Status choose() {
    const auto& manifest = set_.manifest();
    if (options_.only.empty()) {
      for (const auto& database : manifest.databases) databases_.push_back(&database);
      for (const auto& entry : manifest.folders) {
        if (entry.application != kOwnApplication || options_.into) folders_.push_back({&entry, {}, root_of(entry)});
      }
      return {};
    }
    for (const auto& name : options_.only) {
      if (!choose_one(name)) {
        return fail(ErrorCode::kNotFound, phrase("restore: {} has no database, application or file {}", manifest.id, name), phrase("verbund backup show {}", manifest.id));
      }
    }
    return {};
  }

  bool choose_one(const std::string& name) {
    bool found = false;
    for (const auto& database : set_.manifest().databases) {
      if (database.name != name) continue;
      databases_.push_back(&database);
      found = true;
    }
    for (const auto& entry : set_.manifest().folders) {
      if (entry.application == name) {
        folders_.push_back({&entry, {}, root_of(entry)});
        found = true;
      } else if (const auto below = fs::path(name).lexically_relative(entry.root); name.starts_with('/') && !below.empty() && *below.begin() != "..") {
        folders_.push_back({&entry, {below.string()}, root_of(entry)});
        found = true;
      }
    }
    return found;
  }

  /// C12: the same program version, or it is refused.
  Status check_versions() {
    if (options_.into) return {};
    for (const auto& chosen : folders_) {
      const auto& entry = *chosen.entry;
      const auto configured = std::ranges::find(office_.config.applications, entry.application, &Application::name);
      if (entry.application == kOwnApplication) continue;
      if (configured == office_.config.applications.end()) {
        return fail(ErrorCode::kNotFound, phrase("restore: application {} is not configured here", entry.application),
                    phrase("Install it in version {} and take it into config/backup.toml.", entry.version));
      }
      auto version = program_version(*configured, clock_);
      if (!version) return pass(version);
      if (*version == entry.version) continue;
      return fail(ErrorCode::kUnsupported, phrase("restore: {} is version {} here, {} in the set", entry.application, *version, entry.version),
                  phrase("Bring it to version {} first.", entry.version));
    }
    return {};
  }

  // Folders

  Result<RestoreFolderOptions> folder_options(const Chosen& chosen, std::size_t number) const {
    const auto& entry = *chosen.entry;
    RestoreFolderOptions options;
    options.label = entry.application + " " + entry.root;
    options.into = chosen.root;
    const auto letter_case = entry.ignore_case ? LetterCase::kIgnored : LetterCase::kExact;
    if (!chosen.paths.empty()) {
      options.wanted = PathSet::literal(chosen.paths, letter_case);
    } else {
      std::vector<ListEntry> entries;
      for (const auto& pattern : entry.restore) entries.push_back({pattern, false, ""});
      for (const auto& pattern : entry.restore_optional) entries.push_back({pattern, true, ""});
      auto wanted = PathSet::compile(entries, entry.version, letter_case);
      if (!wanted) return pass(wanted);
      options.wanted = std::move(*wanted);
    }
    options.journal = office_.directory / "backup" / fmt::format("{}{}", kJournalPrefix, number);
    return options;
  }

  [[nodiscard]] OpenSource opener(const std::string& member) const {
    if (set_.manifest().member(member) == nullptr) return nullptr;
    return [this, member] { return set_.read(member, SetReader::Form::kPlain, options_.key); };
  }

  static OfficeRestored::Folder told(const Chosen& chosen, RestoredFolder restored) {
    return {chosen.entry->application, chosen.entry->version, chosen.root, restored.counts, std::move(restored.placed),
            std::move(restored.missing.names), std::move(restored.not_set.names), std::move(restored.left_out.names)};
  }

  Status plan_folders() {
    for (std::size_t i = 0; i < folders_.size(); ++i) {
      const auto& chosen = folders_[i];
      if (chosen.paths.empty() && chosen.entry->restore.empty() && chosen.entry->restore_optional.empty()) continue;
      if (options_.into) continue;
      auto options = folder_options(chosen, i);
      if (!options) return pass(options);
      auto planned = plan_restore_folder(*options, opener(chosen.entry->member), opener(index_of(chosen.entry->member)));
      if (!planned) return pass(planned, phrase("restore {}", chosen.root.string()));
      if (options_.dry_run) done_.folders.push_back(told(chosen, std::move(*planned)));
    }
    return {};
  }

  Status folders() {
    for (std::size_t i = 0; i < folders_.size(); ++i) {
      const auto& chosen = folders_[i];
      if (chosen.paths.empty() && chosen.entry->restore.empty() && chosen.entry->restore_optional.empty()) continue;
      say(phrase("restoring {}", chosen.root.string()));
      if (options_.into) {
        if (auto made = os::make_directories(chosen.root.parent_path(), 0700); !made) return made;
      }
      auto options = folder_options(chosen, i);
      if (!options) return pass(options);
      auto restored = restore_folder(*options, opener(chosen.entry->member), opener(index_of(chosen.entry->member)), progress_);
      if (!restored) return pass(restored, phrase("restore {}", chosen.root.string()));
      log_.info("backup.folder_restored", {{"application", chosen.entry->application}, {"files", restored->counts.files}});
      done_.folders.push_back(told(chosen, std::move(*restored)));
    }
    return {};
  }

  // Databases

  Status plan_databases() {
    for (const auto* database : databases_) done_.databases.push_back({database->name, {}, {}});
    return {};
  }

  Status databases() {
    if (databases_.empty()) return {};
    if (options_.into) return archives();
    const auto scratch = office_.directory / "backup" / "restoring";
    if (auto made = os::make_directories(scratch, 0700); !made) return made;
    std::vector<std::string> replaced;
    Status outcome;
    for (const auto* database : databases_) {
      outcome = replace(*database, scratch / "archive.dump");
      if (!outcome) break;
      replaced.push_back(database->name);
    }
    std::error_code ignored;
    fs::remove_all(scratch, ignored);
    if (!replaced.empty() && options_.after_databases) {
      if (auto after = options_.after_databases(replaced); !after && outcome) outcome = after;
    }
    return outcome;
  }

  Status replace(const DatabaseEntry& database, const fs::path& archive) {
    say(phrase("restoring database {}", database.name));
    if (auto extracted = extract(set_, database.member, archive, options_.key, options_.interrupted, progress_); !extracted) return extracted;
    RestoreOptions how;
    how.database = database.name;
    how.owner = database.owner;
    how.own_slot = options_.own_slot;
    how.keep_old = options_.keep_old;
    how.expected = database.tables;
    auto restored = restore_database(programs_, office_.superuser, archive, how, progress_);
    if (!restored) return pass(restored, phrase("restore database {}", database.name));
    log_.info("backup.database_restored", {{"database", database.name}, {"kept_as", restored->old_database}});
    done_.databases.push_back({database.name, restored->old_database, restored->warnings});
    return {};
  }

  /// For a look at them elsewhere: pg_restore reads them.
  Status archives() {
    const auto folder = *options_.into / "db";
    if (auto made = os::make_directories(folder, 0700); !made) return made;
    for (const auto* database : databases_) {
      const auto file = folder / (portable_part(database->name) + ".dump");
      if (auto extracted = extract(set_, database->member, file, options_.key, options_.interrupted, progress_); !extracted) return extracted;
      done_.databases.push_back({database->name, file.string(), {}});
    }
    return {};
  }

  // Services

  [[nodiscard]] bool concerned(const Application& application) const {
    // Databases belong to all of them.
    return !databases_.empty() || std::ranges::any_of(folders_, [&](const Chosen& chosen) { return chosen.entry->application == application.name; });
  }

  Status stop_services() {
    if (options_.into) return {};
    for (const auto& application : office_.config.applications) {
      if (application.stop.empty() || !concerned(application)) continue;
      if (auto running = services_.running(application); running && !*running) continue;
      say(phrase("stopping {}", application.name));
      if (auto noted = services_.note_stop(application); !noted) return noted;
      stopped_.push_back(&application);
      // A program that still writes would mix old and new.
      if (auto stopped = services_.stop(application); !stopped) return stopped;
      done_.stopped.push_back(application.name);
    }
    return {};
  }

  void start_services() {
    for (auto application = stopped_.rbegin(); application != stopped_.rend(); ++application) {
      say(phrase("starting {}", (*application)->name));
      if (auto started = services_.start(**application); !started) done_.services_down.push_back((*application)->name);
    }
  }

  const Office& office_;
  const SetReader& set_;
  const Programs& programs_;
  const OfficeRestore& options_;
  OfficeRestored& done_;
  Progress& progress_;
  const Clock& clock_;
  Log& log_;
  Services services_;
  std::vector<const DatabaseEntry*> databases_;
  std::vector<Chosen> folders_;
  std::vector<const Application*> stopped_;
};

}  // namespace

Status restore_office(const Office& office, const SetReader& set, const Programs& programs, const OfficeRestore& options, OfficeRestored& done,
                      Progress& progress, const Clock& clock, Log& log) {
  return Restore(office, set, programs, options, done, progress, clock, log).run();
}

Status restore_globals(const Programs& programs, const postgres::ConnectionSettings& superuser, Source& script, Progress& progress) {
  auto access = access_of(superuser);
  if (!access) return pass(access);
  // Roles that exist already are refused one by one; the rest is made.
  auto command = program_command(programs.psql, {"-X", "-q", "-v", "ON_ERROR_STOP=0", "-d", access->conninfo}, &*access);
  auto options = piped(progress);
  options.input = true;
  auto child = os::PipedChild::start(command, std::move(options), clock());
  if (!child) return pass(child);
  if (auto fed = feed(*child, script, "globals", progress); !fed) return fed;
  auto outcome = child->wait();
  if (!outcome) return pass(outcome);
  if (outcome->exit_code == 0) return {};
  return judge(programs.psql, *outcome);
}

Result<std::vector<Phrase>> settle_folders(const fs::path& installation) {
  std::vector<Phrase> settled;
  std::error_code error;
  for (fs::directory_iterator entry(installation / "backup", error), end; !error && entry != end; entry.increment(error)) {
    const auto journal = entry->path();
    if (!journal.filename().string().starts_with(kJournalPrefix) || journal.extension() == ".lock") continue;
    auto state = restore_state(journal);
    if (!state) return pass(state);
    if (*state == RestoreState::kNone) continue;
    const bool forward = *state == RestoreState::kMoving || *state == RestoreState::kCleaningUp;
    if (auto done = forward ? resume_restore(journal) : roll_back_restore(journal); !done) return pass(done);
    settled.push_back(forward ? phrase("an interrupted restore was brought to its end ({})", journal.filename().string())
                              : phrase("an interrupted restore was taken back ({})", journal.filename().string()));
  }
  return settled;
}

}  // namespace verbund::backup
