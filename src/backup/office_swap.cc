#include "backup/office_swap.h"

#include <algorithm>

#include <boost/json.hpp>

#include "backup/folder_restore.h"
#include "base/ids.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using postgres::Connection;

constexpr const char* kFolderPrefix = "restore-folder-";
constexpr std::size_t kMaxJournalBytes = 16 * 1024 * 1024;

fs::path journal_file(const fs::path& installation) { return installation / "backup" / "restoring.json"; }

std::string text_of(const json::object& object, const char* name) {
  const auto* value = object.if_contains(name);
  return value && value->is_string() ? std::string(value->as_string()) : std::string();
}
bool flag_of(const json::object& object, const char* name) {
  const auto* value = object.if_contains(name);
  return value && value->is_bool() && value->as_bool();
}

std::optional<Swap> swap_of(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  Swap swap;
  swap.database = text_of(*object, "database");
  swap.beside = text_of(*object, "beside");
  swap.old_name = text_of(*object, "old_name");
  swap.owner = text_of(*object, "owner");
  swap.own_slot = text_of(*object, "own_slot");
  const auto* properties = object->if_contains("properties");
  if (swap.database.empty() || swap.beside.empty() || !properties || !properties->is_array()) return std::nullopt;
  for (const auto& each : properties->as_array()) {
    if (!each.is_string()) return std::nullopt;
    swap.properties.emplace_back(each.as_string());
  }
  return swap;
}

/// Journals of folders whose last restore has not ended, in order of their numbers.
Result<std::vector<std::pair<fs::path, RestoreState>>> open_folders(const fs::path& installation) {
  std::vector<std::pair<fs::path, RestoreState>> open;
  std::error_code error;
  for (fs::directory_iterator entry(installation / "backup", error), end; !error && entry != end; entry.increment(error)) {
    const auto& journal = entry->path();
    if (!journal.filename().string().starts_with(kFolderPrefix) || journal.extension() == ".lock") continue;
    auto state = restore_state(journal);
    if (!state) return pass(state);
    if (*state != RestoreState::kNone) open.emplace_back(journal, *state);
  }
  if (error && error != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("read {}: {}", (installation / "backup").string(), error.message()));
  std::ranges::sort(open);
  return open;
}

/// The last step. Should it come back when power fails, all that it asks for is done, or done again.
Status remove_journal(const fs::path& installation) {
  std::error_code error;
  fs::remove(journal_file(installation), error);
  if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", journal_file(installation).string(), error.message()));
  return {};
}

/// What of ours stands under that name: nothing, or a comment that only restores make.
Result<bool> lies_beside(Connection& system, const Swap& swap, bool whole) {
  auto rows = system.query("SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1", {swap.beside});
  if (!rows) return pass(rows, "databases of the server");
  if (rows->size() == 0) return false;
  return whole ? rows->text(0, 0) == kWaitingMark : rows->text(0, 0).starts_with("verbund: ");
}

Status exchange_databases(const postgres::ConnectionSettings& superuser, const OfficeSwap& swap, bool& changed) {
  auto system = Connection::open(superuser);
  if (!system) return pass(system);
  std::vector<Swap> waiting;
  for (const auto& database : swap.databases) {
    auto waits = lies_beside(*system, database, true);
    if (!waits) return pass(waits);
    if (*waits) waiting.push_back(database);
  }
  if (waiting.size() < swap.databases.size()) changed = true;  // one transaction: it was done before
  if (waiting.empty()) return {};
  auto swapped = swap_databases(*system, superuser, waiting);
  changed = changed || swapped.has_value();
  if (swapped || system->healthy()) return swapped;
  // The connection broke: whether it was committed is known only by looking.
  changed = true;
  auto again = Connection::open(superuser);
  if (!again) return pass(swapped);
  auto waits = lies_beside(*again, waiting.front(), true);
  if (!waits) return pass(waits);
  changed = !*waits;
  return *waits ? swapped : Status{};
}

Status drop_old(const postgres::ConnectionSettings& superuser, const OfficeSwap& swap) {
  if (swap.keep_old) return {};
  auto system = Connection::open(superuser);
  if (!system) return pass(system);
  for (const auto& database : swap.databases) {
    if (database.old_name.empty()) continue;
    if (auto dropped = drop_database(*system, database.old_name); !dropped) return dropped;
  }
  return {};
}

}  // namespace

std::string OfficeSwap::to_json() const {
  json::array all;
  for (const auto& swap : databases) {
    all.push_back(json::object{{"database", swap.database}, {"beside", swap.beside}, {"old_name", swap.old_name}, {"owner", swap.owner},
                               {"own_slot", swap.own_slot}, {"properties", json::value_from(swap.properties)}});
  }
  return json::serialize(json::object{{"set", set}, {"installation", installation}, {"sequence", std::to_string(sequence)}, {"medium", medium.string()},
                                      {"exchanging", exchanging}, {"keep_old", keep_old}, {"databases", all}});
}

