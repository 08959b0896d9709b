#include "sync/server/tidy.h"

#include "base/messages.h"
#include "sync/server/watch.h"

namespace verbund::sync::server {
namespace {

/// $1: days. A change behind the device's cursor is asked for by no sync: reply.cc looks at own changes above it.
constexpr std::string_view kStatements[] = {
    "DELETE FROM sync.change c WHERE c.state IN ('applied', 'dismissed') AND c.told_sync IS NOT NULL AND c.decided < now() - $1::integer * interval '1 day'"
    " AND coalesce(c.applied_csn, 0) <= coalesce((SELECT h.csn FROM sync.held h WHERE h.device = c.device AND h.subscription = c.subscription), 0)",
    "DELETE FROM sync.apply a WHERE a.began < now() - $1::integer * interval '1 day' AND NOT EXISTS (SELECT FROM sync.change c WHERE c.apply_id = a.id)",
    // The last one of each device stays: its number must not be taken twice.
    "DELETE FROM sync.upload u WHERE u.taken < now() - $1::integer * interval '1 day' AND EXISTS (SELECT FROM sync.upload n WHERE n.device = u.device AND n.upload > u.upload)"
    " AND NOT EXISTS (SELECT FROM sync.change c WHERE c.device = u.device AND c.upload = u.upload)",
    "DELETE FROM sync.input WHERE received < now() - $1::integer * interval '1 day'",
    // Devices that were away for longer are repaired (docs/protocol/devices.md).
    "WITH over AS (SELECT subscription, max(csn) AS csn FROM sync.moved WHERE at < now() - $1::integer * interval '1 day' GROUP BY subscription),"
    " known AS (UPDATE sync.watch w SET since_csn = greatest(w.since_csn, o.csn) FROM over o WHERE o.subscription = w.subscription)"
    " DELETE FROM sync.moved m USING over o WHERE m.subscription = o.subscription AND m.csn <= o.csn",
    // A day: whoever has begun with one and is not done begins anew.
    "DELETE FROM sync.stock WHERE $1::integer > 0 AND made < now() - interval '1 day'",
    "DELETE FROM sync.output_stock o WHERE $1::integer > 0 AND NOT EXISTS (SELECT FROM sync.device d WHERE d.id = o.device AND d.state <> 'revoked')",
    "DELETE FROM sync.output o WHERE $1::integer > 0 AND NOT EXISTS (SELECT FROM sync.device d WHERE d.id = o.device AND d.state <> 'revoked')"};

}  // namespace

Result<std::uint64_t> tidy(postgres::Connection& mid_tier) {
  if (auto ended = end_watches(mid_tier); !ended) return pass(ended, "tidy the queues of device sync");
  std::uint64_t gone = 0;
  for (const auto statement : kStatements) {
    auto done = mid_tier.query(statement, {std::to_string(kKeptFor.count())});
    if (!done) return pass(done, "tidy the queues of device sync");
    gone += done->affected();
  }
  return gone;
}

}  // namespace verbund::sync::server
