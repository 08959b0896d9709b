#include "access/audit.h"

#include <algorithm>

#include "access/text.h"

namespace verbund::access {
namespace {

constexpr seconds kConnectionWait{5};
constexpr std::size_t kMaxNameBytes = 200;
constexpr std::size_t kMaxDetailBytes = 2'000;
constexpr std::size_t kMaxEntries = 10'000;

}  // namespace

Status record_audit(postgres::Pool& pool, const Clock& clock, const AuditEntry& entry) {
  auto connection = pool.acquire(Deadline::in(clock, kConnectionWait));
  if (!connection) return pass(connection, "write the audit trail");
  const auto at = entry.at == WallTime{} ? clock.wall() : entry.at;
  // Names of strangers end up here, too: an entry is never lost because of a byte in it.
  auto written = (*connection)->query(
      "INSERT INTO access.audit (at, actor, action, object, detail) VALUES ($1::timestamptz, $2, $3, $4, $5)",
      {to_iso8601(at), cleaned(entry.actor, kMaxNameBytes), cleaned(entry.action, kMaxNameBytes),
       cleaned(entry.object, kMaxDetailBytes), cleaned(entry.detail, kMaxDetailBytes)});
  if (!written) return pass(written, "write the audit trail");
  return {};
}

Result<std::vector<AuditEntry>> list_audit(postgres::Pool& pool, const Clock& clock, std::size_t limit,
                                           const std::string& actor, const std::string& action_prefix) {
  auto connection = pool.acquire(Deadline::in(clock, kConnectionWait));
  if (!connection) return pass(connection, "read the audit trail");
  auto rows = (*connection)->query(
      "SELECT number, (extract(epoch FROM at) * 1000000)::bigint, actor, action, object, detail FROM access.audit"
      " WHERE ($1 = '' OR actor = $1) AND starts_with(action, $2) ORDER BY number DESC LIMIT $3::bigint",
      {cleaned(actor, kMaxNameBytes), cleaned(action_prefix, kMaxNameBytes), std::to_string(std::min(limit, kMaxEntries))});
  if (!rows) return pass(rows, "read the audit trail");
  std::vector<AuditEntry> entries;
  for (int row = 0; row < rows->size(); ++row) {
    const auto number = parse_u64(rows->text(row, 0));
    const auto micros = parse_u64(rows->text(row, 1));
    entries.push_back({number.value_or(0), WallTime{microseconds{static_cast<std::int64_t>(micros.value_or(0))}},
                       std::string(rows->text(row, 2)), std::string(rows->text(row, 3)), std::string(rows->text(row, 4)),
                       std::string(rows->text(row, 5))});
  }
  return entries;
}

}  // namespace verbund::access