Result<OfficeSwap> OfficeSwap::parse(std::string_view text) {
  const auto broken = [] { return fail(ErrorCode::kDamaged, phrase("read what a restore has under way: it is damaged")); };
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  const auto* object = error ? nullptr : value.if_object();
  const auto* databases = object ? object->if_contains("databases") : nullptr;
  if (!databases || !databases->is_array()) return broken();
  OfficeSwap swap;
  swap.set = text_of(*object, "set");
  swap.installation = text_of(*object, "installation");
  swap.sequence = parse_u64(text_of(*object, "sequence")).value_or(0);
  swap.medium = text_of(*object, "medium");
  swap.exchanging = flag_of(*object, "exchanging");
  swap.keep_old = flag_of(*object, "keep_old");
  for (const auto& each : databases->as_array()) {
    auto database = swap_of(each);
    if (!database) return broken();
    swap.databases.push_back(std::move(*database));
  }
  return swap;
}

fs::path folder_journal(const fs::path& installation, std::size_t number) {
  return installation / "backup" / fmt::format("{}{}", kFolderPrefix, number);
}

Status write_office_swap(const fs::path& installation, const OfficeSwap& swap) {
  return os::write_file_atomically(journal_file(installation), swap.to_json() + "\n", 0600);
}

Result<std::optional<OfficeSwap>> read_office_swap(const fs::path& installation) {
  auto text = os::read_file(journal_file(installation), kMaxJournalBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<OfficeSwap>();
  if (!text) return pass(text);
  auto swap = OfficeSwap::parse(*text);
  if (!swap) return pass(swap, phrase("read {}", journal_file(installation).string()));
  return std::optional(std::move(*swap));
}

Status take_back(const fs::path& installation, const postgres::ConnectionSettings& superuser, const OfficeSwap& swap) {
  // Should it be stopped now, nobody goes forward with half of it.
  auto preparing = swap;
  preparing.exchanging = false;
  if (auto written = write_office_swap(installation, preparing); !written) return written;
  auto folders = open_folders(installation);
  if (!folders) return pass(folders);
  for (const auto& [journal, state] : *folders) {
    if (auto back = roll_back_restore(journal); !back) return back;
  }
  if (!swap.databases.empty()) {
    auto system = Connection::open(superuser);
    if (!system) return pass(system);
    for (const auto& database : swap.databases) {
      auto ours = lies_beside(*system, database, false);
      if (!ours) return pass(ours);
      if (!*ours) continue;
      if (auto dropped = drop_database(*system, database.beside); !dropped) return dropped;
    }
  }
  return remove_journal(installation);
}

Status bring_to_end(const fs::path& installation, const postgres::ConnectionSettings& superuser, const OfficeSwap& swap, const OfficeSwapHooks& hooks,
                    bool& changed) {
  const auto say = [&](const Phrase& step) {
    if (hooks.on_step) hooks.on_step(step);
  };
  if (!swap.databases.empty()) {
    say(phrase("exchanging databases"));
    if (auto swapped = exchange_databases(superuser, swap, changed); !swapped) return swapped;
    say(phrase("beginning a new term"));
    if (auto after = hooks.after_databases ? hooks.after_databases(swap) : Status{}; !after) return after;
  }
  auto folders = open_folders(installation);
  if (!folders) return pass(folders);
  for (const auto& [journal, state] : *folders) {
    say(phrase("moving folders in ({})", journal.filename().string()));
    auto moved = resume_restore(journal);
    if (!moved) {
      auto now = restore_state(journal);
      changed = changed || !now || *now != RestoreState::kMoving || journal != folders->front().first;
      return moved;
    }
    changed = true;
  }
  // The office is whole: one database too many is no reason to keep it closed.
  if (auto dropped = swap.databases.empty() ? Status{} : drop_old(superuser, swap); !dropped) say(phrase_of(dropped.error()));
  say(phrase("ending the restore"));
  return remove_journal(installation);
}

Result<Unfinished> unfinished_restore(const fs::path& installation) {
  auto office = read_office_swap(installation);
  if (!office) return pass(office);
  auto folders = open_folders(installation);
  if (!folders) return pass(folders);
  return Unfinished{!folders->empty(), std::move(*office)};
}

Result<std::vector<Phrase>> settle_restore(const fs::path& installation, const postgres::ConnectionSettings& superuser, const OfficeSwapHooks& hooks) {
  auto unfinished = unfinished_restore(installation);
  if (!unfinished) return pass(unfinished);
  std::vector<Phrase> settled;
  if (const auto& office = unfinished->office; office && office->exchanging) {
    bool changed = false;
    if (auto ended = bring_to_end(installation, superuser, *office, hooks, changed); !ended) {
      return pass(ended, phrase("bring the interrupted restore from {} to its end", office->set));
    }
    settled.push_back(phrase("the interrupted restore from {} was brought to its end", office->set));
  } else if (office) {
    if (auto back = take_back(installation, superuser, *office); !back) return pass(back, phrase("take the interrupted restore from {} back", office->set));
    settled.push_back(phrase("the interrupted restore from {} was taken back: all is as it was before", office->set));
  }
  auto folders = open_folders(installation);  // of a look into a set
  if (!folders) return pass(folders);
  for (const auto& [journal, state] : *folders) {
    const bool forward = state == RestoreState::kMoving || state == RestoreState::kCleaningUp;
    if (auto done = forward ? resume_restore(journal) : roll_back_restore(journal); !done) return pass(done);
    settled.push_back(forward ? phrase("an interrupted restore was brought to its end ({})", journal.filename().string())
                              : phrase("an interrupted restore was taken back ({})", journal.filename().string()));
  }
  return settled;
}

}  // namespace verbund::backup
