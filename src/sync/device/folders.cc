#include "sync/device/folders.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/file.h"
#include "sync/model/fields.h"

namespace verbund::sync::device {
namespace {

namespace fs = std::filesystem;
using sqlite::quote_text;

constexpr int kInHand = 202;
constexpr std::uint64_t kLeftFree = 64ULL << 20U;

/// put_…: what the file system said of the file when it was put there: a file of which it says something else is somebody's own. state: 0 to come, 1 here (of a folder
/// that goes up: with the office), 2 to go.
constexpr std::string_view kTables =
    "CREATE TABLE IF NOT EXISTS verbund_folder (name TEXT PRIMARY KEY, up INTEGER NOT NULL, shape TEXT NOT NULL DEFAULT '', version INTEGER NOT NULL DEFAULT 0, whole INTEGER NOT NULL DEFAULT 0,"
    " last_error TEXT NOT NULL DEFAULT '') STRICT;"
    "CREATE TABLE IF NOT EXISTS verbund_file (folder TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, hash TEXT NOT NULL, modified_ms INTEGER NOT NULL, state INTEGER NOT NULL,"
    " seen INTEGER NOT NULL DEFAULT 1, put_bytes INTEGER, put_modified_ns INTEGER, PRIMARY KEY (folder, path)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS verbund_file_hash ON verbund_file (hash)";

Error cancelled() { return make_error(ErrorCode::kCancelled, phrase("sync: it was cancelled")); }

/// Not of this file alone: no sense in trying the next one.
bool holds_up_all(ErrorCode code) {
  return code == ErrorCode::kNotReachable || code == ErrorCode::kTimedOut || code == ErrorCode::kUntrusted || code == ErrorCode::kUnauthenticated || code == ErrorCode::kRevoked || code == ErrorCode::kUnavailable ||
         code == ErrorCode::kCancelled || code == ErrorCode::kDiskFull;
}

Result<bool> there_are_tables(sqlite::Database& database) {
  auto there = database.value("SELECT 1 FROM sqlite_schema WHERE name = 'verbund_folder'");
  if (!there) return pass(there);
  return *there == "1";
}

/// What is there, and nothing when nothing is.
Result<std::optional<files::Entry>> entry_at(const fs::path& root, const std::string& path) {
  auto entry = files::look_at(root, path);
  if (entry) return std::optional(std::move(*entry));
  if (entry.error().code == ErrorCode::kNotFound) return std::optional<files::Entry>();
  return pass(entry);
}

/// The file and the folders above it that it was the last one in.
Status remove_file(const fs::path& root, const std::string& path) {
  std::error_code failed;
  fs::remove(root / path, failed);
  if (failed) return fail(ErrorCode::kIo, phrase("remove {}: {}", (root / path).native(), failed.message()));
  for (auto above = fs::path(path).parent_path(); !above.empty(); above = above.parent_path()) {
    if (!fs::remove(root / above, failed)) return {};  // not empty
  }
  return {};
}

}  // namespace

/// A file that is to come, and what was put in its place before.
struct FolderRun::Due {
  FileEntry file;
  std::optional<std::pair<std::uint64_t, std::int64_t>> put;  // bytes, modified
  [[nodiscard]] bool ours(const files::Entry& there) const { return put && there.bytes == put->first && there.modified_ns == put->second; }
};

fs::path folders_of(const fs::path& file) { return file.native() + "-files"; }

FolderRun::FolderRun(sqlite::Database& database, const fs::path& file, FolderCall call, const SyncEvents& events, std::stop_token stop)
    : database_(database), folders_(folders_of(file)), parts_(folders_ / files::kOwnFolder / "part"), call_(std::move(call)), events_(events), stop_(std::move(stop)) {}

SessionReport FolderRun::run(const FolderName& folder) {
  SessionReport report;
  report.subscription = folder.subscription;
  const auto& name = folder.subscription;
  const auto begin = [&]() -> Status {
    if (!is_file_path(name) || name.front() == '.') return fail(ErrorCode::kBadMessage, phrase("subscription {}: no folder can be called so", name));
    if (auto made = database_.execute(kTables); !made) return made;
    auto was = database_.value(fmt::format("SELECT up FROM verbund_folder WHERE name = {}", quote_text(name)));
    if (!was) return pass(was);
    if (!was->empty() && *was != (folder.up ? "1" : "0")) {
      SessionReport unused;
      if (auto gone = forget(name, unused); !gone) return gone;
    }
    if (auto noted = database_.execute(fmt::format("INSERT OR IGNORE INTO verbund_folder (name, up) VALUES ({}, {})", quote_text(name), folder.up ? 1 : 0)); !noted) return noted;
    return os::make_directories(root(name), 0700);
  };
  auto done = begin();
  if (done) done = folder.up ? up(name, report) : down(name, report);
  if (!done) {
    report.result = done.error().code == ErrorCode::kCancelled ? SyncResult::kCanceled : SyncResult::kFailed;
    report.error = done.error();
  }
  auto noted = database_.execute(fmt::format("UPDATE verbund_folder SET last_error = {} WHERE name = {}", quote_text(done ? std::string() : done.error().message), quote_text(name)));
  if (!noted && done) {
    report.result = SyncResult::kFailed;
    report.error = noted.error();
  }
  return report;
}

Result<FolderPage> FolderRun::page_behind(const std::string& subscription, const FolderCursor& cursor) {
  for (;;) {
    if (stopping()) return std::unexpected(cancelled());
    auto answer = call_("POST", "/api/device/files/" + escaped_part(subscription), encode(cursor));
    if (!answer) return pass(answer);
    if (answer->status != kInHand) return decode_folder_page(answer->body);
    // The server reads what is new in its folder.
    constexpr std::uint64_t kShortest = 50, kLongest = 60'000;
    auto fields = Fields::parse(answer->body, "files of a folder");
    const auto pause = std::clamp(fields.number("retry_ms"), kShortest, kLongest);
    if (!fields.status()) return std::unexpected(fields.status().error());
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop_, milliseconds{static_cast<std::int64_t>(pause)}, [] { return false; });
  }
}

