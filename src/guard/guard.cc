#include "guard/guard.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/messages.h"
#include "guard/catalog.h"
#include "guard/mapping.h"
#include "guard/migrations.inc"

namespace verbund::guard {
namespace {

using postgres::Connection;
using records::RecordType;

/// A trigger is made between two transactions of the application on its table; nobody waits longer than this for us.
constexpr const char* kLockTimeout = "SET LOCAL lock_timeout = '2s'";
constexpr int kAttempts = 3;

/// One transaction that waits at most some seconds for a table, and is tried again.
Status patiently(Connection& source, const std::string& what, const std::string& sql) {
  Status done;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto transaction = source.begin();
    if (!transaction) return pass(transaction);
    done = source.execute(kLockTimeout);
    if (done) done = source.execute(sql);
    if (done) return transaction->commit();
    if (source.last_sqlstate() != "55P03") return pass(done, what);
  }
  return fail(ErrorCode::kTimedOut, phrase("{}: open transactions of applications keep the table busy", what),
              phrase("try again when fewer programs write, or end the transactions that pg_stat_activity shows as idle in transaction"));
}

Status migrate(Connection& source) {
  auto exists = has_guard(source);
  if (!exists) return pass(exists);
  auto transaction = source.begin();
  if (!transaction) return pass(transaction);
  std::uint64_t present = 0;
  if (*exists) {
    auto version = source.query("SELECT coalesce(max(number), 0) FROM verbund_guard.version");
    if (!version) return pass(version, "read the guard's version");
    present = parse_u64(version->text(0, 0)).value_or(0);
  }
  for (const auto& migration : kMigrations) {
    const auto number = static_cast<std::uint64_t>(migration.number);
    if (number <= present) continue;
    if (auto done = source.execute(migration.sql); !done) return pass(done, "make the guard's schema");
    if (auto done = source.execute(fmt::format("INSERT INTO verbund_guard.version (number) VALUES ({})", number)); !done) return done;
  }
  return transaction->commit();
}

/// Makes triggers and functions of one type.
class Installer {
 public:
  Installer(Connection& source, const RecordType& type) : source_(source), type_(type), tables_(tables_of(type)) {}

  Status prepare() {
    if (auto registered = register_type(); !registered) return registered;
    for (const auto& [table, function] : functions_) {
      if (auto made = make_triggers(*table, function); !made) return made;
    }
    return drop_functions(obsolete_);
  }

  Status set_mode(Mode mode) {
    auto transaction = source_.begin();
    if (!transaction) return pass(transaction);
    if (auto written = write_functions(mode); !written) return written;
    auto marked = source_.query("UPDATE verbund_guard.guarded SET mode = $2, since = now() WHERE type = $1",
                                {type_.type, std::string(to_wire(mode))});
    if (!marked) return pass(marked);
    for (const char* counts : {"warning", "warning_count"}) {
      if (auto gone = source_.query(fmt::format("DELETE FROM verbund_guard.{} WHERE type = $1", counts), {type_.type}); !gone) {
        return pass(gone);
      }
    }
    return transaction->commit();
  }

  Status rewrite(Mode mode) {
    auto transaction = source_.begin();
    if (!transaction) return pass(transaction);
    if (auto written = write_functions(mode); !written) return written;
    return transaction->commit();
  }

  Status drop_functions(const std::vector<std::string>& functions) {
    for (const auto& function : functions) {
      // The trigger goes with its function: that takes no ownership of the table.
      auto dropped = patiently(source_, fmt::format("unguard {}", type_.type),
                               fmt::format("DROP FUNCTION IF EXISTS verbund_guard.{} CASCADE; DELETE FROM verbund_guard.guarded_table"
                                           " WHERE function = {}",
                                           Connection::quote_identifier(function), Connection::quote_literal(function)));
      if (!dropped) return dropped;
    }
    return {};
  }

 private:
  Status write_functions(Mode mode) {
    auto types = column_types(source_, tables_);
    if (!types) return pass(types);
    if (auto known = read_functions(); !known) return known;
    for (const auto& [table, function] : functions_) {
      auto sql = trigger_function(function, type_, *table, *types, mode);
      if (!sql) return pass(sql);
      if (auto made = source_.execute(*sql); !made) return pass(made, phrase("guard {}", type_.type));
    }
    return source_.execute(truncate_function(truncating(), type_.type, mode));
  }

