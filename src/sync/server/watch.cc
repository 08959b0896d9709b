#include "sync/server/watch.h"

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/random.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

/// Names in the database: of a subscription's function, triggers and index.
std::string tag_of(const std::string& subscription) {
  constexpr std::size_t kDigits = 16;
  return os::blake2b_hex(subscription).substr(0, kDigits);
}

std::string columns_of(const Bound& bound, std::string_view alias) {
  std::string list;
  for (const auto& column : bound.bucket_columns) list += (list.empty() ? "" : ", ") + fmt::format("{}.{}", alias, Connection::quote_identifier(column));
  return list;
}

std::string in_some_bucket(const Bound& bound, std::string_view alias) {
  auto sql = bound.constants(alias);
  for (const auto& column : bound.bucket_columns) sql += fmt::format(" AND {}.{} IS NOT NULL", alias, Connection::quote_identifier(column));
  return sql;
}

/// A csn behind every cursor that was given so far and within the batch that is being written.
constexpr std::string_view kDeparted = "INSERT INTO sync.departed AS d (subscription, bucket, key, csn) SELECT {0}, ARRAY[{1}]::text[], o.verbund_key, p.csn + 1 FROM {2} o{3}, feed.position p WHERE {4}"
                                       " ON CONFLICT (subscription, bucket, key) DO UPDATE SET csn = excluded.csn";

std::string body_of(const Bound& bound) {
  const auto name = Connection::quote_literal(bound.rule.name);
  const auto bucket = columns_of(bound, "o");
  const auto was_in = in_some_bucket(bound, "o");
  std::string stays = fmt::format("({})", in_some_bucket(bound, "n"));
  if (!bucket.empty()) stays += fmt::format(" AND ROW({}) IS NOT DISTINCT FROM ROW({})", columns_of(bound, "n"), bucket);
  const auto update = fmt::format(kDeparted, name, bucket, "gone", " LEFT JOIN come n ON n.verbund_key = o.verbund_key",
                                  fmt::format("{} AND NOT coalesce(n.verbund_key IS NOT NULL AND {}, false)", was_in, stays));
  const auto deleted = fmt::format(kDeparted, name, bucket, "gone", "", was_in);
  const auto truncated = fmt::format(kDeparted, name, bucket, bound.shadow(), "", was_in);
  // The feed goes on whatever becomes of one subscription's rule: it is marked, and its devices are told.
  return fmt::format(
      "BEGIN\n  IF TG_OP = 'UPDATE' THEN\n    {};\n  ELSIF TG_OP = 'DELETE' THEN\n    {};\n  ELSE\n    {};\n  END IF;\n  RETURN NULL;\n"
      "EXCEPTION WHEN OTHERS THEN\n  UPDATE sync.watch SET broken = SQLERRM WHERE subscription = {};\n  RETURN NULL;\nEND",
      update, deleted, truncated, name);
}

std::string statements_of(const Bound& bound, const std::string& body) {
  const auto tag = tag_of(bound.rule.name);
  const auto shadow = bound.shadow();
  std::string sql = fmt::format("CREATE OR REPLACE FUNCTION sync.departs_{}() RETURNS trigger LANGUAGE plpgsql AS {};\n", tag, Connection::quote_literal(body));
  const auto trigger = [&](std::string_view event, std::string_view when, std::string_view tables) {
    sql += fmt::format("DROP TRIGGER IF EXISTS sync_{0}_{1} ON {2};\nCREATE TRIGGER sync_{0}_{1} {3} {1} ON {2} {4} FOR EACH STATEMENT EXECUTE FUNCTION sync.departs_{0}();\n", tag, event, shadow, when, tables);
  };
  trigger("UPDATE", "AFTER", "REFERENCING OLD TABLE AS gone NEW TABLE AS come");
  trigger("DELETE", "AFTER", "REFERENCING OLD TABLE AS gone");
  trigger("TRUNCATE", "BEFORE", "");
  std::string index;
  for (const auto& column : bound.bucket_columns) index += Connection::quote_identifier(column) + ", ";
  sql += fmt::format("CREATE INDEX IF NOT EXISTS sync_{}_{} ON {} ({}verbund_csn);\n", tag, bound.table.id, shadow, index);
  return sql;
}

