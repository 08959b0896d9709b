// SQLite's session extension as a second opinion on what an application has changed: whatever it does, the triggers have noted the same.
#define SQLITE_ENABLE_SESSION 1
#define SQLITE_ENABLE_PREUPDATE_HOOK 1
#include <sqlite3.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "sync/device/tables.h"
#include "testing/scratch_directory.h"

namespace verbund::sync::device {
namespace {

/// A row's change as text, by its key as text.
using Changes = std::map<std::string, std::string>;

std::string text_of(sqlite3_value* value) {
  if (value == nullptr || sqlite3_value_type(value) == SQLITE_NULL) return "-";
  return reinterpret_cast<const char*>(sqlite3_value_text(value));
}

std::string text_of(const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return "-";
}

/// A connection of the application's own, with a session on the table.
class Application {
 public:
  Application(const std::filesystem::path& file, bool recursive) {
    EXPECT_EQ(sqlite3_open_v2(file.c_str(), &database_, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
    run(recursive ? "PRAGMA recursive_triggers = ON" : "PRAGMA recursive_triggers = OFF");
    run("PRAGMA synchronous = OFF");
    begin();
  }
  ~Application() {
    sqlite3session_delete(session_);
    sqlite3_close(database_);
  }
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  /// A statement that a constraint refuses changes nothing.
  void run(const std::string& sql) { sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr); }

  Changes take() {
    int size = 0;
    void* bytes = nullptr;
    EXPECT_EQ(sqlite3session_changeset(session_, &size, &bytes), SQLITE_OK);
    const std::unique_ptr<void, decltype(&sqlite3_free)> owner(bytes, sqlite3_free);
    sqlite3_changeset_iter* at = nullptr;
    EXPECT_EQ(sqlite3changeset_start(&at, size, bytes), SQLITE_OK);
    Changes changes;
    while (sqlite3changeset_next(at) == SQLITE_ROW) note(at, changes);
    EXPECT_EQ(sqlite3changeset_finalize(at), SQLITE_OK);
    begin();
    return changes;
  }

 private:
  void begin() {
    if (session_ != nullptr) sqlite3session_delete(session_);
    EXPECT_EQ(sqlite3session_create(database_, "main", &session_), SQLITE_OK);
    EXPECT_EQ(sqlite3session_attach(session_, "thing"), SQLITE_OK);
  }

  static void note(sqlite3_changeset_iter* at, Changes& changes) {
    const char* table = nullptr;
    int columns = 0, op = 0, indirect = 0;
    EXPECT_EQ(sqlite3changeset_op(at, &table, &columns, &op, &indirect), SQLITE_OK);
    unsigned char* in_key = nullptr;
    EXPECT_EQ(sqlite3changeset_pk(at, &in_key, nullptr), SQLITE_OK);
    std::string key, what(op == SQLITE_INSERT ? "I" : op == SQLITE_DELETE ? "D" : "U");
    for (int column = 0; column < columns; ++column) {
      sqlite3_value *old_value = nullptr, *new_value = nullptr;
      if (op != SQLITE_INSERT) sqlite3changeset_old(at, column, &old_value);
      if (op != SQLITE_DELETE) sqlite3changeset_new(at, column, &new_value);
      if (in_key[column] != 0) key += "/" + text_of(op == SQLITE_INSERT ? new_value : old_value);
      if (op == SQLITE_DELETE) what += " " + text_of(old_value);
      if (op == SQLITE_INSERT) what += " " + text_of(new_value);
      if (op == SQLITE_UPDATE && new_value != nullptr) what += " " + std::to_string(column) + "=" + text_of(old_value) + ">" + text_of(new_value);
    }
    changes[key] = what;
  }

  sqlite3* database_ = nullptr;
  sqlite3_session* session_ = nullptr;
};

class SecondOpinion {
 public:
  explicit SecondOpinion(std::uint64_t seed) : random_(seed) {
    layout_.table = "thing";
    layout_.columns = {{"id", "integer", Kind::kInteger, true}, {"part", "text", Kind::kText, true}, {"a", "text", Kind::kText, false}, {"b", "integer", Kind::kInteger, false}};
    layout_.key = below(2) == 0 ? std::vector<std::uint32_t>{0} : std::vector<std::uint32_t>{0, 1};
    auto opened = sqlite::Database::open(directory_.path() / "tablet.db", sqlite::Database::Mode::kCreate, milliseconds{5'000});
    database_ = std::make_unique<sqlite::Database>(std::move(opened.value()));
    EXPECT_TRUE(make_own_tables(*database_));
    EXPECT_TRUE(database_->execute("INSERT INTO verbund_device (only_one, version, id, secret, user_name, server, trust) VALUES (1, 1, '', '', '', '', '');"
                                   "INSERT INTO verbund_subscription (name, table_name, csn, shape, layout, rights) VALUES ('things', 'thing', 7, '', '', '')"));
    EXPECT_TRUE(make_table(*database_, layout_, std::nullopt));
    application_ = std::make_unique<Application>(directory_.path() / "tablet.db", below(2) == 0);
  }

  void run() {
    for (int round = 0; round < 60 && !::testing::Test::HasFailure(); ++round) {
      std::string all;
      for (auto count = 1 + below(8); count > 0; --count) {
        const auto sql = statement();
        all += sql + ";\n";
        application_->run(sql);
      }
      const auto ours = noted();
      EXPECT_EQ(ours, application_->take()) << all;
      seen_ += ours.size();
      EXPECT_TRUE(forget_changes(*database_, layout_));
    }
    EXPECT_GT(seen_, 50U) << "it has looked at nothing";
  }

 private:
  std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_); }
  std::string id() { return std::to_string(below(6)); }
  std::string part() { return below(2) == 0 ? "'x'" : "'y'"; }
  std::string a() { return below(5) == 0 ? "NULL" : "'t" + std::to_string(below(4)) + "'"; }
  std::string b() { return below(5) == 0 ? "NULL" : std::to_string(below(4)); }
  std::string row() { return "(" + id() + ", " + part() + ", " + a() + ", " + b() + ")"; }
  std::string where() { return " WHERE id = " + id() + (below(2) == 0 ? " AND part = " + part() : ""); }

