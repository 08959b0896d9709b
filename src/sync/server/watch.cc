#include "sync/server/watch.h"

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/random.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

/// Names in the database: of a subscription's functions, triggers and indexes.
std::string tag_of(const std::string& subscription) {
  constexpr std::size_t kDigits = 16;
  return os::blake2b_hex(subscription).substr(0, kDigits);
}

/// Everything of a subscription that stands in the database, and the statements that make it.
struct Definition {
  std::vector<std::string> relations, triggers, indexes, functions;  ///< names, without schema but of relations
  std::string sql;
};

std::string columns_of(const std::vector<std::string>& columns, std::string_view alias) {
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "" : ", ") + fmt::format("{}.{}", alias, Connection::quote_identifier(column));
  return list;
}

/// Buckets and keys, told as moved: with a csn behind every cursor that was given so far and within the batch that is being written.
std::string told(const Bound& bound, std::string_view moved) {
  return fmt::format("INSERT INTO sync.moved AS m (subscription, bucket, key, csn) SELECT {}, r.bucket, r.key, verbund_position + 1 FROM ({}) r"
                     " ON CONFLICT (subscription, bucket, key) DO UPDATE SET csn = excluded.csn, at = now()",
                     Connection::quote_literal(bound.rule.name), moved);
}

std::string left(const Selection& selection, std::size_t source, std::string_view relation) {
  return fmt::format("SELECT r.bucket, r.key FROM ({}) r WHERE NOT EXISTS ({})", selection.reached(source, relation, {}), selection.reaches("r.bucket", "r.key", {}));
}

/// Those that nothing has reached that was there before this batch. Of the subscription's own rows nothing: their version says it.
std::string entered(const Selection& selection, std::size_t source, std::string_view relation) {
  return fmt::format("SELECT r.bucket, r.key FROM ({}) r WHERE NOT EXISTS ({})", selection.reached(source, relation, {}),
                     selection.reaches("r.bucket", "r.key", fmt::format("t{}.verbund_csn <= verbund_position", source)));
}

/// What an update has done to rows of `source`; rows in which nothing that decides has changed cost no look at anything else.
std::string updated(const Selection& selection, std::size_t source) {
  const auto columns = selection.deciding_columns(source);
  const auto others = [&](std::string_view of, std::string_view than) {
    return fmt::format("SELECT o.* FROM {} o WHERE NOT EXISTS (SELECT FROM {} n WHERE n.verbund_key = o.verbund_key AND ROW({}) IS NOT DISTINCT FROM ROW({}))", of, than,
                       columns_of(columns, "n"), columns_of(columns, "o"));
  };
  return fmt::format("WITH was AS ({}), now AS ({}) {}{}", others("gone", "come"), others("come", "gone"), left(selection, source, "was"),
                     source == 0 ? "" : " UNION " + entered(selection, source, "now"));
}

std::string body_of(const Bound& bound, std::size_t source) {
  const auto& selection = bound.selection;
  const auto changed = selection.deciding_columns(source).empty() ? "NULL" : told(bound, updated(selection, source));
  const auto inserted = source == 0 ? "NULL" : told(bound, entered(selection, source, "come"));
  // The feed goes on whatever becomes of one subscription's rule: it is marked, and its devices are told.
  return fmt::format(
      "DECLARE verbund_position bigint;\nBEGIN\n  SELECT csn INTO verbund_position FROM feed.position;\n"
      "  IF TG_OP = 'UPDATE' THEN\n    {};\n  ELSIF TG_OP = 'DELETE' THEN\n    {};\n  ELSIF TG_OP = 'INSERT' THEN\n    {};\n  ELSE\n    {};\n  END IF;\n  RETURN NULL;\n"
      "EXCEPTION WHEN OTHERS THEN\n  UPDATE sync.watch SET broken = SQLERRM WHERE subscription = {};\n  RETURN NULL;\nEND",
      changed, told(bound, left(selection, source, "gone")), inserted, told(bound, selection.reached(source, {}, {})), Connection::quote_literal(bound.rule.name));
}

void add_triggers(Definition& to, const Bound& bound, std::size_t source) {
  const auto tag = tag_of(bound.rule.name);
  const auto relation = bound.selection.shadow(source);
  to.relations.push_back(relation);
  to.functions.push_back(fmt::format("moves_{}_{}", tag, bound.selection.sources[source].table.id));
  to.sql += fmt::format("CREATE OR REPLACE FUNCTION sync.{}() RETURNS trigger LANGUAGE plpgsql AS {};\n", to.functions.back(), Connection::quote_literal(body_of(bound, source)));
  const auto trigger = [&](std::string_view event, std::string_view when, std::string_view tables) {
    to.triggers.push_back(fmt::format("sync_{}_{}", tag, event));
    to.sql += fmt::format("CREATE OR REPLACE TRIGGER sync_{0}_{1} {3} {1} ON {2} {4} FOR EACH STATEMENT EXECUTE FUNCTION sync.{5}();\n", tag, event, relation, when, tables, to.functions.back());
  };
  trigger("UPDATE", "AFTER", "REFERENCING OLD TABLE AS gone NEW TABLE AS come");
  trigger("DELETE", "AFTER", "REFERENCING OLD TABLE AS gone");
  trigger("TRUNCATE", "BEFORE", "");
  if (source > 0) trigger("INSERT", "AFTER", "REFERENCING NEW TABLE AS come");
}