Status FolderRun::note_page(const std::string& subscription, const FolderPage& page) {
  const auto name = quote_text(subscription);
  auto transaction = database_.begin();
  if (!transaction) return pass(transaction);
  if (page.whole) {
    if (auto begun = database_.execute(fmt::format("UPDATE verbund_folder SET whole = 1 WHERE name = {0}; UPDATE verbund_file SET seen = 0 WHERE folder = {0}", name)); !begun) return begun;
  }
  auto insert = database_.prepare(
      "INSERT INTO verbund_file AS f (folder, path, bytes, hash, modified_ms, state) VALUES (?1, ?2, ?3, ?4, ?5, 0) ON CONFLICT (folder, path) DO UPDATE SET"
      " state = CASE WHEN hash = ?4 AND modified_ms = ?5 AND f.state = 1 THEN 1 ELSE 0 END, bytes = ?3, hash = ?4, modified_ms = ?5, seen = 1");
  if (!insert) return pass(insert);
  for (const auto& file : page.files) {
    if (auto done = insert->text(1, subscription).text(2, file.path).integer(3, static_cast<std::int64_t>(file.bytes)).text(4, file.hash).integer(5, file.modified_ms).run(); !done) return done;
  }
  auto gone = database_.prepare("UPDATE verbund_file SET state = 2 WHERE folder = ? AND path = ?");
  if (!gone) return pass(gone);
  for (const auto& path : page.gone) {
    if (auto done = gone->text(1, subscription).text(2, path).run(); !done) return done;
  }
  std::string end = fmt::format("UPDATE verbund_folder SET shape = {1}, version = {2} WHERE name = {0};", name, quote_text(page.cursor.shape), page.cursor.version);
  if (!page.more) {
    end += fmt::format("UPDATE verbund_file SET state = 2 WHERE folder = {0} AND seen = 0 AND (SELECT whole FROM verbund_folder WHERE name = {0}) = 1; UPDATE verbund_folder SET whole = 0 WHERE name = {0}", name);
  }
  if (auto noted = database_.execute(end); !noted) return noted;
  return transaction->commit();
}

