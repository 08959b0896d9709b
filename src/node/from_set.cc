#include "node/from_set.h"

#include "backup/restore_office.h"
#include "backup/verify.h"
#include "base/messages.h"
#include "node/command_server.h"
#include "node/office_backup.h"
#include "node/restored.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

/// Its first line names the set; the second one says that the configuration is there.
fs::path marker(const fs::path& directory) { return directory / "backup" / "from-set"; }
constexpr std::string_view kConfigured = "configuration";

struct Begun {
  std::string set;  ///< empty: nothing was begun here
  bool configured = false;
};
Result<Begun> begun_in(const fs::path& directory) {
  auto text = os::read_file(marker(directory), 4096);
  if (!text && text.error().code == ErrorCode::kNotFound) return Begun{};
  if (!text) return pass(text);
  const auto end = text->find('\n');
  return Begun{text->substr(0, end), end != std::string::npos && text->substr(end + 1).starts_with(kConfigured)};
}

/// What a new directory may hold: a file system's own folder, and ours before it has a marker.
bool harmless(const fs::path& entry) {
  std::error_code error;
  return entry.filename() == "lost+found" || (entry.filename() == "backup" && fs::is_empty(entry, error));
}

/// Nobody else's files are mixed with the installation's, and what an interrupted attempt has left can be removed.
Status check_empty(const fs::path& directory) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (harmless(entry->path())) continue;
    return fail(ErrorCode::kForbidden, phrase("up --from-set: {} is not empty: {}", directory.string(), entry->path().filename().string()),
                phrase("Name an empty directory with --dir."));
  }
  if (!error || error == std::errc::no_such_file_or_directory) return {};
  return fail(ErrorCode::kIo, phrase("read {}: {}", directory.string(), error.message()));
}

/// Of an attempt that was interrupted before the configuration was there: the directory was empty.
Status clear(const fs::path& directory) {
  std::error_code error;
  for (const auto& [folder, kept] : {std::pair{directory / "backup", std::pair{"from-set", ""}}, {directory, {"backup", "lost+found"}}}) {
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      const auto name = entry->path().filename();
      if (name == kept.first || name == kept.second) continue;
      std::error_code failed;
      if (fs::remove_all(entry->path(), failed); failed) return fail(ErrorCode::kIo, phrase("clear {}: {}", directory.string(), failed.message()));
    }
    if (error && error != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("clear {}: {}", directory.string(), error.message()));
  }
  return {};
}

/// Without its password.
std::string shown_server(const Installation& installation) {
  const auto connection = installation.connection();
  return connection ? connection->shown() : std::string();
}

class FromSetRun {
 public:
  FromSetRun(const backup::SetReader& set, const FromSet& options, backup::Progress& progress, const Clock& clock, Log& log)
      : set_(set), options_(options), progress_(progress), clock_(clock), log_(log) {}

  Result<Term> run() {
    auto programs = backup::Programs::find(std::nullopt);
    if (!programs) return pass(programs);
    programs_ = std::move(*programs);
    auto begun = begun_in(options_.directory);
    if (!begun) return pass(begun);
    if (auto checked = check(*begun); !checked) return pass(checked);
    if (!begun->configured) {
      if (auto made = directory(); !made) return pass(made);
    }
    auto loaded = Installation::load(options_.directory);
    if (!loaded) return pass(loaded);
    if (options_.only_own_server && !loaded->owns_server()) {
      return fail(ErrorCode::kUnsupported, phrase("{}: the office works on an existing server ({}), which nobody may restore into by the way", set_.manifest().id, shown_server(*loaded)),
                  phrase("Restore its databases into another server by the set's RESTORE.txt."));
    }
    say(phrase("making an empty server"));
    auto server = CommandServer::open(*loaded, "verbund up --from-set");
    if (!server) return pass(server);
    auto office = office_of(*loaded);
    if (!office) return pass(office);
    if (auto restored = databases(*office); !restored) return pass(restored);
    say(phrase("beginning a new term"));
    auto term = begin_after_restore(*loaded, office->superuser, options_.above, set_.manifest().id, clock_.wall());
    if (!term) return pass(term);
    // Whoever asks the medium next takes a higher one; a second attempt here does, too.
    if (auto told = options_.on_term ? options_.on_term(*term) : Status{}; !told) return pass(told);
    std::error_code error;
    fs::remove(marker(options_.directory), error);
    if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", marker(options_.directory).string(), error.message()));
    return term;
  }

 private:
  void say(const Phrase& step) {
    if (options_.on_step) options_.on_step(step);
  }

  Status check(const Begun& begun) {
    const auto& directory = options_.directory;
    if (!begun.set.empty() && begun.set != set_.manifest().id) {
      return fail(ErrorCode::kForbidden, phrase("up --from-set: {} is being made from {}, which was interrupted", directory.string(), begun.set),
                  phrase("Name that set again, or remove the directory."));
    }
    if (begun.set.empty() && Installation::exists(directory)) {
      return fail(ErrorCode::kAlreadyExists, phrase("up --from-set: {} is an installation already", directory.string()),
                  phrase("Name an empty directory with --dir; or `verbund backup restore --in-place` into the present one."));
    }
    if (begun.set.empty()) {
      if (auto empty = check_empty(directory); !empty) return empty;
    }
    say(phrase("verifying {} up to {}", set_.manifest().id, backup::level_name(backup::Level::kReadable)));
    backup::VerifyOptions verify;
    verify.level = backup::Level::kReadable;
    verify.key = options_.key;
    auto verified = backup::verify_set(set_, programs_, verify, progress_, clock_, log_);
    if (!verified) return pass(verified);
    if (verified->reached >= backup::Level::kReadable) return {};
    return fail(ErrorCode::kForbidden, phrase("up --from-set: {}", verified->not_higher));
  }

