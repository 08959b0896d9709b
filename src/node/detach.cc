// The way back from an adoption: see adoption.h.
#include <algorithm>

#include "base/messages.h"
#include "feed/keyless.h"
#include "guard/guard.h"
#include "node/adoption.h"

namespace verbund::node {
namespace {

using postgres::Connection;

/// How long a reader of the slot (a killed node's WAL sender) may take to end.
constexpr const char* kTerminateWithin = "5000";

class Detach {
 public:
  Detach(Connection& source, const AdoptedNames& names) : source_(source), names_(names) {}

  Result<std::vector<Removed>> run() {
    // The guard first: from there on no write of the office fails for want of us.
    if (auto done = guard(); !done) return pass(done);
    if (auto done = slots(); !done) return pass(done);
    if (auto done = publication(); !done) return pass(done);
    // Last: until the publication is gone tables may lose their keys.
    if (auto done = key_trigger(); !done) return pass(done);
    return std::move(removed_);
  }

  Result<std::vector<Removed>> databases(const postgres::ConnectionSettings& settings) {
    for (const auto& database : names_.databases) {
      auto exists = source_.query("SELECT 1 FROM pg_database WHERE datname = $1", {database});
      if (!exists) return pass(exists, "databases of the server");
      if (exists->size() == 0) continue;
      if (auto checked = refuse_foreign(settings, database); !checked) return pass(checked);
      if (auto done = drop("database", database, "DROP DATABASE {} WITH (FORCE)", Connection::quote_identifier(database)); !done) {
        return pass(done);
      }
    }
    return std::move(removed_);
  }

 private:
  template <typename... Names>
  Status drop(const char* kind, std::string shown, const char* statement, const Names&... names) {
    const auto sql = fmt::format(fmt::runtime(statement), names...);
    if (auto done = source_.execute(sql); !done) {
      if (done.error().code == ErrorCode::kForbidden) {
        done.error().code = ErrorCode::kServerSetting;
        done.error().advise(phrase("as superuser: {};", sql));
      }
      if (source_.last_sqlstate() == "55P03") {
        done.error().code = ErrorCode::kTimedOut;
        done.error().advise(phrase("Somebody's transaction is open there; nothing is half done, repeat the command."));
      }
      return pass(done, phrase("remove {} {}", kind, shown));
    }
    removed_.push_back({kind, std::move(shown)});
    return {};
  }

  /// The triggers of the guard, which go with its schema: to drop them one by one would need ownership of the tables, and
  /// leave some behind when a later table is busy.
  Status list_triggers() {
    auto rows = source_.query(
        "SELECT t.tgname, n.nspname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace"
        // A partition's trigger goes with its parent's.
        " WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND f.nspname = 'verbund_guard' AND n.nspname <> 'verbund_guard' ORDER BY 2, 3, 1");
    if (!rows) return pass(rows, "triggers of the guard");
    for (int row = 0; row < rows->size(); ++row) {
      removed_.push_back({"trigger", fmt::format("{} ({}.{})", rows->text(row, 0), rows->text(row, 1), rows->text(row, 2))});
    }
    return {};
  }

  Status guard() {
    if (auto listed = list_triggers(); !listed) return listed;
    auto rows = source_.query("SELECT to_regnamespace('verbund_guard') IS NOT NULL, to_regprocedure('verbund_guard.disable(text)') IS NOT NULL");
    if (!rows) return pass(rows, "schemas of the guard");
    if (rows->text(0, 1) == "t") {
      // Waits for nobody: a busy table keeps its triggers until the next time, but they refuse nothing.
      auto off = source_.query("SELECT verbund_guard.disable(type) FROM verbund_guard.guarded WHERE mode <> 'off'");
      if (!off) return pass(off, "disable the guard");
    }
    if (rows->text(0, 0) == "t") {
      if (auto done = drop("schema", "verbund_guard", "DROP SCHEMA verbund_guard CASCADE"); !done) return done;
    }
    return functions();
  }

  Status functions() {
    bool found = false;
    for (const char* function : guard::kForApplications) {
      auto there = source_.query("SELECT to_regprocedure($1) IS NOT NULL", {function});
      if (!there) return pass(there, "functions of the guard");
      if (there->text(0, 0) != "t") continue;
      const std::string_view signature = function;
      if (auto done = drop("function", std::string(signature.substr(0, signature.find('('))), "DROP FUNCTION {}", signature); !done) return done;
      found = true;
    }
    if (!found) return {};
    // The office may keep something of its own there.
    auto empty = source_.query("SELECT NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass"
                               " AND refobjid = to_regnamespace('verbund'))");
    if (!empty) return pass(empty, "schema of the guard");
    return empty->text(0, 0) == "t" ? drop("schema", "verbund", "DROP SCHEMA verbund") : Status{};
  }