Status FolderRun::hear(const std::string& subscription) {
  for (;;) {
    auto row = database_.prepare("SELECT shape, version FROM verbund_folder WHERE name = ?");
    if (!row) return pass(row);
    auto there = row->text(1, subscription).step();
    if (!there) return pass(there);
    const FolderCursor cursor{std::string(row->text(0)), static_cast<std::uint64_t>(row->integer(1))};
    row->reset();
    auto page = page_behind(subscription, cursor);
    if (!page) return pass(page);
    if (page->more && page->cursor.version <= (page->whole ? 0 : cursor.version)) return fail(ErrorCode::kBadMessage, phrase("files of {}: the server says the same again", subscription));
    if (auto noted = note_page(subscription, *page); !noted) return noted;
    if (!page->more) return {};
  }
}

/// Files that somebody has removed or changed here come again.
Status FolderRun::look_after(const std::string& subscription) {
  auto rows = database_.prepare("SELECT path, put_bytes, put_modified_ns FROM verbund_file WHERE folder = ? AND state = 1");
  if (!rows) return pass(rows);
  rows->text(1, subscription);
  std::vector<std::string> others;
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) break;
    auto there = entry_at(root(subscription), std::string(rows->text(0)));
    if (!there) return pass(there);
    if (!*there || static_cast<std::int64_t>((*there)->bytes) != rows->integer(1) || (*there)->modified_ns != rows->integer(2)) others.emplace_back(rows->text(0));
  }
  rows->reset();
  for (const auto& path : others) {
    if (auto noted = database_.execute(fmt::format("UPDATE verbund_file SET state = 0 WHERE folder = {} AND path = {}", quote_text(subscription), quote_text(path))); !noted) return noted;
  }
  return {};
}

Status FolderRun::remove_gone(const std::string& subscription, SessionReport& report) {
  auto rows = database_.prepare("SELECT path, put_bytes, put_modified_ns FROM verbund_file WHERE folder = ? AND state = 2");
  if (!rows) return pass(rows);
  rows->text(1, subscription);
  std::vector<std::string> paths;
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) break;
    paths.emplace_back(rows->text(0));
    auto there = entry_at(root(subscription), paths.back());
    if (!there) return pass(there);
    const bool ours = *there && static_cast<std::int64_t>((*there)->bytes) == rows->integer(1) && (*there)->modified_ns == rows->integer(2);
    if (!ours) continue;  // somebody's own, or gone already
    if (auto removed = remove_file(root(subscription), paths.back()); !removed) return removed;
    ++report.deleted;
  }
  rows->reset();
  for (const auto& path : paths) {
    if (auto noted = database_.execute(fmt::format("DELETE FROM verbund_file WHERE folder = {} AND path = {}", quote_text(subscription), quote_text(path))); !noted) return noted;
  }
  return {};
}

/// The same content in another place here: a file that was renamed, or lies in two folders.
Result<bool> FolderRun::copy_own(const FileEntry& file) {
  auto rows = database_.prepare("SELECT folder, path, put_bytes, put_modified_ns FROM verbund_file WHERE hash = ? AND put_bytes = bytes AND state <> 0");
  if (!rows) return pass(rows);
  rows->text(1, file.hash);
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) return false;
    const auto from = root(std::string(rows->text(0)));
    auto there = entry_at(from, std::string(rows->text(1)));
    if (!there) return pass(there);
    if (!*there || static_cast<std::int64_t>((*there)->bytes) != rows->integer(2) || (*there)->modified_ns != rows->integer(3)) continue;
    auto copied = parts_.copy(file.hash, from, **there);
    if (copied) return true;
    if (copied.error().code != ErrorCode::kNotFound) return pass(copied);
  }
}