  /// Which table has which function already; what is left over is obsolete.
  Status read_functions() {
    auto number = source_.query("SELECT number FROM verbund_guard.guarded WHERE type = $1", {type_.type});
    if (!number) return pass(number);
    if (number->size() == 0) return fail(ErrorCode::kNotFound, phrase("guard {}: it is not prepared", type_.type));
    number_ = std::string(number->text(0, 0));
    auto rows = source_.query("SELECT function, schema_name, table_name FROM verbund_guard.guarded_table WHERE type = $1", {type_.type});
    if (!rows) return pass(rows);
    functions_.clear();
    obsolete_.clear();
    for (int row = 0; row < rows->size(); ++row) {
      std::string function(rows->text(row, 0));
      if (function == truncating()) continue;
      const auto table = std::ranges::find_if(
          tables_, [&](const Mapped& mapped) { return mapped.schema == rows->text(row, 1) && mapped.table == rows->text(row, 2); });
      if (table == tables_.end()) {
        obsolete_.push_back(std::move(function));
      } else {
        functions_.emplace_back(&*table, std::move(function));
      }
    }
    return {};
  }

  Status register_type() {
    auto transaction = source_.begin();
    if (!transaction) return pass(transaction);
    auto added = source_.query("INSERT INTO verbund_guard.guarded (type, mode) VALUES ($1, 'off') ON CONFLICT (type) DO NOTHING",
                               {type_.type});
    if (!added) return pass(added);
    // Left behind by a grant that was on its way when the type was disabled.
    auto cleared = source_.query("DELETE FROM verbund_guard.lock l USING verbund_guard.guarded g WHERE g.type = l.type AND g.type = $1"
                                 " AND g.mode = 'off'", {type_.type});
    if (!cleared) return pass(cleared);
    if (auto known = read_functions(); !known) return known;
    std::set<std::string> taken(obsolete_.begin(), obsolete_.end());
    for (const auto& [table, function] : functions_) taken.insert(function);
    int next = 1;
    for (const auto& table : tables_) {
      if (std::ranges::any_of(functions_, [&](const auto& known) { return known.first == &table; })) continue;
      while (taken.contains(fmt::format("write_{}_{}", number_, next))) ++next;
      auto function = fmt::format("write_{}_{}", number_, next++);
      if (auto made = add_function(function, table.schema, table.table); !made) return made;
      functions_.emplace_back(&table, std::move(function));
    }
    if (auto made = add_function(truncating(), {}, {}); !made) return made;
    return transaction->commit();
  }