struct Known {
  bool there = false;  ///< as it should be, nothing is missing
  Csn since;
  std::string broken;
};

Result<Known> look(Connection& mid_tier, const Bound& bound, const std::string& definition) {
  const auto tag = tag_of(bound.rule.name);
  auto rows = mid_tier.query(
      "SELECT w.definition = $2 AND w.table_id = $3::integer AND w.version = $4::bigint AND (SELECT count(*) = 3 FROM pg_trigger WHERE tgrelid = to_regclass($5) AND tgname LIKE $6)"
      "   AND to_regclass($7) IS NOT NULL, w.since_csn, coalesce(w.broken, '') FROM sync.watch w WHERE w.subscription = $1",
      {bound.rule.name, definition, std::to_string(bound.table.id), std::to_string(bound.version), bound.shadow(), fmt::format("sync\\_{}\\_%", tag),
       fmt::format("feed.sync_{}_{}", tag, bound.table.id)});
  if (!rows) return pass(rows, phrase("subscription {}", bound.rule.name));
  if (rows->size() == 0) return Known{};
  const auto since = parse_u64(rows->text(0, 1));
  if (!since) return fail(ErrorCode::kInternal, "sync.watch holds what it never should");
  return Known{rows->text(0, 0) == "t", Csn{*since}, std::string(rows->text(0, 2))};
}

Status begin_watch(Connection& mid_tier, const Bound& bound, const std::string& body) {
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction);
  // Before the position is read: what is being written now is either behind it or seen by the triggers.
  if (auto locked = mid_tier.execute(fmt::format("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", bound.shadow())); !locked) return locked;
  if (auto made = mid_tier.execute(statements_of(bound, body)); !made) return made;
  auto noted = mid_tier.query(
      "INSERT INTO sync.watch (subscription, version, table_id, definition, since_csn) SELECT $1, $2::bigint, $3::integer, $4, csn FROM feed.position"
      " ON CONFLICT (subscription) DO UPDATE SET version = excluded.version, table_id = excluded.table_id, definition = excluded.definition,"
      " since_csn = excluded.since_csn, broken = NULL",
      {bound.rule.name, std::to_string(bound.version), std::to_string(bound.table.id), body});
  if (!noted) return pass(noted);
  auto cleared = mid_tier.query("DELETE FROM sync.departed WHERE subscription = $1", {bound.rule.name});
  if (!cleared) return pass(cleared);
  return transaction->commit();
}

}  // namespace

Result<Csn> keep_watch(Connection& mid_tier, const Bound& bound) {
  const auto body = body_of(bound);
  auto known = look(mid_tier, bound, body);
  if (!known) return pass(known);
  if (known->there && known->broken.empty()) return known->since;
  if (auto begun = begin_watch(mid_tier, bound, body); !begun) return pass(begun, phrase("subscription {}: watch its rows", bound.rule.name));
  known = look(mid_tier, bound, body);
  if (!known) return pass(known);
  if (!known->there) return fail(ErrorCode::kInternal, fmt::format("subscription {}: its rows are not watched", bound.rule.name));
  return known->since;
}

Status end_watches(Connection& mid_tier, const std::vector<std::string>& names) {
  auto rows = mid_tier.query("SELECT subscription FROM sync.watch WHERE NOT subscription = ANY($1::text[])", {array_parameter(names)});
  if (!rows) return pass(rows, "subscriptions");
  for (int row = 0; row < rows->size(); ++row) {
    const std::string name(rows->text(row, 0));
    auto transaction = mid_tier.begin();
    if (!transaction) return pass(transaction);
    if (auto dropped = mid_tier.execute(fmt::format("DROP FUNCTION IF EXISTS sync.departs_{}() CASCADE", tag_of(name))); !dropped) return dropped;
    for (const auto* statement : {"DELETE FROM sync.departed WHERE subscription = $1", "DELETE FROM sync.watch WHERE subscription = $1"}) {
      if (auto done = mid_tier.query(statement, {name}); !done) return pass(done);
    }
    if (auto committed = transaction->commit(); !committed) return committed;
  }
  return {};
}

}  // namespace verbund::sync::server