/// The part of a file, whole. What has come of it before stays.
Status FolderRun::fill(const std::string& subscription, const FileEntry& file) {
  if (parts_.begun(file.hash) > file.bytes) {
    if (auto gone = parts_.forget(file.hash); !gone) return gone;
  }
  if (parts_.begun(file.hash) == 0) {
    auto copied = copy_own(file);
    if (!copied) return pass(copied);
    if (*copied) return {};
  }
  if (file.bytes == 0) return parts_.write(file.hash, 0, "");
  auto room = os::free_bytes(folders_);
  if (!room) return pass(room);
  if (*room < kLeftFree + file.bytes) return fail(ErrorCode::kDiskFull, phrase("fetch {}: {} MB are needed, {} MB are free", file.path, file.bytes >> 20U, *room >> 20U));
  for (auto at = parts_.begun(file.hash); at < file.bytes;) {
    if (stopping()) return std::unexpected(cancelled());
    auto piece = call_("GET", fmt::format("/api/device/files/{}/{}/{}", escaped_part(subscription), file.hash, at), {});
    if (!piece) return pass(piece);
    if (piece->body.empty() || piece->body.size() > file.bytes - at) return fail(ErrorCode::kBadMessage, phrase("fetch {}: what has come is not as long as was said", file.path));
    if (auto written = parts_.write(file.hash, at, piece->body); !written) return written;
    at += piece->body.size();
  }
  return {};
}

Status FolderRun::note_here(const std::string& subscription, const FileEntry& file) {
  auto there = files::look_at(root(subscription), file.path);
  if (!there) return pass(there);
  return database_.execute(fmt::format("UPDATE verbund_file SET state = 1, put_bytes = {}, put_modified_ns = {} WHERE folder = {} AND path = {}", there->bytes, there->modified_ns, quote_text(subscription),
                                       quote_text(file.path)));
}

/// Whether what is there already is the file. What is somebody's own is called NAME.mine from now on.
Result<bool> FolderRun::take_what_lies_there(const std::string& subscription, const Due& due) {
  const auto at = root(subscription);
  auto there = entry_at(at, due.file.path);
  if (!there) return pass(there);
  if (!*there || (*there)->directory) return false;
  if ((*there)->bytes == due.file.bytes) {
    auto hash = files::hash_of(at, **there, stop_);
    if (!hash) return pass(hash);
    if (*hash == due.file.hash) return true;
  }
  if (due.ours(**there)) return false;
  auto mine = due.file.path + ".mine";
  for (int number = 2;; ++number) {
    auto taken = entry_at(at, mine);
    if (!taken) return pass(taken);
    if (!*taken) break;
    mine = fmt::format("{}.mine{}", due.file.path, number);
  }
  std::error_code failed;
  fs::rename(at / due.file.path, at / mine, failed);
  if (failed) return fail(ErrorCode::kIo, phrase("rename {}: {}", (at / due.file.path).native(), failed.message()));
  return false;
}

Status FolderRun::fetch(const std::string& subscription, const Due& due) {
  auto there = take_what_lies_there(subscription, due);
  if (!there) return pass(there);
  if (!*there) {
    if (auto filled = fill(subscription, due.file); !filled) return filled;
    constexpr unsigned kMode = 0600;
    auto put = parts_.put(due.file.hash, root(subscription), {due.file.path, due.file.bytes, due.file.hash, due.file.modified_ms, kMode}, files::Parts::Taken::kReplaced);
    if (!put) return pass(put);
  }
  return note_here(subscription, due.file);
}

Status FolderRun::fetch_all(const std::string& subscription, SessionReport& report) {
  std::vector<Due> all;
  auto rows = database_.prepare("SELECT path, bytes, hash, modified_ms, put_bytes, put_modified_ns, put_bytes IS NOT NULL FROM verbund_file WHERE folder = ? AND state = 0 ORDER BY path");
  if (!rows) return pass(rows);
  rows->text(1, subscription);
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) break;
    Due due{{std::string(rows->text(0)), static_cast<std::uint64_t>(rows->integer(1)), std::string(rows->text(2)), rows->integer(3)}, {}};
    if (rows->integer(6) == 1) due.put = std::pair(static_cast<std::uint64_t>(rows->integer(4)), rows->integer(5));
    all.push_back(std::move(due));
  }
  rows->reset();
  Status first_failure;
  for (const auto& due : all) {
    if (stopping()) return std::unexpected(cancelled());
    auto fetched = fetch(subscription, due);
    if (!fetched && holds_up_all(fetched.error().code)) return fetched;
    if (!fetched && (first_failure || first_failure.error().code == ErrorCode::kNotFound)) first_failure = pass(fetched, phrase("file {}", due.file.path));
    if (!fetched) continue;
    ++report.upserted;
    if (events_.on_progress) events_.on_progress(subscription, report.upserted);
  }
  return first_failure;
}

