#include "sync/server/queues.h"

#include "base/messages.h"
#include "feed/tables.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

std::uint64_t number(const postgres::Rows& rows, int row, int column) { return parse_u64(rows.text(row, column)).value_or(0); }
std::string text(const postgres::Rows& rows, int row, int column) { return std::string(rows.text(row, column)); }
std::optional<WallTime> time(const postgres::Rows& rows, int row, int column) {
  if (rows.null(row, column)) return std::nullopt;
  return WallTime{microseconds{static_cast<std::int64_t>(number(rows, row, column))}};
}
std::vector<std::optional<std::string>> texts(const postgres::Rows& rows, int row, int column) {
  if (rows.null(row, column)) return {};
  auto read = feed::read_array(rows.text(row, column));
  return read ? std::move(*read) : std::vector<std::optional<std::string>>{};
}
postgres::Parameter of(std::optional<std::uint64_t> device) { return device ? postgres::Parameter(std::to_string(*device)) : postgres::Parameter(std::nullopt); }

constexpr std::string_view kQueues = R"sql(
  SELECT d.id, d.name, d.user_name,
         (SELECT count(*) FROM sync.input i WHERE i.device = d.id),
         c.waiting, c.applying, c.rejects,
         (SELECT count(*) FROM sync.output o WHERE o.device = d.id) + (SELECT coalesce(sum(s.blocks), 0) FROM sync.output_stock o JOIN sync.stock s ON s.id = o.stock WHERE o.device = d.id),
         (extract(epoch FROM s.began) * 1000000)::bigint, (extract(epoch FROM s.acknowledged) * 1000000)::bigint
    FROM sync.device d
    CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state = 'accepted') AS waiting, count(*) FILTER (WHERE state = 'applying') AS applying,
                               count(*) FILTER (WHERE state = 'rejected') AS rejects FROM sync.change WHERE device = d.id) c
    CROSS JOIN LATERAL (SELECT max(began) AS began, max(acknowledged) AS acknowledged FROM sync.session WHERE device = d.id) s
   WHERE d.state <> 'revoked' ORDER BY d.id)sql";

constexpr std::string_view kWaiting = R"sql(
  SELECT c.id, c.device, coalesce(d.name, ''), c.subscription, c.key, c.op, c.state, coalesce(c.waits_for, ''), (extract(epoch FROM coalesce(u.taken, now())) * 1000000)::bigint
    FROM sync.change c LEFT JOIN sync.device d ON d.id = c.device LEFT JOIN sync.upload u USING (device, upload)
   WHERE c.state IN ('accepted', 'applying') AND ($1::bigint IS NULL OR c.device = $1::bigint) ORDER BY c.id LIMIT $2::integer)sql";

constexpr std::string_view kRejects = R"sql(
  SELECT c.id, c.device, coalesce(d.name, ''), coalesce(d.user_name, ''), c.subscription, c.key, c.op, coalesce(c.reason, ''), coalesce(c.message, ''),
         c.columns, c.before, c.after, c.theirs, (extract(epoch FROM c.decided) * 1000000)::bigint, c.told_sync IS NOT NULL
    FROM sync.change c LEFT JOIN sync.device d ON d.id = c.device
   WHERE c.state = 'rejected' AND ($1::bigint IS NULL OR c.device = $1::bigint) ORDER BY c.id DESC LIMIT $2::integer)sql";

Status changed(Result<postgres::Rows> done, std::uint64_t id) {
  if (!done) return pass(done, phrase("reject {}", id));
  if (done->affected() == 1) return {};
  return fail(ErrorCode::kNotFound, phrase("reject {}: there is none, or it was retried or dismissed", id), phrase("`verbund sync reject list` shows them."));
}

}  // namespace

Result<std::vector<DeviceQueue>> list_queues(Connection& mid_tier) {
  auto rows = mid_tier.query(kQueues);
  if (!rows) return pass(rows, "queues of device sync");
  std::vector<DeviceQueue> queues;
  for (int row = 0; row < rows->size(); ++row) {
    queues.push_back({number(*rows, row, 0), text(*rows, row, 1), text(*rows, row, 2), number(*rows, row, 3), number(*rows, row, 4), number(*rows, row, 5), number(*rows, row, 6),
                      number(*rows, row, 7), time(*rows, row, 8), time(*rows, row, 9)});
  }
  return queues;
}

Result<std::vector<WaitingChange>> list_waiting(Connection& mid_tier, std::optional<std::uint64_t> device) {
  auto rows = mid_tier.query(kWaiting, {of(device), std::to_string(kMostListed)});
  if (!rows) return pass(rows, "queues of device sync");
  std::vector<WaitingChange> changes;
  for (int row = 0; row < rows->size(); ++row) {
    changes.push_back({number(*rows, row, 0), number(*rows, row, 1), text(*rows, row, 2), text(*rows, row, 3), text(*rows, row, 4), rows->text(row, 5).front(), text(*rows, row, 6),
                       text(*rows, row, 7), time(*rows, row, 8).value_or(WallTime{})});
  }
  return changes;
}

Result<std::vector<Reject>> list_rejects(Connection& mid_tier, std::optional<std::uint64_t> device) {
  auto rows = mid_tier.query(kRejects, {of(device), std::to_string(kMostListed)});
  if (!rows) return pass(rows, "rejects of device sync");
  std::vector<Reject> rejects;
  for (int row = 0; row < rows->size(); ++row) {
    Reject one{number(*rows, row, 0), number(*rows, row, 1), text(*rows, row, 2), text(*rows, row, 3), text(*rows, row, 4), text(*rows, row, 5), rows->text(row, 6).front(),
               text(*rows, row, 7), text(*rows, row, 8), {}, texts(*rows, row, 10), texts(*rows, row, 11), texts(*rows, row, 12), time(*rows, row, 13).value_or(WallTime{}),
               rows->text(row, 14) == "t"};
    for (auto& name : texts(*rows, row, 9)) one.columns.push_back(std::move(name).value_or(""));
    rejects.push_back(std::move(one));
  }
  return rejects;
}

Status retry_reject(Connection& mid_tier, std::uint64_t id) {
  return changed(mid_tier.query("UPDATE sync.change SET state = 'accepted', retried = true, apply_id = NULL, waits_for = NULL, reason = NULL, message = NULL, theirs = NULL, decided = NULL,"
                                " base = (SELECT csn FROM feed.position) WHERE id = $1::bigint AND state = 'rejected'",
                                {std::to_string(id)}),
                 id);
}

Status dismiss_reject(Connection& mid_tier, std::uint64_t id) {
  return changed(mid_tier.query("UPDATE sync.change SET state = 'dismissed' WHERE id = $1::bigint AND state = 'rejected'", {std::to_string(id)}), id);
}

}  // namespace verbund::sync::server
