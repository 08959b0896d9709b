#include "feed/preflight.h"

#include <algorithm>

#include "base/messages.h"
#include "feed/keyless.h"
#include "feed/tables.h"

namespace verbund::feed {
namespace {

using postgres::Connection;
using postgres::Rows;

/// The feed's own, and one more for a while when tables are added.
constexpr int kSlots = 2;
constexpr int kSenders = 2;
/// What a node keeps open at most (node.cc: pools; feed: pools, capture), rounded up.
constexpr int kConnections = 40;

const char* const kServerQuestion =
    "SELECT current_setting('wal_level'),"
    " current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),"
    " current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication),"
    " current_setting('max_slot_wal_keep_size'),"
    " current_setting('max_connections')::int, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    " pg_is_in_recovery(), pg_encoding_to_char(d.encoding), d.datname, r.rolname, r.rolsuper, r.rolsuper OR r.rolreplication,"
    " r.rolsuper OR r.rolcreatedb, r.rolsuper OR r.rolbypassrls, has_database_privilege(d.oid, 'CREATE'),"
    " current_setting('server_version'), (SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries')"
    " FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user";
enum ServerColumn {
  kWalLevel, kMaxSlots, kUsedSlots, kMaxSenders, kUsedSenders, kKeepSize, kMaxConnections, kUsedConnections, kStandby, kEncoding,
  kDatabaseName, kRoleName, kSuper, kReplication, kCreateDatabase, kBypassSecurity, kMayCreate, kVersion, kPlugins
};

/// Schema and name of each table as two arrays, for unnest.
std::pair<std::string, std::string> names_of(const Tables& tables) {
  TextArray schemas, names;
  for (const CapturedTable& table : tables.all) {
    schemas.add(table.schema);
    names.add(table.table);
  }
  return {schemas.take(), names.take()};
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text) {
    if (c == ',') {
      if (!part.empty()) parts.push_back(std::exchange(part, {}));
    } else if (c != ' ' && c != '"') {
      part += c;
    }
  }
  if (!part.empty()) parts.push_back(std::move(part));
  return parts;
}

class Examiner {
 public:
  Examiner(Connection& source, const PreflightQuestion& question) : source_(source), question_(question) {}

  Result<Preflight> run() {
    auto tables = Tables::load(source_, question_.tables);
    if (!tables) return pass(tables);
    for (const CapturedTable& table : tables->all) found_.captured.push_back(table.shown);
    found_.excluded = tables->excluded;
    auto server = source_.query(kServerQuestion);
    if (!server) return pass(server, "settings of the source server");
    if (server->size() != 1) return fail(ErrorCode::kDatabase, phrase("settings of the source server: the role is not in the catalog"));
    found_.database = server->text(0, kDatabaseName);
    found_.role = server->text(0, kRoleName);
    const auto version = server->text(0, kVersion);  // "15.20 (Debian 15.20-0+deb12u1)"
    found_.server_version = version.substr(0, version.find(' '));
    nature(*server);
    if (auto asked = slot(); !asked) return pass(asked);
    if (auto asked = publication(); !asked) return pass(asked);
    settings(*server);
    role(*server);
    if (auto asked = databases(*server); !asked) return pass(asked);
    const auto [schemas, names] = names_of(*tables);
    if (auto asked = owners(schemas, names); !asked) return pass(asked);
    if (auto asked = row_security(schemas, names, *server); !asked) return pass(asked);
    advice(*server);
    if (auto asked = keys(*server); !asked) return pass(asked);
    return std::move(found_);
  }

 private:
  void missing(std::string name, Phrase what, std::string statement, TakesEffect when = TakesEffect::kAtOnce) {
    found_.findings.push_back({Severity::kMissing, std::move(name), std::move(what), std::move(statement), when});
  }
  static bool yes(const Rows& rows, int column) { return rows.text(0, column) == "t"; }
  static int number(const Rows& rows, int column) { return std::atoi(std::string(rows.text(0, column)).c_str()); }
  [[nodiscard]] std::string role_name() const { return Connection::quote_identifier(found_.role); }

  /// What no setting changes.
  void nature(const Rows& server) {
    if (source_.server_version() < 150000) {
      missing("version", phrase("the server is PostgreSQL {}; 15 or newer is needed", found_.server_version), "");
    }
    if (yes(server, kStandby)) {
      missing("standby", phrase("the server is a standby; changes are captured on its primary: connect there"), "");
    }
    if (server.text(0, kEncoding) == "SQL_ASCII") {
      missing("encoding",
              phrase("database {} has the encoding SQL_ASCII: nobody knows which characters its bytes are; move it into a UTF8 database",
                     found_.database),
              "");
    }
  }