Status FolderRun::down(const std::string& subscription, SessionReport& report) {
  constexpr int kRounds = 3;  // a file that changes while it is fetched is another one
  Status done;
  for (int round = 0; round < kRounds; ++round) {
    if (auto heard = hear(subscription); !heard) return heard;
    if (auto looked = look_after(subscription); !looked) return looked;
    done = fetch_all(subscription, report);  // before others go: what was renamed is copied
    if (auto removed = remove_gone(subscription, report); !removed) return removed;
    if (done || done.error().code != ErrorCode::kNotFound) break;
  }
  return done;
}

/// The office's history is another one, or the rule: all of it is offered again. What it has it says so.
Status FolderRun::hear_shape(const std::string& subscription) {
  auto page = page_behind(subscription, {});
  if (!page) return pass(page);
  return database_.execute(fmt::format("UPDATE verbund_file SET state = 0 WHERE folder = {0} AND (SELECT shape FROM verbund_folder WHERE name = {0}) <> {1}; UPDATE verbund_folder SET shape = {1} WHERE name = {0}",
                                       quote_text(subscription), quote_text(page->cursor.shape)));
}

Status FolderRun::send_pieces(const std::string& subscription, const files::Entry& entry, const std::string& hash, std::uint64_t from) {
  for (auto at = from; at < entry.bytes;) {
    if (stopping()) return std::unexpected(cancelled());
    auto piece = files::read_piece(root(subscription), entry, at, kFilePieceBytes);
    if (!piece) return pass(piece);
    const auto bytes = piece->size();
    auto sent = call_("PUT", fmt::format("/api/device/files/{}/{}/{}", escaped_part(subscription), hash, at), std::move(*piece));
    if (!sent) return pass(sent);
    at += bytes;
  }
  return {};
}

Status FolderRun::send(const std::string& subscription, const files::Entry& entry) {
  if (!is_file_path(entry.path)) return fail(ErrorCode::kBadMessage, phrase("send {}: the office takes no file of that name", entry.path));
  auto hash = files::hash_of(root(subscription), entry, stop_);
  if (!hash) return pass(hash);
  const FileEntry file{entry.path, entry.bytes, *hash, std::max<std::int64_t>(0, entry.modified_ns / 1'000'000)};
  constexpr int kTries = 3;
  for (int tries = 0; tries < kTries; ++tries) {
    auto answer = call_("POST", "/api/device/files/" + escaped_part(subscription) + "/offer", encode(file));
    if (!answer) return pass(answer);
    auto taken = decode_file_taken(answer->body);
    if (!taken) return pass(taken);
    if (!taken->path.empty()) {
      auto note = database_.prepare(
          "INSERT INTO verbund_file (folder, path, bytes, hash, modified_ms, state, put_bytes, put_modified_ns) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?3, ?6) ON CONFLICT (folder, path) DO UPDATE SET"
          " bytes = ?3, hash = ?4, modified_ms = ?5, state = 1, put_bytes = ?3, put_modified_ns = ?6");
      if (!note) return pass(note);
      return note->text(1, subscription).text(2, file.path).integer(3, static_cast<std::int64_t>(file.bytes)).text(4, file.hash).integer(5, file.modified_ms).integer(6, entry.modified_ns).run();
    }
    if (auto sent = send_pieces(subscription, entry, *hash, std::min(taken->have, entry.bytes)); !sent) return sent;
  }
  return fail(ErrorCode::kUnavailable, phrase("send {}: the office asks for it again and again", entry.path));
}

Status FolderRun::up(const std::string& subscription, SessionReport& report) {
  if (auto heard = hear_shape(subscription); !heard) return heard;
  auto listing = files::list_tree(root(subscription), stop_);
  if (!listing) return pass(listing);
  auto known = database_.prepare("SELECT put_bytes, put_modified_ns FROM verbund_file WHERE folder = ? AND path = ? AND state = 1");
  if (!known) return pass(known);
  Status first_failure;
  for (const auto& entry : listing->entries) {
    if (entry.directory) continue;
    known->reset();
    auto there = known->text(1, subscription).text(2, entry.path).step();
    if (!there) return pass(there);
    if (*there && static_cast<std::int64_t>(entry.bytes) == known->integer(0) && entry.modified_ns == known->integer(1)) continue;
    known->reset();
    if (stopping()) return std::unexpected(cancelled());
    auto sent = send(subscription, entry);
    if (!sent && holds_up_all(sent.error().code)) return sent;
    if (!sent && sent.error().code == ErrorCode::kNotFound) continue;  // it is being written just now: the next sync
    if (!sent && first_failure) first_failure = pass(sent, phrase("file {}", entry.path));
    if (!sent) continue;
    ++report.upserted;
    if (events_.on_progress) events_.on_progress(subscription, report.upserted);
  }
  return first_failure;
}

