#include "backup/run_copies.h"

#include <algorithm>

#include "backup/names.h"
#include "backup/services.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kNamedReasons = 20;

/// Every one of them stands in the manifest; people are told the first.
void add_reasons(const char* what, const FolderEntry& entry, const NameList& list, std::vector<Phrase>& reasons) {
  std::size_t told = 0;
  for (const auto& name : list.names) {
    if (++told > kNamedReasons) break;
    reasons.push_back(Phrase{what, {phrase_value(entry.application), phrase_value(entry.root), phrase_value(name)}});
  }
  if (list.count > told) reasons.push_back(phrase("{}: and {} more in {}", entry.application, list.count - told, entry.root));
}

}  // namespace

SaveFolderOptions folder_options(const Application& application, const std::string& version, const FolderRule& rule) {
  SaveFolderOptions options;
  options.label = application.name + " " + rule.root;
  options.root = rule.root;
  options.optional = rule.optional;
  options.lists = rule.lists;
  options.version = version;
  options.mount_points = rule.mount_points;
  return options;
}

Result<std::unique_ptr<Sink>> RunCopies::add(const std::string& name, Content content) {
  const std::lock_guard guard(mutex_);
  return writer_.add(name, content);
}

Status RunCopies::globals(const postgres::ConnectionSettings& superuser) {
  auto sink = add("db/globals.sql", Content::kGlobals);
  if (!sink) return pass(sink);
  if (auto dumped = dump_globals(programs_, superuser, **sink); !dumped) return pass(dumped, "roles of the server");
  return (**sink).finish();
}

Result<DatabaseEntry> RunCopies::database(const Snapshot& snapshot) {
  const auto& name = snapshot.database.settings.database;
  const auto member = "db/" + portable_part(name) + ".dump";
  auto sink = add(member, Content::kDatabase);
  if (!sink) return pass(sink);
  DumpOptions options;
  options.use_snapshot = snapshot.id;
  auto entry = dump_database(programs_, snapshot.database.settings, options, **sink, progress_);
  if (!entry) return pass(entry, phrase("dump database {}", name));
  if (auto finished = (**sink).finish(); !finished) return pass(finished);
  entry->member = member;
  entry->snapshot_lsn = snapshot.lsn;
  return entry;
}

Result<RunCopies::Databases> RunCopies::databases(const Barrier& barrier, const postgres::ConnectionSettings& superuser) {
  Databases done;
  if (auto dumped = globals(superuser); !dumped) {
    if (dumped.error().code != ErrorCode::kForbidden && dumped.error().code != ErrorCode::kProgramFailed) return pass(dumped);
    done.reasons.push_back(phrase_of(dumped.error()));
  }
  for (const auto& snapshot : barrier.snapshots) {
    auto entry = database(snapshot);
    if (!entry) return pass(entry);
    done.entries.push_back(std::move(*entry));
  }
  return done;
}

Status RunCopies::folder(const Application& application, const std::string& version, const FolderRule& rule, std::size_t number, Folders& into) {
  const auto name = fmt::format("folders/{}-{}", portable_part(application.name), number);
  auto archive = add(name + ".tar", Content::kFolder);
  if (!archive) return pass(archive);
  auto index = add(name + ".index", Content::kText);
  if (!index) return pass(index);
  auto saved = save_folder(folder_options(application, version, rule), **archive, index->get(), progress_);
  if (!saved) return pass(saved, phrase("save {}", rule.root));
  for (auto* sink : {&*archive, &*index}) {
    if (auto finished = (**sink).finish(); !finished) return finished;
  }
  FolderEntry entry;
  entry.application = application.name;
  entry.version = version;
  entry.root = rule.root;
  entry.member = name + ".tar";
  entry.files = saved->counts.files;
  entry.bytes = saved->counts.bytes;
  auto restored = restored_paths(rule.lists, version);
  if (!restored) return pass(restored);
  for (const auto& listed : restored->entries()) (listed.optional ? entry.restore_optional : entry.restore).push_back(listed.pattern);
  entry.ignore_case = rule.lists.letter_case == LetterCase::kIgnored;
  const auto& findings = saved->findings;
  entry.missing = findings.missing.names;
  entry.changed = findings.changed.names;
  entry.unreadable = findings.unreadable.names;
  add_reasons(msgid("{}: missing in {}: {}"), entry, findings.missing, into.reasons);
  add_reasons(msgid("{}: changed while it was read, in {}: {}"), entry, findings.changed, into.reasons);
  add_reasons(msgid("{}: can't be read, in {}: {}"), entry, findings.unreadable, into.reasons);
  into.entries.push_back(std::move(entry));
  return {};
}

Result<RunCopies::Folders> RunCopies::folders(const std::vector<Application>& applications) {
  Folders done;
  for (const auto& application : applications) {
    auto version = program_version(application, clock_);
    if (!version) {
      done.reasons.push_back(phrase("{}: its version is not known: {}", application.name, phrase_of(version.error())));
      version = std::string();
    }
    std::size_t number = 0;
    for (const auto& rule : application.folders) {
      auto copied = folder(application, *version, rule, ++number, done);
      if (copied) continue;
      // Lists that depend on a version that nobody knows: this tree is not in the set, and the set says so.
      if (copied.error().code != ErrorCode::kBadConfig) return pass(copied);
      done.reasons.push_back(phrase("{}: {} is not saved: {}", application.name, rule.root, phrase_of(copied.error())));
    }
  }
  return done;
}

}  // namespace verbund::backup