  void settings(const Rows& server) {
    if (server.text(0, kWalLevel) != "logical") {
      missing("wal_level", phrase("wal_level is '{}', capture needs 'logical'", server.text(0, kWalLevel)),
              "ALTER SYSTEM SET wal_level = 'logical';", TakesEffect::kRestart);
    }
    // Newer minor releases name the plugins that may decode; by default pgoutput is among them.
    const std::string plugins(server.text(0, kPlugins));
    if (!server.null(0, kPlugins) && plugins.find("pgoutput") == std::string::npos) {
      std::string list = "'pgoutput'";
      for (const auto& plugin : split_list(plugins)) list += ", " + Connection::quote_literal(plugin);
      missing("output_plugin_libraries", phrase("output_plugin_libraries is '{}', capture needs pgoutput among them", plugins),
              fmt::format("ALTER SYSTEM SET output_plugin_libraries = {};", list), TakesEffect::kReload);
    }
    if (found_.slot_exists) return;  // it has its slot and its sender
    const int slots = number(server, kMaxSlots), used_slots = number(server, kUsedSlots);
    if (slots - used_slots < kSlots) {
      missing("max_replication_slots", phrase("{} of {} replication slots are in use, {} more are needed", used_slots, slots, kSlots),
              fmt::format("ALTER SYSTEM SET max_replication_slots = {};", std::max(10, used_slots + kSlots)), TakesEffect::kRestart);
    }
    const int senders = number(server, kMaxSenders), used_senders = number(server, kUsedSenders);
    if (senders - used_senders < kSenders) {
      missing("max_wal_senders", phrase("{} of {} WAL senders are in use, {} more are needed", used_senders, senders, kSenders),
              fmt::format("ALTER SYSTEM SET max_wal_senders = {};", std::max(10, used_senders + kSenders)), TakesEffect::kRestart);
    }
  }

  void role(const Rows& server) {
    if (!yes(server, kReplication)) {
      missing("replication", phrase("role {} may not replicate", found_.role), fmt::format("ALTER ROLE {} REPLICATION;", role_name()));
    }
    if (!yes(server, kMayCreate) && !found_.publication_exists) {
      missing("create", phrase("role {} may not create a publication in database {}", found_.role, found_.database),
              fmt::format("GRANT CREATE ON DATABASE {} TO {};", Connection::quote_identifier(found_.database), role_name()));
    }
  }

  Status databases(const Rows& server) {
    for (const std::string& database : question_.databases) {
      auto rows = source_.query("SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = $1", {database});
      if (!rows) return pass(rows, "databases of the server");
      const auto quoted_name = Connection::quote_identifier(database);
      if (rows->size() == 0) {
        found_.new_databases.push_back(database);
      } else if (!question_.adopted) {
        missing("database_taken", phrase("database {} exists already and is not of this installation", database),
                fmt::format("ALTER DATABASE {} RENAME TO {};", quoted_name, Connection::quote_identifier(database + "_old")));
      } else if (!yes(*rows, 0)) {
        missing("database_owner", phrase("database {} is owned by somebody else than role {}", database, found_.role),
                fmt::format("ALTER DATABASE {} OWNER TO {};", quoted_name, role_name()));
      }
    }
    if (!found_.new_databases.empty() && !yes(server, kCreateDatabase)) {
      missing("createdb", phrase("role {} may not create databases", found_.role), fmt::format("ALTER ROLE {} CREATEDB;", role_name()));
    }
    return {};
  }

  Status slot() {
    auto rows = source_.query(
        "SELECT database = current_database() AND plugin = 'pgoutput', coalesce(database, '-') FROM pg_replication_slots WHERE slot_name = $1",
        {question_.slot});
    if (!rows) return pass(rows, "replication slots");
    if (rows->size() == 0) return {};
    const bool fits = yes(*rows, 0);
    found_.slot_exists = fits && question_.adopted;
    if (found_.slot_exists) return {};
    missing("slot_taken",
            phrase("replication slot {} exists already (database {}): another program may be reading it. Set [feed] slot to another"
                   " name, or drop it when nobody needs it", question_.slot, rows->text(0, 1)),
            fmt::format("SELECT pg_drop_replication_slot({});", Connection::quote_literal(question_.slot)));
    return {};
  }

  Status publication() {
    auto rows = source_.query("SELECT puballtables, pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = $1",
                              {question_.publication});
    if (!rows) return pass(rows, "publications");
    if (rows->size() == 0) return {};
    const auto name = Connection::quote_identifier(question_.publication);
    found_.publication_exists = question_.adopted;
    if (!question_.adopted || yes(*rows, 0)) {
      missing("publication_taken",
              phrase("publication {} exists already and is not of this installation. Set [feed] publication to another name, or"
                     " drop it when nobody needs it", question_.publication),
              fmt::format("DROP PUBLICATION {};", name));
    } else if (!yes(*rows, 1)) {
      missing("publication_owner", phrase("publication {} is owned by somebody else than role {}", question_.publication, found_.role),
              fmt::format("ALTER PUBLICATION {} OWNER TO {};", name, role_name()));
    }
    return {};
  }