Status FolderRun::forget(const std::string& subscription, SessionReport& report) {
  const auto name = quote_text(subscription);
  auto up = database_.value(fmt::format("SELECT up FROM verbund_folder WHERE name = {}", name));
  if (!up) return pass(up);
  if (*up == "0") {
    if (auto noted = database_.execute(fmt::format("UPDATE verbund_file SET state = 2 WHERE folder = {}", name)); !noted) return noted;
    if (auto gone = remove_gone(subscription, report); !gone) return gone;
  }
  std::error_code not_empty;
  fs::remove(root(subscription), not_empty);
  return database_.execute(fmt::format("DELETE FROM verbund_file WHERE folder = {0}; DELETE FROM verbund_folder WHERE name = {0}", name));
}

Status FolderRun::forget_others(const std::vector<FolderName>& folders) {
  auto there = there_are_tables(database_);
  if (!there) return pass(there);
  if (!*there) return {};
  std::vector<std::string> others;
  auto rows = database_.prepare("SELECT name FROM verbund_folder");
  if (!rows) return pass(rows);
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) break;
    if (std::ranges::find(folders, rows->text(0), &FolderName::subscription) == folders.end()) others.emplace_back(rows->text(0));
  }
  rows->reset();
  for (const auto& name : others) {
    SessionReport unused;
    if (auto gone = forget(name, unused); !gone) return gone;
  }
  return {};
}

Result<std::vector<FolderStatus>> folder_status(sqlite::Database& database, const fs::path& file) {
  std::vector<FolderStatus> all;
  auto there = there_are_tables(database);
  if (!there) return pass(there);
  if (!*there) return all;
  auto rows = database.prepare("SELECT name, last_error, up, (SELECT count(*) FROM verbund_file f WHERE f.folder = d.name AND f.state = 1), (SELECT count(*) FROM verbund_file f WHERE f.folder = d.name AND f.state = 0)"
                               " FROM verbund_folder d ORDER BY name");
  if (!rows) return pass(rows);
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) break;
    all.push_back({std::string(rows->text(0)), std::string(rows->text(1)), rows->integer(2) == 1, static_cast<std::uint64_t>(rows->integer(3)), static_cast<std::uint64_t>(rows->integer(4))});
  }
  rows->reset();
  auto known = database.prepare("SELECT 1 FROM verbund_file WHERE folder = ? AND path = ? AND state = 1 AND put_bytes = ? AND put_modified_ns = ?");
  if (!known) return pass(known);
  for (auto& one : all) {
    if (!one.up) continue;
    auto listing = files::list_tree(folders_of(file) / one.subscription);
    if (!listing && listing.error().code == ErrorCode::kNotFound) continue;
    if (!listing) return pass(listing);
    one.waiting = 0;
    for (const auto& entry : listing->entries) {
      if (entry.directory) continue;
      known->reset();
      auto sent = known->text(1, one.subscription).text(2, entry.path).integer(3, static_cast<std::int64_t>(entry.bytes)).integer(4, entry.modified_ns).step();
      if (!sent) return pass(sent);
      one.waiting += *sent ? 0 : 1;
    }
  }
  return all;
}

Status remove_folders(sqlite::Database& database, const fs::path& file) {
  std::error_code failed;
  fs::remove_all(folders_of(file), failed);
  if (failed) return fail(ErrorCode::kIo, phrase("remove {}: {}", folders_of(file).native(), failed.message()));
  return database.execute("DROP TABLE IF EXISTS verbund_file; DROP TABLE IF EXISTS verbund_folder");
}

}  // namespace verbund::sync::device
