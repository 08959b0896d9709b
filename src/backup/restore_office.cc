#include "backup/restore_office.h"

#include <algorithm>
#include <map>

#include "backup/names.h"
#include "backup/office_swap.h"
#include "backup/program.h"
#include "backup/services.h"
#include "backup/verify.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

/// Of this machine: what has been given since the set was made must not be given again.
constexpr std::string_view kEpochFile = "agent/epoch";

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
    return options_.into ? look() : in_place();
  }

 private:
  struct Chosen {
    const FolderEntry* entry;
    bool whole;                      ///< the second list
    std::vector<std::string> paths;  ///< else: single files or folders below the root
    fs::path root;                   ///< where it goes

    [[nodiscard]] bool nothing() const { return whole && entry->restore.empty() && entry->restore_optional.empty(); }
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
        if (entry.application != kOwnApplication || options_.into) folders_.push_back({&entry, true, {}, root_of(entry)});
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
      if (std::ranges::find(databases_, &database) == databases_.end()) databases_.push_back(&database);
      found = true;
    }
    for (const auto& entry : set_.manifest().folders) {
      if (entry.application == name) {
        chosen_of(entry).whole = true;
        found = true;
      } else if (const auto below = fs::path(name).lexically_relative(entry.root); name.starts_with('/') && !below.empty() && *below.begin() != "..") {
        chosen_of(entry).paths.push_back(below.string());
        found = true;
      }
    }
    return found;
  }

  /// Named twice or by its parts, it is moved in once.
  Chosen& chosen_of(const FolderEntry& entry) {
    const auto known = std::ranges::find(folders_, &entry, &Chosen::entry);
    return known != folders_.end() ? *known : folders_.emplace_back(&entry, false, std::vector<std::string>(), root_of(entry));
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
    if (!chosen.whole) {
      options.wanted = PathSet::literal(chosen.paths, letter_case);
    } else {
      auto wanted = PathSet::compile(entries_of(entry), entry.version, letter_case);
      if (!wanted) return pass(wanted);
      options.wanted = std::move(*wanted);
    }
    options.journal = folder_journal(office_.directory, number);
    return options;
  }

  [[nodiscard]] std::vector<ListEntry> entries_of(const FolderEntry& entry) const {
    std::vector<ListEntry> entries;
    for (const auto* list : {&entry.restore, &entry.restore_optional}) {
      for (const auto& pattern : *list) {
        if (entry.application == kOwnApplication && !options_.into && pattern == kEpochFile) continue;
        entries.push_back({pattern, list == &entry.restore_optional, ""});
      }
    }
    return entries;
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
    std::map<fs::path, const Chosen*> places;
    for (std::size_t i = 0; i < folders_.size(); ++i) {
      const auto& chosen = folders_[i];
      if (chosen.nothing() || options_.into) continue;
      auto options = folder_options(chosen, i);
      if (!options) return pass(options);
      auto planned = plan_restore_folder(*options, opener(chosen.entry->member), opener(index_of(chosen.entry->member)));
      if (!planned) return pass(planned, phrase("restore {}", chosen.root.string()));
      for (const auto& each : planned->placed) {
        if (auto free = take_place(places, each.path.empty() ? chosen.root : chosen.root / each.path, chosen); !free) return free;
      }
      if (options_.dry_run) done_.folders.push_back(told(chosen, std::move(*planned)));
    }
    return {};
  }

  /// All folders are moved in together: what one moves in must not lie in what another one moves away.
  static Status take_place(std::map<fs::path, const Chosen*>& places, const fs::path& place, const Chosen& chosen) {
    const auto within = [](const fs::path& outer, const fs::path& inner) {
      return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
    };
    for (const auto& [other, whose] : places) {
      if (whose == &chosen || (!within(other, place) && !within(place, other))) continue;
      return fail(ErrorCode::kUnsupported, phrase("restore: {} and {} both bring {}", whose->entry->application, chosen.entry->application, std::max(other, place).string()),
                  phrase("Restore them one after the other: --only {}, then --only {}.", whose->entry->application, chosen.entry->application));
    }
    places.emplace(place, &chosen);
    return {};
  }

  // For a look

  Status look() {
    if (!databases_.empty()) {
      if (auto written = archives(); !written) return written;
    }
    for (std::size_t i = 0; i < folders_.size(); ++i) {
      const auto& chosen = folders_[i];
      if (chosen.nothing()) continue;
      say(phrase("restoring {}", chosen.root.string()));
      if (auto made = os::make_directories(chosen.root.parent_path(), 0700); !made) return made;
      auto restored = folder(i, restore_folder);
      if (!restored) return pass(restored);
      done_.folders.push_back(told(chosen, std::move(*restored)));
    }
    return {};
  }

  Result<RestoredFolder> folder(std::size_t number, decltype(restore_folder) how) {
    const auto& chosen = folders_[number];
    auto options = folder_options(chosen, number);
    if (!options) return pass(options);
    auto restored = how(*options, opener(chosen.entry->member), opener(index_of(chosen.entry->member)), progress_);
    if (!restored) return pass(restored, phrase("restore {}", chosen.root.string()));
    log_.info("backup.folder_restored", {{"application", chosen.entry->application}, {"files", restored->counts.files}});
    return restored;
  }

  // Databases

  Status plan_databases() {
    for (const auto* database : databases_) done_.databases.push_back({database->name, {}, {}});
    return {};
  }

  // In place: all beside, then all exchanged

  Status in_place() {
    auto outcome = stop_services();
    if (outcome) outcome = prepare();
    if (outcome) outcome = exchange();
    // An application must not write into half an office.
    if (!mixed_) start_services();
    return outcome;
  }

  Status prepare() {
    swap_.set = set_.manifest().id;
    swap_.installation = set_.manifest().installation;
    swap_.sequence = set_.manifest().sequence;
    swap_.medium = set_.directory().parent_path();
    swap_.keep_old = options_.keep_old;
    for (const auto* database : databases_) {
      swap_.databases.emplace_back().database = database->name;
      swap_.databases.back().beside = beside_name(database->name);
    }
    if (auto written = write_office_swap(office_.directory, swap_); !written) return written;
    auto done = databases();
    if (done) done = folders();
    return done ? done : give_up(std::move(done));
  }

  Status folders() {
    for (std::size_t i = 0; i < folders_.size(); ++i) {
      if (folders_[i].nothing()) continue;
      say(phrase("unpacking {}", folders_[i].root.string()));
      auto unpacked = folder(i, unpack_folder);
      if (!unpacked) return pass(unpacked);
      brought_.folders.push_back(told(folders_[i], std::move(*unpacked)));
    }
    return {};
  }

  Status databases() {
    if (databases_.empty()) return {};
    const auto scratch = office_.directory / "backup" / "restoring";
    if (auto made = os::make_directories(scratch, 0700); !made) return made;
    Status outcome;
    for (std::size_t i = 0; outcome && i < databases_.size(); ++i) outcome = beside(*databases_[i], scratch / "archive.dump", swap_.databases[i]);
    std::error_code ignored;
    fs::remove_all(scratch, ignored);
    return outcome;
  }

  Status beside(const DatabaseEntry& database, const fs::path& archive, Swap& swap) {
    say(phrase("restoring database {}", database.name));
    if (auto extracted = extract(set_, database.member, archive, options_.key, options_.interrupted, progress_); !extracted) return extracted;
    RestoreOptions how;
    how.database = database.name;
    how.owner = database.owner;
    how.own_slot = options_.own_slot;
    how.keep_old = options_.keep_old;
    how.jobs = options_.jobs;
    how.expected = database.tables;
    auto restored = restore_beside(programs_, office_.superuser, archive, how, progress_);
    if (!restored) return pass(restored, phrase("restore database {}", database.name));
    swap = std::move(restored->swap);
    brought_.databases.push_back({database.name, options_.keep_old ? swap.old_name : std::string(), std::move(restored->warnings)});
    return {};
  }

  Status exchange() {
    swap_.exchanging = true;
    if (auto written = write_office_swap(office_.directory, swap_); !written) return give_up(pass(written));
    OfficeSwapHooks hooks{options_.after_databases, options_.on_step};
    bool changed = false;
    auto ended = bring_to_end(office_.directory, office_.superuser, swap_, hooks, changed);
    if (!ended && !changed) return give_up(std::move(ended));
    if (!ended) {
      mixed_ = true;
      std::vector<std::string> down;
      for (const auto* application : stopped_) down.push_back(application->name);
      ended.error().advise(phrase("A part has been exchanged already. Mend the cause, then: verbund backup recover. Until then the node and these services stay down: {}",
                                  fmt::format("{}", fmt::join(down, ", "))));
      return ended;
    }
    for (const auto& database : brought_.databases) log_.info("backup.database_restored", {{"database", database.name}, {"kept_as", database.kept_as}});
    done_.databases = std::move(brought_.databases);
    done_.folders = std::move(brought_.folders);
    return {};
  }

  /// All is as it was; what hinders that is told, too, and left to the next command.
  Status give_up(Status failure) {
    if (auto back = take_back(office_.directory, office_.superuser, swap_); !back) {
      log_.error("backup.restore_not_taken_back", {{"error", back.error().message}});
      failure.error().advise(phrase("What lies beside could not be removed: verbund backup recover does it."));
    }
    return failure;
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
  OfficeSwap swap_;
  OfficeRestored brought_;  // what lies beside
  bool mixed_ = false;
};

}  // namespace

Status restore_office(const Office& office, const SetReader& set, const Programs& programs, const OfficeRestore& options, OfficeRestored& done,
                      Progress& progress, const Clock& clock, Log& log) {
  return Restore(office, set, programs, options, done, progress, clock, log).run();
}

}  // namespace verbund::backup