/// What a device's sync and the triggers look along. The name says which columns: another filter has another index.
void add_index(Definition& to, const Bound& bound, std::size_t source, std::vector<std::string> columns) {
  constexpr std::size_t kDigits = 8;
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "" : ", ") + Connection::quote_identifier(column);
  if (list.empty()) return;
  to.indexes.push_back(fmt::format("sync_{}_{}_{}", tag_of(bound.rule.name), bound.selection.sources[source].table.id, os::blake2b_hex(list).substr(0, kDigits)));
  to.sql += fmt::format("CREATE INDEX IF NOT EXISTS {} ON {} ({});\n", to.indexes.back(), bound.selection.shadow(source), list);
}

Definition define(const Bound& bound) {
  const auto& selection = bound.selection;
  Definition all;
  for (std::size_t source = 0; source < selection.sources.size(); ++source) {
    add_triggers(all, bound, source);
    auto columns = selection.own_bucket(source);
    for (auto& column : selection.outer_columns(source)) columns.push_back(std::move(column));
    if (source == 0) columns.emplace_back("verbund_csn");
    if (source > 0) add_index(all, bound, source, {selection.sources[source].inner});
    if (source > 0 && !columns.empty()) columns.push_back(selection.sources[source].inner);
    add_index(all, bound, source, std::move(columns));
  }
  return all;
}

struct Known {
  bool there = false;  ///< as it should be, nothing is missing
  Csn since;
  std::string broken;
};

Result<Known> look(Connection& mid_tier, const Bound& bound, const Definition& wanted) {
  auto rows = mid_tier.query(
      "SELECT w.definition = $2 AND w.table_id = $3::integer AND w.version = $4::bigint AND"
      "   (SELECT count(*) FROM unnest($5::text[]) r(name) JOIN pg_trigger t ON t.tgrelid = to_regclass(r.name) WHERE t.tgname LIKE $6) = $7::bigint AND"
      "   (SELECT bool_and(to_regclass('feed.' || i.name) IS NOT NULL) FROM unnest($8::text[]) i(name)) IS NOT FALSE, w.since_csn, coalesce(w.broken, '')"
      " FROM sync.watch w WHERE w.subscription = $1",
      {bound.rule.name, wanted.sql, std::to_string(bound.table.id), std::to_string(bound.version), array_parameter(wanted.relations), fmt::format("sync\\_{}\\_%", tag_of(bound.rule.name)),
       std::to_string(wanted.triggers.size()), array_parameter(wanted.indexes)});
  if (!rows) return pass(rows, phrase("subscription {}", bound.rule.name));
  if (rows->size() == 0) return Known{};
  const auto since = parse_u64(rows->text(0, 1));
  if (!since) return fail(ErrorCode::kInternal, "sync.watch holds what it never should");
  return Known{rows->text(0, 0) == "t", Csn{*since}, std::string(rows->text(0, 2))};
}

/// Shorter than PostgreSQL waits before it looks for deadlocks: the feed, which may hold one of the tables and want another, is never the one that is ended.
constexpr std::string_view kLockPatience = "SET LOCAL lock_timeout = '500ms'";

/// What failed last did because somebody else has the table.
bool is_in_use(Connection& connection) { return connection.healthy() && connection.last_sqlstate() == "55P03"; }

bool is_fine(const Known& known) { return known.there && known.broken.empty(); }

Status begin_watch(Connection& mid_tier, const Bound& bound, const Definition& wanted) {
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction);
  if (auto set = mid_tier.execute(kLockPatience); !set) return set;
  // Before the position is read: what is being written now is either behind it or seen by the triggers.
  if (auto locked = mid_tier.execute(fmt::format("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", fmt::join(wanted.relations, ", "))); !locked) return locked;
  auto known = look(mid_tier, bound, wanted);
  if (!known) return pass(known);
  if (is_fine(*known)) return transaction->commit();  // another device's sync has been faster
  if (auto made = mid_tier.execute(wanted.sql); !made) return made;
  auto noted = mid_tier.query(
      "INSERT INTO sync.watch (subscription, version, table_id, definition, since_csn) SELECT $1, $2::bigint, $3::integer, $4, csn FROM feed.position"
      " ON CONFLICT (subscription) DO UPDATE SET version = excluded.version, table_id = excluded.table_id, definition = excluded.definition,"
      " since_csn = excluded.since_csn, broken = NULL",
      {bound.rule.name, std::to_string(bound.version), std::to_string(bound.table.id), wanted.sql});
  if (!noted) return pass(noted);
  auto cleared = mid_tier.query("DELETE FROM sync.moved WHERE subscription = $1", {bound.rule.name});
  if (!cleared) return pass(cleared);
  return transaction->commit();
}