  /// The installation's own folder, as it was saved.
  Status directory() {
    const auto& folders = set_.manifest().folders;
    const auto own = std::ranges::find(folders, backup::kOwnApplication, &backup::FolderEntry::application);
    if (own == folders.end()) return fail(ErrorCode::kNotFound, phrase("up --from-set: {} holds no installation", set_.manifest().id));
    say(phrase("restoring the installation's configuration to {}", options_.directory.string()));
    // PostgreSQL's user enters the directory itself.
    if (auto made = os::make_directories(options_.directory, 0755); !made) return made;
    if (auto made = os::make_directories(options_.directory / "backup", 0700); !made) return made;
    if (auto written = os::write_file_atomically(marker(options_.directory), set_.manifest().id + "\n"); !written) return written;
    if (auto cleared = clear(options_.directory); !cleared) return cleared;
    if (auto restored = configuration(*own); !restored) return restored;
    const auto trusted = options_.directory / "backup" / "trusted";
    if (auto made = os::make_directories(trusted, 0700); !made) return made;
    if (auto written = os::write_file_atomically(trusted / (options_.signer.id_text() + ".pub"), options_.signer.file_text()); !written) return written;
    // What was not saved: empty folders, the log.
    if (auto made = Installation::create({options_.directory, "", std::nullopt}); !made) return made;
    return os::write_file_atomically(marker(options_.directory), fmt::format("{}\n{}\n", set_.manifest().id, kConfigured));
  }

  Status configuration(const backup::FolderEntry& own) {
    const auto journal = options_.directory.parent_path() / ("." + options_.directory.filename().string() + ".from-set");
    const auto forget = [&] {
      std::error_code ignored;
      for (const auto* end : {"", ".lock"}) fs::remove(journal.string() + end, ignored);
    };
    forget();  // an interrupted attempt's: what it has unpacked is cleared away
    backup::RestoreFolderOptions restore;
    restore.label = "installation";
    restore.into = options_.directory;
    std::vector<backup::ListEntry> entries;
    for (const auto* list : {&own.restore, &own.restore_optional}) {
      for (const auto& pattern : *list) entries.push_back({pattern, list == &own.restore_optional, ""});
    }
    auto wanted = backup::PathSet::compile(entries, "", backup::LetterCase::kExact);
    if (!wanted) return pass(wanted);
    restore.wanted = std::move(*wanted);
    restore.journal = journal;
    const auto open = [this](const std::string& member) -> backup::OpenSource {
      return [this, member] { return set_.read(member, backup::SetReader::Form::kPlain, options_.key); };
    };
    auto restored = backup::restore_folder(restore, open(own.member), open(backup::index_of(own.member)), progress_);
    forget();
    return restored ? Status{} : pass(restored);
  }

  Status databases(const backup::Office& office) {
    for (const auto& member : set_.manifest().members) {
      if (member.content != backup::Content::kGlobals) continue;
      say(phrase("restoring the server's roles"));
      auto script = set_.read(member.name, backup::SetReader::Form::kPlain, options_.key);
      if (!script) return pass(script);
      if (auto made = backup::restore_globals(programs_, office.superuser, **script, progress_); !made) return pass(made, "roles of the server");
    }
    const auto scratch = options_.directory / "backup" / "restoring";
    if (auto made = os::make_directories(scratch, 0700); !made) return made;
    Status outcome;
    for (const auto& database : set_.manifest().databases) {
      outcome = one(office, database, scratch / "archive.dump");
      if (!outcome) break;
    }
    std::error_code ignored;
    fs::remove_all(scratch, ignored);
    return outcome;
  }

  Status one(const backup::Office& office, const backup::DatabaseEntry& database, const fs::path& archive) {
    say(phrase("restoring database {}", database.name));
    if (auto extracted = backup::extract(set_, database.member, archive, options_.key, nullptr, progress_); !extracted) return extracted;
    backup::RestoreOptions restore;
    restore.database = database.name;
    restore.owner = database.owner;
    restore.expected = database.tables;
    restore.keep_old = false;  // an empty one, as a new installation has it
    auto restored = backup::restore_database(programs_, office.superuser, archive, restore, progress_);
    return restored ? Status{} : pass(restored, phrase("restore database {}", database.name));
  }

  const backup::SetReader& set_;
  const FromSet& options_;
  backup::Progress& progress_;
  const Clock& clock_;
  Log& log_;
  backup::Programs programs_;
};

}  // namespace

Result<Term> install_from_set(const backup::SetReader& set, const FromSet& options, backup::Progress& progress, const Clock& clock, Log& log) {
  return FromSetRun(set, options, progress, clock, log).run();
}

Status refuse_half_installed(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(marker(directory), error)) return {};
  return fail(ErrorCode::kIncomplete, phrase("start a node on {}: it was being made from a backup set, which was interrupted", directory.string()),
              phrase("Repeat `verbund up --from-set` with the same set: it goes on from there."));
}

}  // namespace verbund::node