  std::string statement() {
    const auto key = layout_.key.size() == 1 ? "(id)" : "(id, part)";
    switch (below(12)) {
      case 0: return "INSERT INTO thing VALUES " + row();
      case 1: return "INSERT OR REPLACE INTO thing VALUES " + row() + ", " + row();
      case 2: return "INSERT OR IGNORE INTO thing VALUES " + row() + ", " + row();
      case 3: return "INSERT INTO thing VALUES " + row() + " ON CONFLICT " + key + " DO UPDATE SET a = excluded.a";
      case 4: return "UPDATE thing SET a = " + a() + where();
      case 5: return "UPDATE thing SET a = " + a() + ", b = " + b();
      case 6: return "UPDATE thing SET id = " + id() + where();
      case 7: return "UPDATE OR REPLACE thing SET id = " + id() + ", part = " + part() + where();
      case 8: return "UPDATE OR IGNORE thing SET id = id + 1";
      case 9: return "DELETE FROM thing" + where();
      case 10: return below(6) == 0 ? "DELETE FROM thing" : "DELETE FROM thing" + where();
      default: return "BEGIN; DELETE FROM thing" + where() + "; INSERT OR IGNORE INTO thing VALUES " + row() + (below(2) == 0 ? "; COMMIT" : "; ROLLBACK");
    }
  }

  Changes noted() {
    Changes changes;
    const auto read = read_changes(*database_, layout_, [&](const UpRow& row) -> Status {
      std::string key, what(1, static_cast<char>(row.op));
      const auto& whole = row.op == UpRow::Op::kInsert ? row.values : row.before;
      for (const auto place : layout_.key) key += "/" + text_of(whole[place]);
      for (std::size_t at = 0; at < layout_.columns.size(); ++at) {
        if (row.op != UpRow::Op::kUpdate) what += " " + text_of(whole[at]);
        if (row.op == UpRow::Op::kUpdate && row.changed[at]) what += " " + std::to_string(at) + "=" + text_of(row.before[at]) + ">" + text_of(row.values[at]);
      }
      EXPECT_TRUE(changes.emplace(key, what).second) << key << " twice";
      return {};
    });
    EXPECT_TRUE(read);
    return changes;
  }

  std::mt19937_64 random_;
  testing::ScratchDirectory directory_;
  TableLayout layout_;
  std::size_t seen_ = 0;
  std::unique_ptr<sqlite::Database> database_;
  std::unique_ptr<Application> application_;
};

TEST(SecondOpinion, WhateverAnApplicationDoesTheTriggersNoteWhatSQLitesSessionDoes) {
  const char* given = std::getenv("VERBUND_SIM_SEED");
  const char* runs = std::getenv("VERBUND_SIM_RUNS");
  const std::uint64_t first = given != nullptr ? std::stoull(given) : std::random_device{}();
  const std::uint64_t count = given != nullptr ? 1 : runs != nullptr ? std::stoull(runs) : 20;
  for (std::uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("VERBUND_SIM_SEED=" + std::to_string(seed));
    SecondOpinion(seed).run();
  }
}

}  // namespace
}  // namespace verbund::sync::device