  Status slots() {
    auto rows = source_.query(
        "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = current_database() AND plugin = 'pgoutput'"
        " AND (slot_name = $1 OR starts_with(slot_name, $1 || '_')) ORDER BY 1",
        {names_.slot});
    if (!rows) return pass(rows, "replication slots");
    for (int row = 0; row < rows->size(); ++row) {
      const std::string name(rows->text(row, 0));
      if (!rows->null(row, 1)) {
        auto ended = source_.query("SELECT pg_terminate_backend($1::int, $2)", {std::string(rows->text(row, 1)), kTerminateWithin});
        if (!ended) return pass(ended, phrase("end the reader of replication slot {}", name));
      }
      if (auto done = drop("replication slot", name, "SELECT pg_drop_replication_slot({})", Connection::quote_literal(name)); !done) {
        return done;
      }
    }
    return {};
  }

  Status publication() {
    auto exists = source_.query("SELECT 1 FROM pg_publication WHERE pubname = $1", {names_.publication});
    if (!exists) return pass(exists, "publications");
    if (exists->size() == 0) return {};
    return drop("publication", names_.publication, "DROP PUBLICATION {}", Connection::quote_identifier(names_.publication));
  }

  Status key_trigger() {
    const std::string name = feed::key_trigger_name(names_.publication);
    auto rows = source_.query("SELECT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = $1),"
                              " EXISTS (SELECT FROM pg_proc WHERE proname = $1 AND pronamespace = to_regnamespace($2)), to_regnamespace($2) IS NOT NULL",
                              {name, feed::kKeyTriggerSchema});
    if (!rows) return pass(rows, "event triggers of the source");
    const auto quoted_name = Connection::quote_identifier(name);
    if (rows->text(0, 0) == "t") {
      if (auto done = drop("event trigger", name, "DROP EVENT TRIGGER {}", quoted_name); !done) return done;
    }
    if (rows->text(0, 1) == "t") {
      const auto shown = fmt::format("{}.{}", feed::kKeyTriggerSchema, name);
      if (auto done = drop("function", shown, "DROP FUNCTION {}.{}()", feed::kKeyTriggerSchema, quoted_name); !done) return done;
    }
    if (rows->text(0, 2) != "t") return {};
    auto left = source_.query("SELECT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace($1))",
                              {feed::kKeyTriggerSchema});
    if (!left) return pass(left, phrase("schema {}", feed::kKeyTriggerSchema));
    // Another installation may have its own there.
    return left->text(0, 0) == "t" ? Status{} : drop("schema", feed::kKeyTriggerSchema, "DROP SCHEMA {}", feed::kKeyTriggerSchema);
  }

  /// A database of that name that our migrations never saw is somebody else's.
  static Status refuse_foreign(postgres::ConnectionSettings settings, const std::string& database) {
    settings.database = database;
    auto connection = Connection::open(settings);
    if (!connection) return pass(connection);
    auto ours = connection->query("SELECT to_regclass('public.verbund_migrations') IS NOT NULL OR NOT EXISTS"
                                  " (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                                  "   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$)')");
    if (!ours) return pass(ours, phrase("look into database {}", database));
    if (ours->text(0, 0) == "t") return {};
    return fail(ErrorCode::kForbidden, phrase("remove database {}: it holds tables that are not Verbund's", database));
  }

  Connection& source_;
  const AdoptedNames& names_;
  std::vector<Removed> removed_;
};

}  // namespace

Result<std::vector<Removed>> detach(const postgres::ConnectionSettings& settings, const AdoptedNames& names, bool with_databases) {
  auto source = Connection::open(settings);
  if (!source) return pass(source);
  // Who waits for a busy table holds up everybody behind.
  if (auto bounded = source->execute("SET lock_timeout = '5s'"); !bounded) return pass(bounded);
  Detach detach(*source, names);
  auto removed = detach.run();
  if (!removed || !with_databases) return removed;
  auto databases = detach.databases(settings);
  if (!databases) return databases;
  removed->insert(removed->end(), databases->begin(), databases->end());
  return removed;
}

}  // namespace verbund::node
