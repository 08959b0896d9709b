#include "sync/device/lease.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/sealed_box.h"
#include "sync/device/folder_lock.h"
#include "sync/device/freeze.h"
#include "sync/device/wipe.h"

namespace verbund::sync::device {
namespace {

using sqlite::Database;

/// How long an office's answer holds until the sync that it belongs to has brought the next lease.
constexpr std::int64_t kUntilNextLease = 86'400;
/// So seldom it is noted how late it was when the file was opened.
constexpr std::int64_t kNotedEvery = 60;

/// A clock may be put right by so much. More is taken for somebody who wants the lease to last.
constexpr std::int64_t kSetBackTolerated = 86'400;

/// `locked`: 0 no, 1 the data are gone from the tables, 2 and from the file.
constexpr std::string_view kTable = "CREATE TABLE IF NOT EXISTS verbund_lease (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), until INTEGER NOT NULL, seen INTEGER NOT NULL, key BLOB NOT NULL,"
                                    " locked INTEGER NOT NULL DEFAULT 0) STRICT";
constexpr std::string_view kRejects = "SELECT json_group_array(json_array(id, upload, row, subscription, table_name, op, key, reason, text, mine, theirs, at, state)) FROM verbund_reject";

std::int64_t seconds_of(WallTime time) { return std::chrono::duration_cast<seconds>(time.time_since_epoch()).count(); }

struct Row {
  bool there = false;
  std::int64_t until = 0, seen = 0, locked = 0;
  std::string key;
};

Result<Row> row_of(Database& database) {
  auto table = database.value("SELECT 1 FROM sqlite_schema WHERE name = 'verbund_lease'");
  if (!table) return pass(table);
  if (*table != "1") return Row{};
  auto rows = database.prepare("SELECT until, seen, locked, key FROM verbund_lease");
  if (!rows) return pass(rows);
  auto more = rows->step();
  if (!more) return pass(more);
  if (!*more) return Row{};
  return Row{true, rows->integer(0), rows->integer(1), rows->integer(2), std::string(rows->text(3))};
}

/// Each block of an upload becomes what `change` makes of it.
template <typename Change>
Status change_blocks(Database& database, Change change) {
  struct Place {
    std::int64_t number = 0, block = 0;
  };
  std::vector<Place> places;
  {
    auto all = database.prepare("SELECT number, block FROM verbund_upload_block");
    if (!all) return pass(all);
    for (;;) {
      auto more = all->step();
      if (!more) return pass(more);
      if (!*more) break;
      places.push_back({all->integer(0), all->integer(1)});
    }
  }
  auto read = database.prepare("SELECT content FROM verbund_upload_block WHERE number = ? AND block = ?");
  auto write = database.prepare("UPDATE verbund_upload_block SET content = ? WHERE number = ? AND block = ?");
  if (!read) return pass(read);
  if (!write) return pass(write);
  for (const auto& place : places) {
    auto there = read->integer(1, place.number).integer(2, place.block).step();
    if (!there) return pass(there);
    Result<std::string> changed = change(read->text(0));
    read->reset();
    if (!changed) return pass(changed);
    if (auto done = write->blob(1, *changed).integer(2, place.number).integer(3, place.block).run(); !done) return done;
  }
  return {};
}

Status seal_rejects(Database& database, const std::string& key) {
  auto rejects = database.value(kRejects);
  if (!rejects) return pass(rejects);
  auto sealed = os::seal(*rejects, key);
  if (!sealed) return pass(sealed);
  if (auto made = database.execute("CREATE TABLE IF NOT EXISTS verbund_sealed (content BLOB NOT NULL) STRICT"); !made) return made;
  auto insert = database.prepare("INSERT INTO verbund_sealed VALUES (?)");
  if (!insert) return pass(insert);
  if (auto done = insert->blob(1, *sealed).run(); !done) return done;
  return database.execute("DELETE FROM verbund_reject");
}

Status unseal_rejects(Database& database, const os::BoxKeys& keys) {
  auto kept = database.prepare("SELECT content FROM verbund_sealed");
  if (!kept) return pass(kept);
  for (;;) {
    auto more = kept->step();
    if (!more) return pass(more);
    if (!*more) break;
    auto rejects = os::unseal(kept->text(0), keys);
    if (!rejects) return pass(rejects);
    std::string fields;
    for (int at = 0; at < 13; ++at) fields += fmt::format("{}json_extract(value, '$[{}]')", at == 0 ? "" : ", ", at);
    auto back = database.prepare(fmt::format("INSERT OR IGNORE INTO verbund_reject (id, upload, row, subscription, table_name, op, key, reason, text, mine, theirs, at, state) SELECT {} FROM json_each(?)", fields));
    if (!back) return pass(back);
    if (auto done = back->text(1, *rejects).run(); !done) return done;
  }
  kept->reset();
  return database.execute("DROP TABLE verbund_sealed");
}

/// The application's changes become uploads, uploads and rejects are sealed, tables go.
Status lock_up(Database& database, const std::string& key) {
  if (auto secure = overwrite_deleted(database); !secure) return secure;
  auto transaction = database.begin();
  if (!transaction) return pass(transaction);
  SyncRequest request;
  auto history = database.value("SELECT history FROM verbund_device");
  if (!history) return pass(history);
  request.history = std::move(*history);
  if (auto frozen = freeze_changes(database, request); !frozen) return frozen;
  if (auto sealed = change_blocks(database, [&](std::string_view block) { return os::seal(block, key); }); !sealed) return sealed;
  if (auto sealed = seal_rejects(database, key); !sealed) return sealed;
  auto sql = drop_statements(database);
  if (!sql) return pass(sql);
  // A sync that is under way is over: what it has not brought to its end is sent again.
  *sql += "UPDATE verbund_device SET request = '', history = ''; UPDATE verbund_upload SET sent = 0 WHERE rows > (SELECT count(*) FROM verbund_outcome o WHERE o.upload = number);"
          "DROP TABLE IF EXISTS verbund_repair; UPDATE verbund_lease SET locked = 1";
  if (auto done = database.execute(*sql); !done) return done;
  return transaction->commit();
}

}  // namespace

Result<Lease> lease_of(Database& database) {
  auto row = row_of(database);
  if (!row) return pass(row);
  if (!row->there) return Lease{};
  return Lease{to_iso8601(WallTime{seconds{row->until}}), row->locked != 0};
}

Status note_lease(Database& database, const SyncReply& reply, WallTime now) {
  if (reply.lease.count() == 0) return database.execute("DROP TABLE IF EXISTS verbund_lease");
  if (auto made = database.execute(kTable); !made) return made;
  auto note = database.prepare("INSERT INTO verbund_lease (only_one, until, seen, key) VALUES (1, ?1, ?2, ?3) ON CONFLICT (only_one) DO UPDATE SET until = ?1, seen = ?2, key = ?3, locked = 0");
  if (!note) return pass(note);
  return note->integer(1, seconds_of(now) + reply.lease.count()).integer(2, seconds_of(now)).blob(3, reply.lease_key).run();
}

Status keep_lease(Database& database, const std::filesystem::path& file, WallTime now) {
  auto row = row_of(database);
  if (!row) return pass(row);
  if (!row->there || row->locked == 2) return {};
  if (row->locked == 0) {
    const auto late = seconds_of(now);
    if (late >= row->seen + kNotedEvery) {
      if (auto noted = database.execute(fmt::format("UPDATE verbund_lease SET seen = {}", late)); !noted) return noted;
    }
    if (late < row->until && late + kSetBackTolerated >= row->seen) return {};
    if (auto locked = lock_up(database, row->key); !locked) return locked;
  }
  if (auto locked = lock_folders(database, file, row->key); !locked) return locked;
  if (auto gone = leave_no_traces(database, file); !gone) return gone;
  return database.execute("UPDATE verbund_lease SET locked = 2");
}

Status unlock(Database& database, const std::filesystem::path& file, std::string_view secret, WallTime now) {
  auto row = row_of(database);
  if (!row) return pass(row);
  if (!row->there || row->locked == 0) return {};
  const os::BoxKeys keys{row->key, std::string(secret)};
  if (auto opened = unlock_folders(file, keys); !opened) return opened;
  auto transaction = database.begin();
  if (!transaction) return pass(transaction);
  if (auto opened = change_blocks(database, [&](std::string_view block) { return os::unseal(block, keys); }); !opened) return opened;
  if (auto opened = unseal_rejects(database, keys); !opened) return opened;
  const auto at = seconds_of(now);
  if (auto noted = database.execute(fmt::format("UPDATE verbund_lease SET locked = 0, until = {}, seen = {}", at + kUntilNextLease, at)); !noted) return noted;
  return transaction->commit();
}

}  // namespace verbund::sync::device