/// begin_watch, as long as others hold its tables one by one.
Status come_to_watch(Connection& mid_tier, const Bound& bound, const Definition& wanted) {
  constexpr int kTries = 20;
  for (int at = 0;; ++at) {
    auto begun = begin_watch(mid_tier, bound, wanted);
    if (begun || !is_in_use(mid_tier)) return begun;
    if (at + 1 == kTries) return fail(ErrorCode::kUnavailable, phrase("subscription {}: its tables are in use", bound.rule.name), phrase("It is tried again with the next sync."));
  }
}

Result<std::vector<std::string>> first_column(Connection& mid_tier, std::string_view sql, const std::vector<postgres::Parameter>& parameters) {
  auto rows = mid_tier.query(sql, parameters);
  if (!rows) return pass(rows);
  std::vector<std::string> names;
  for (int row = 0; row < rows->size(); ++row) names.emplace_back(rows->text(row, 0));
  return names;
}

/// What an earlier definition has left: functions with their triggers, and indexes. False: something is in use, and stays until the next time.
Result<bool> clear_away(Connection& mid_tier, const std::string& subscription, const Definition& wanted) {
  const auto tag = tag_of(subscription);
  auto functions = first_column(mid_tier, "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'sync'::regnamespace AND p.proname LIKE $1 AND NOT p.proname = ANY($2::text[])",
                                {fmt::format("%\\_{}%", tag), array_parameter(wanted.functions)});
  if (!functions) return pass(functions);
  auto indexes = first_column(mid_tier, "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'feed'::regnamespace AND c.relkind = 'i' AND c.relname LIKE $1 AND NOT c.relname = ANY($2::text[])",
                              {fmt::format("sync\\_{}\\_%", tag), array_parameter(wanted.indexes)});
  if (!indexes) return pass(indexes);
  std::vector<std::string> statements;
  for (const auto& name : *functions) statements.push_back(fmt::format("DROP FUNCTION IF EXISTS sync.{}() CASCADE", name));
  for (const auto& name : *indexes) statements.push_back(fmt::format("DROP INDEX IF EXISTS feed.{}", name));
  bool all = true;
  for (const auto& statement : statements) {
    auto transaction = mid_tier.begin();
    if (!transaction) return pass(transaction);
    if (auto set = mid_tier.execute(kLockPatience); !set) return pass(set);
    auto dropped = mid_tier.execute(statement);
    if (!dropped && !is_in_use(mid_tier)) return pass(dropped);
    all = all && dropped;
    if (!dropped) continue;
    if (auto committed = transaction->commit(); !committed) return pass(committed);
  }
  return all;
}

}  // namespace

Result<Csn> keep_watch(Connection& mid_tier, const Bound& bound) {
  const auto wanted = define(bound);
  auto known = look(mid_tier, bound, wanted);
  if (!known) return pass(known);
  if (is_fine(*known)) return known->since;
  if (auto begun = come_to_watch(mid_tier, bound, wanted); !begun) return pass(begun, phrase("subscription {}: watch its rows", bound.rule.name));
  if (auto cleared = clear_away(mid_tier, bound.rule.name, wanted); !cleared) return pass(cleared, phrase("subscription {}: watch its rows", bound.rule.name));
  known = look(mid_tier, bound, wanted);
  if (!known) return pass(known);
  if (!known->there) return fail(ErrorCode::kInternal, fmt::format("subscription {}: its rows are not watched", bound.rule.name));
  return known->since;
}

Result<std::optional<Csn>> watched_since(Connection& mid_tier, const Bound& bound) {
  auto rows = mid_tier.query("SELECT since_csn FROM sync.watch WHERE subscription = $1 AND table_id = $2::integer AND version = $3::bigint AND broken IS NULL",
                             {bound.rule.name, std::to_string(bound.table.id), std::to_string(bound.version)});
  if (!rows) return pass(rows, phrase("subscription {}", bound.rule.name));
  if (rows->size() == 0) return std::optional<Csn>();
  return std::optional(Csn{parse_u64(rows->text(0, 0)).value_or(0)});
}

Status end_watches(Connection& mid_tier) {
  auto over = first_column(mid_tier, "SELECT w.subscription FROM sync.watch w WHERE NOT EXISTS (SELECT FROM sync.subscription s WHERE s.name = w.subscription)", {});
  if (!over) return pass(over, "subscriptions");
  for (const auto& name : *over) {
    auto cleared = clear_away(mid_tier, name, {});
    if (!cleared) return pass(cleared);
    if (!*cleared) continue;
    const postgres::Statement statements[] = {{"DELETE FROM sync.moved WHERE subscription = $1", {name}}, {"DELETE FROM sync.watch WHERE subscription = $1", {name}}};
    if (auto done = mid_tier.run(statements); !done) return pass(done);
  }
  return {};
}

}  // namespace verbund::sync::server
