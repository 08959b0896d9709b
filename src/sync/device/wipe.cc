#include "sync/device/wipe.h"

#include <fmt/format.h>

#include "base/messages.h"
#include "sync/device/folders.h"
#include "sync/device/inbox.h"
#include "sync/device/kept_json.h"
#include "sync/device/tables.h"

namespace verbund::sync::device {
namespace {

using sqlite::Database;
using sqlite::quote_name;
using sqlite::quote_text;

/// From here on nobody can sync with this file, whatever becomes of the rest.
Status note(Database& database, WallTime now) {
  auto transaction = database.begin();
  if (!transaction) return pass(transaction);
  auto noted = database.execute(fmt::format("CREATE TABLE IF NOT EXISTS verbund_revoked (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), at TEXT NOT NULL, wiped INTEGER NOT NULL) STRICT;"
                                            "INSERT OR IGNORE INTO verbund_revoked VALUES (1, {}, 0);"
                                            "UPDATE verbund_device SET secret = '', request = '', history = ''",
                                            quote_text(to_iso8601(now))));
  if (!noted) return noted;
  return transaction->commit();
}

Status drop_all(Database& database) {
  auto transaction = database.begin();
  if (!transaction) return pass(transaction);
  auto sql = drop_statements(database);
  if (!sql) return pass(sql);
  *sql += "DELETE FROM verbund_upload_block; DELETE FROM verbund_outcome; DELETE FROM verbund_upload; DELETE FROM verbund_reject; DROP TABLE IF EXISTS verbund_repair; DROP TABLE IF EXISTS verbund_server;"
          "DROP TABLE IF EXISTS verbund_lease; DROP TABLE IF EXISTS verbund_sealed; UPDATE verbund_revoked SET wiped = 1";
  if (auto done = database.execute(*sql); !done) return done;
  return transaction->commit();
}

Result<std::string> step_of(Database& database) {
  auto there = database.value("SELECT 1 FROM sqlite_schema WHERE name = 'verbund_revoked'");
  if (!there || there->empty()) return there;
  return database.value("SELECT wiped FROM verbund_revoked");
}

}  // namespace

/// Dropped, not emptied: no trigger of the application keeps a row, or copies it.
Result<std::string> drop_statements(Database& database) {
  auto tables = database.prepare("SELECT name, layout FROM verbund_subscription");
  if (!tables) return pass(tables);
  std::string sql;
  for (;;) {
    auto more = tables->step();
    if (!more) return pass(more);
    if (!*more) return sql + "DELETE FROM verbund_subscription;";
    auto layout = read_kept_layout(tables->text(1), tables->text(0));
    if (!layout) return pass(layout);
    sql += fmt::format("DROP TABLE IF EXISTS {};\nDROP TABLE IF EXISTS {};\n", quote_name(layout->table), quote_name("verbund_changes_" + layout->table));
  }
}

Status overwrite_deleted(Database& database) {
  auto secure = database.value("PRAGMA secure_delete = ON");
  return secure ? Status{} : pass(secure);
}

Status leave_no_traces(Database& database, const std::filesystem::path& file) {
  std::error_code failed;
  std::filesystem::remove(inbox_file(file), failed);
  if (failed) return fail(ErrorCode::kIo, phrase("remove {}: {}", inbox_file(file).native(), failed.message()));
  if (auto vacuumed = database.execute("VACUUM"); !vacuumed) return vacuumed;
  // The write-ahead log has the old pages; 1: somebody still reads from it.
  auto held = database.value("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!held) return pass(held);
  if (*held != "0") return fail(ErrorCode::kInUse, phrase("remove the device's data: another program holds {}", file.native()), phrase("Close it, and sync once more."));
  return {};
}

Result<std::string> revoked_at(Database& database) {
  auto there = database.value("SELECT 1 FROM sqlite_schema WHERE name = 'verbund_revoked'");
  if (!there || there->empty()) return there;
  return database.value("SELECT at FROM verbund_revoked");
}

Status wipe(Database& database, const std::filesystem::path& file, WallTime now) {
  if (auto secure = overwrite_deleted(database); !secure) return secure;
  auto step = step_of(database);
  if (!step) return pass(step);
  if (step->empty()) {
    if (auto noted = note(database, now); !noted) return noted;
  }
  if (step->empty() || *step == "0") {
    if (auto dropped = drop_all(database); !dropped) return dropped;
  }
  if (*step == "2") return {};
  if (auto gone = remove_folders(database, file); !gone) return gone;
  if (auto gone = leave_no_traces(database, file); !gone) return gone;
  if (auto noted = database.execute("UPDATE verbund_revoked SET wiped = 2"); !noted) return noted;
  return {};
}

}  // namespace verbund::sync::device
