#include "feed/journal_parts.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

constexpr std::string_view kTables[] = {"change", "transaction"};

/// $1 rows, $2 seconds, $3 bytes, $4 patience. Csns count up by one within a term, from 1 on: how many changes are newer than a part is added up
/// over the terms since.
constexpr std::string_view kOldest = R"(
  WITH RECURSIVE oldest AS (SELECT from_csn, to_csn - 1 AS last FROM feed.journal_part ORDER BY from_csn LIMIT 1),
  size AS (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) AS bytes FROM pg_inherits
            WHERE inhparent IN ('feed.change'::regclass, 'feed.transaction'::regclass)),
  term (last) AS (
    SELECT csn FROM feed.position
    UNION ALL
    SELECT (SELECT max(t.last_csn) FROM feed.transaction t WHERE t.last_csn < (term.last >> 40) << 40)
      FROM term, oldest o WHERE term.last >> 40 > o.last >> 40),
  newer AS (SELECT coalesce(sum(greatest(0, term.last - greatest(o.last, (term.last >> 40) << 40))), 0) AS changes FROM term, oldest o)
  SELECT o.from_csn, o.last FROM oldest o, size s, newer n, feed.position p, feed.retained r
   WHERE o.last < p.csn
     AND (o.last <= r.floor_csn OR n.changes >= $1::bigint
          OR ($2::bigint > 0 AND (SELECT commit_time FROM feed.transaction WHERE last_csn <= o.last ORDER BY last_csn DESC LIMIT 1)
                                 < now() - make_interval(secs => $2::bigint))
          OR ($3::bigint > 0 AND s.bytes > $3::bigint))
     AND (o.last <= (SELECT coalesce(min(c.csn), p.csn) FROM feed.consumer c) OR n.changes >= $1::bigint * $4::bigint
          OR ($3::bigint > 0 AND s.bytes > $3::bigint * $4::bigint)))";

}  // namespace

Result<Csn> extend_journal(Connection& mid_tier, Csn last, std::uint64_t spare) {
  auto rows = mid_tier.query("SELECT coalesce(max(to_csn), 0) FROM feed.journal_part");
  if (!rows) return pass(rows, "journal");
  const std::uint64_t from = parse_u64(rows->text(0, 0)).value_or(0);
  if (last.value < from) return Csn{from};
  const std::uint64_t to = last.value + 1 + spare;
  std::string statements;
  for (const std::string_view table : kTables) {
    // Made beside and attached: readers and writers of the other parts are not in the way.
    statements += fmt::format("CREATE TABLE feed.{0}_{1} (LIKE feed.{0} INCLUDING DEFAULTS);"
                              "ALTER TABLE feed.{0} ATTACH PARTITION feed.{0}_{1} FOR VALUES FROM ({1}) TO ({2});", table, from, to);
  }
  statements += fmt::format("INSERT INTO feed.journal_part VALUES ({}, {})", from, to);
  if (auto made = mid_tier.execute(statements); !made) return pass(made, "journal");
  return Csn{to};
}

Result<bool> prune_journal(Connection& mid_tier, const Retention& retention) {
  auto oldest = mid_tier.query(kOldest, {std::to_string(retention.rows), std::to_string(retention.age.count()), std::to_string(retention.bytes),
                                         std::to_string(kConsumerPatience)});
  if (!oldest) return pass(oldest, "journal retention");
  if (oldest->size() == 0) return false;
  const std::string from(oldest->text(0, 0));
  const std::string last(oldest->text(0, 1));
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction, "journal retention");
  // Capture waits behind a lock that is waited for.
  std::string statements = "SET LOCAL lock_timeout = '1s';";
  for (const std::string_view table : kTables) statements += fmt::format("DROP TABLE feed.{}_{};", table, from);
  statements += fmt::format("DELETE FROM feed.journal_part WHERE from_csn = {};"
                            "UPDATE feed.retained SET floor_csn = greatest(floor_csn, {}), pruned_csn = {}", from, last, last);
  auto dropped = mid_tier.execute(statements);
  if (!dropped && mid_tier.last_sqlstate() == "55P03") dropped.error().code = ErrorCode::kTimedOut;
  if (!dropped) return pass(dropped, "journal retention");
  if (auto committed = transaction->commit(); !committed) return pass(committed, "journal retention");
  return true;
}

}  // namespace verbund::feed
