#include "sync/server/overview.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::sync::server {
namespace {

constexpr std::string_view kStands = R"sql(
  SELECT d.id, d.name, d.user_name, d.state, coalesce(d.split_from, 0), (extract(epoch FROM d.enrolled) * 1000000)::bigint,
         (SELECT (extract(epoch FROM max(s.acknowledged)) * 1000000)::bigint FROM sync.session s WHERE s.device = d.id),
         c.waiting, c.rejects, (extract(epoch FROM c.rejected) * 1000000)::bigint,
         (SELECT count(*) FROM sync.held h, feed.position p WHERE h.device = d.id AND (h.history <> p.history_id OR h.csn < p.csn))
    FROM sync.device d
    CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state IN ('accepted', 'applying')) AS waiting, count(*) FILTER (WHERE state = 'rejected') AS rejects,
                               min(decided) FILTER (WHERE state = 'rejected') AS rejected FROM sync.change WHERE device = d.id) c
   WHERE d.state <> 'revoked' ORDER BY d.id)sql";

std::uint64_t number(const postgres::Rows& rows, int row, int column) { return parse_u64(rows.text(row, column)).value_or(0); }
std::optional<WallTime> time(const postgres::Rows& rows, int row, int column) {
  if (rows.null(row, column)) return std::nullopt;
  return WallTime{microseconds{static_cast<std::int64_t>(number(rows, row, column))}};
}

std::int64_t days_between(WallTime from, WallTime to) { return std::chrono::floor<std::chrono::days>(to - from).count(); }

/// So many are told one by one; of more a mail would be read by nobody.
constexpr std::size_t kToldAlone = 5;

}  // namespace

Result<std::vector<DeviceStand>> device_stands(postgres::Connection& mid_tier) {
  auto rows = mid_tier.query(kStands);
  if (!rows) return pass(rows, "devices");
  std::vector<DeviceStand> devices;
  for (int row = 0; row < rows->size(); ++row) {
    DeviceStand one;
    one.id = number(*rows, row, 0);
    one.name = std::string(rows->text(row, 1));
    one.user = std::string(rows->text(row, 2));
    one.state = std::string(rows->text(row, 3));
    one.split_from = number(*rows, row, 4);
    one.enrolled = time(*rows, row, 5).value_or(WallTime{});
    one.synced = time(*rows, row, 6);
    one.waiting = number(*rows, row, 7);
    one.rejects = number(*rows, row, 8);
    one.rejected = time(*rows, row, 9);
    one.behind = number(*rows, row, 10);
    devices.push_back(std::move(one));
  }
  return devices;
}

bool is_away(const DeviceStand& device, const Patience& patience, WallTime now) {
  return device.state == "active" && patience.not_synced.count() > 0 && now - device.synced.value_or(device.enrolled) >= patience.not_synced;
}

std::vector<DeviceTrouble> troubles_of(const std::vector<DeviceStand>& devices, const Patience& patience, WallTime now) {
  std::vector<DeviceTrouble> troubles;
  std::vector<const DeviceStand*> away;
  std::uint64_t unread = 0;
  for (const auto& one : devices) {
    if (patience.unread.count() > 0 && one.rejected && now - *one.rejected >= patience.unread) unread += one.rejects;
    if (one.state != "active") continue;
    if (is_away(one, patience, now)) away.push_back(&one);
    constexpr std::chrono::days kNews{7};
    if (one.split_from != 0 && now - one.enrolled < kNews) {
      troubles.push_back({fmt::format("sync/copy/{}", one.id), phrase("the database of device {} was copied or taken back: device {} ('{}', {}) goes on with it. Is it nobody's: `verbund sync device revoke {}`",
                                                                     one.split_from, one.id, one.name, one.user, one.id)});
    }
  }
  if (away.size() > kToldAlone) {
    troubles.push_back({"sync/away", phrase("{} devices have not synced for {} days: `verbund sync status` lists them", away.size(), patience.not_synced.count())});
  } else {
    for (const auto* one : away) {
      troubles.push_back({fmt::format("sync/away/{}", one->id), phrase("device {} ('{}', {}) has not synced for {} days", one->id, one->name, one->user, days_between(one->synced.value_or(one->enrolled), now))});
    }
  }
  if (unread > 0) troubles.push_back({"sync/rejects", phrase("{} rejected changes of devices have waited for somebody for {} days: `verbund sync reject list`", unread, patience.unread.count())});
  return troubles;
}

}  // namespace verbund::sync::server