  /// Empty until `set_mode`, unless it is there already.
  Status add_function(const std::string& function, const std::string& schema, const std::string& table) {
    auto known = source_.query("INSERT INTO verbund_guard.guarded_table VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                               {function, type_.type, schema, table});
    if (!known) return pass(known);
    if (known->affected() == 0) return {};
    return source_.execute(truncate_function(function, type_.type, Mode::kOff));
  }

  /// A partition has its row trigger from the partitioned table; what inherits otherwise, and TRUNCATE, needs one each.
  Status make_triggers(const Mapped& table, const std::string& function) {
    auto relations = relations_of(source_, table.schema, table.table);
    if (!relations) return pass(relations);
    for (const auto& relation : *relations) {
      std::string sql;
      if (!relation.partition && !relation.triggers.contains(trigger_name(function))) {
        sql += fmt::format("CREATE OR REPLACE TRIGGER {} AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW EXECUTE FUNCTION verbund_guard.{}();",
                           trigger_name(function), relation.quoted(), function);
      }
      if (!relation.triggers.contains(trigger_name(truncating()))) {
        sql += fmt::format("CREATE OR REPLACE TRIGGER {} BEFORE TRUNCATE ON {} FOR EACH STATEMENT EXECUTE FUNCTION verbund_guard.{}();",
                           trigger_name(truncating()), relation.quoted(), truncating());
      }
      if (sql.empty()) continue;
      if (auto made = patiently(source_, fmt::format("guard table {}.{}", relation.schema, relation.name), sql); !made) return made;
    }
    return {};
  }

  [[nodiscard]] std::string truncating() const { return "truncate_" + number_; }

  Connection& source_;
  const RecordType& type_;
  const std::vector<Mapped> tables_;
  std::string number_;
  std::vector<std::pair<const Mapped*, std::string>> functions_;
  std::vector<std::string> obsolete_;
};

}  // namespace

std::string_view to_wire(Mode mode) {
  switch (mode) {
    case Mode::kOff: return "off";
    case Mode::kWarn: return "warn";
    case Mode::kEnforce: return "enforce";
  }
  return "off";
}

Result<Mode> mode_from_wire(std::string_view text) {
  for (const auto mode : {Mode::kOff, Mode::kWarn, Mode::kEnforce}) {
    if (to_wire(mode) == text) return mode;
  }
  return fail(ErrorCode::kUsage, phrase("read the guard's mode: there is none named '{}'", text.substr(0, 40)),
              phrase("Modes are warn and enforce."));
}

Status prepare(Connection& source, const RecordType& type) {
  auto missing = missing_rights(source, type);
  if (!missing) return pass(missing);
  if (!missing->empty()) {
    return fail(ErrorCode::kServerSetting, phrase("guard {}: the node's role lacks rights", type.type),
                phrase("as superuser: {}", fmt::format("{}", fmt::join(*missing, " "))));
  }
  // Before anything is made: what can't be followed is refused whole.
  const auto tables = tables_of(type);
  auto types = column_types(source, tables);
  if (!types) return pass(types);
  for (const auto& table : tables) {
    if (auto can = trigger_function("probe", type, table, *types, Mode::kEnforce); !can) return pass(can);
  }
  if (auto migrated = migrate(source); !migrated) return migrated;
  return Installer(source, type).prepare();
}

Status set_mode(Connection& source, const RecordType& type, Mode mode) { return Installer(source, type).set_mode(mode); }

Status mend(Connection& source, const RecordType& type, Mode mode) {
  if (auto prepared = prepare(source, type); !prepared) return prepared;
  return Installer(source, type).rewrite(mode);
}

Status disable(Connection& source, const std::string& type) {
  auto exists = has_guard(source);
  if (!exists) return pass(exists);
  auto known = *exists ? source.query("SELECT 1 FROM verbund_guard.guarded WHERE type = $1", {type}) : source.query("SELECT WHERE false");
  if (!known) return pass(known);
  if (known->size() == 0) return fail(ErrorCode::kNotFound, phrase("disable the guard: type {} is not guarded", type));
  auto done = source.query("SELECT verbund_guard.disable($1)", {type});
  if (!done) return pass(done, phrase("unguard {}", type));
  return {};
}

Status tidy(Connection& source, Log& log) {
  auto exists = has_guard(source);
  if (!exists || !*exists) return exists ? Status{} : Status(pass(exists));
  auto off = source.query("SELECT g.type, t.function FROM verbund_guard.guarded g LEFT JOIN verbund_guard.guarded_table t USING (type)"
                          " WHERE g.mode = 'off'");
  if (!off) return pass(off);
  std::set<std::string> types;
  for (int row = 0; row < off->size(); ++row) {
    RecordType type;
    type.type = off->text(row, 0);
    types.insert(type.type);
    if (off->null(row, 1)) continue;
    if (auto dropped = Installer(source, type).drop_functions({std::string(off->text(row, 1))}); !dropped) return dropped;
  }
  for (const auto& type : types) {
    auto removed = source.query(
        "WITH l AS (DELETE FROM verbund_guard.lock WHERE type = $1), w AS (DELETE FROM verbund_guard.warning WHERE type = $1),"
        " c AS (DELETE FROM verbund_guard.warning_count WHERE type = $1) DELETE FROM verbund_guard.guarded WHERE type = $1",
        {type});
    if (!removed) return pass(removed, "tidy the guard");
    log.info("guard.removed", {{"type", type}});
  }
  return {};
}

Status drop_everything(Connection& source) {
  auto exists = has_guard(source);
  if (!exists) return pass(exists);
  if (*exists) {
    auto off = source.query("SELECT verbund_guard.disable(type) FROM verbund_guard.guarded WHERE mode <> 'off'");
    if (!off) return pass(off, "remove the guard");
    auto gone = patiently(source, "remove the guard", "DROP SCHEMA verbund_guard CASCADE");
    if (!gone) return gone;
  }
  bool found = false;
  for (const char* function : kForApplications) {
    auto helper = source.query("SELECT to_regprocedure($1) IS NOT NULL", {function});
    if (!helper) return pass(helper);
    if (helper->text(0, 0) != "t") continue;
    if (auto dropped = source.execute(fmt::format("DROP FUNCTION {}", function)); !dropped) return dropped;
    found = true;
  }
  if (!found) return {};
  // The schema may hold what is not ours.
  return source.execute("DO $$ BEGIN DROP SCHEMA verbund; EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $$");
}

}  // namespace verbund::guard