  /// PostgreSQL lets only a table's owner publish it; membership in the owner's role is enough.
  Status owners(const std::string& schemas, const std::string& names) {
    auto rows = source_.query(
        "SELECT pg_get_userbyid(c.relowner), count(*), min(n.nspname || '.' || c.relname) FROM unnest($1::text[], $2::text[]) AS t(s, r)"
        " JOIN pg_namespace n ON n.nspname = t.s JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.r"
        " WHERE NOT pg_has_role(c.relowner, 'USAGE') GROUP BY 1 ORDER BY 1",
        {schemas, names});
    if (!rows) return pass(rows, "owners of the tables");
    for (int row = 0; row < rows->size(); ++row) {
      missing("table_owner",
              phrase("{} tables belong to role {} (the first is {}); only an owner may publish them, and {} is no member of that role",
                     rows->text(row, 1), rows->text(row, 0), rows->text(row, 2), found_.role),
              fmt::format("GRANT {} TO {};", Connection::quote_identifier(rows->text(row, 0)), role_name()));
    }
    auto closed = source_.query(
        "SELECT DISTINCT n.nspname FROM unnest($1::text[]) AS t(s) JOIN pg_namespace n ON n.nspname = t.s"
        " WHERE NOT has_schema_privilege(n.oid, 'USAGE') ORDER BY 1",
        {schemas});
    if (!closed) return pass(closed, "schemas of the tables");
    for (int row = 0; row < closed->size(); ++row) {
      missing("schema_usage", phrase("role {} may not look into schema {}", found_.role, closed->text(row, 0)),
              fmt::format("GRANT USAGE ON SCHEMA {} TO {};", Connection::quote_identifier(closed->text(row, 0)), role_name()));
    }
    return {};
  }

  /// Row security that binds owners too would hide rows from the first copy, without an error.
  Status row_security(const std::string& schemas, const std::string& names, const Rows& server) {
    if (yes(server, kBypassSecurity)) return {};
    auto rows = source_.query(
        "SELECT count(*), min(n.nspname || '.' || c.relname) FROM unnest($1::text[], $2::text[]) AS t(s, r)"
        " JOIN pg_namespace n ON n.nspname = t.s JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.r"
        " WHERE c.relrowsecurity AND c.relforcerowsecurity",
        {schemas, names});
    if (!rows) return pass(rows, "row security of the tables");
    if (rows->text(0, 0) == "0") return {};
    missing("row_security", phrase("{} tables force row security (the first is {}): role {} would see only a part of their rows",
                                   rows->text(0, 0), rows->text(0, 1), found_.role),
            fmt::format("ALTER ROLE {} BYPASSRLS;", role_name()));
    return {};
  }

  void advice(const Rows& server) {
    const auto advise = [&](std::string name, Phrase what, std::string statement, TakesEffect when) {
      found_.findings.push_back({Severity::kAdvice, std::move(name), std::move(what), std::move(statement), when});
    };
    if (server.text(0, kKeepSize) == "-1") {
      advise("max_slot_wal_keep_size",
             phrase("max_slot_wal_keep_size is unlimited: when Verbund stands still, the server keeps its log until the disk is full."
                    " With a limit Verbund compares everything anew afterwards"),
             "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB';", TakesEffect::kReload);
    }
    const int connections = number(server, kMaxConnections), used = number(server, kUsedConnections);
    if (!question_.adopted && connections - used < kConnections) {
      advise("max_connections", phrase("{} of {} connections are in use; Verbund opens up to {}", used, connections, kConnections),
             fmt::format("ALTER SYSTEM SET max_connections = {};", connections + kConnections), TakesEffect::kRestart);
    }
  }

  /// See keyless.h.
  Status keys(const Rows& server) {
    auto watched = has_key_trigger(source_, question_.publication);
    if (!watched) return pass(watched);
    if (*watched) return {};
    if (yes(server, kSuper)) {
      found_.new_event_trigger = key_trigger_name(question_.publication);
      return {};
    }
    found_.findings.push_back(
        {Severity::kAdvice, "key_trigger",
         phrase("role {} is no superuser and may not create an event trigger: when a captured table's primary key is dropped, the"
                " application's UPDATE and DELETE of it fail until Verbund has looked, about a second later; while Verbund stands still, until it"
                " runs again. A superuser can create the event trigger", found_.role),
         key_trigger_sql(question_.publication), TakesEffect::kAtOnce});
    return {};
  }

  Connection& source_;
  const PreflightQuestion& question_;
  Preflight found_;
};

}  // namespace

bool Preflight::ready() const {
  return std::ranges::none_of(findings, [](const Finding& finding) { return finding.severity == Severity::kMissing; });
}

Result<Preflight> preflight(Connection& source, const PreflightQuestion& question) { return Examiner(source, question).run(); }

}  // namespace verbund::feed
