#include "feed/slot.h"

#include "base/messages.h"

namespace verbund::feed {

using postgres::Connection;

Result<std::optional<Slot>> read_slot(Connection& source, const std::string& name) {
  auto rows = source.query(
      "SELECT coalesce(confirmed_flush_lsn, '0/0'), coalesce(wal_status, 'lost') = 'lost',"
      "       plugin IS DISTINCT FROM 'pgoutput' OR database IS DISTINCT FROM current_database()"
      "  FROM pg_replication_slots WHERE slot_name = $1",
      {name});
  if (!rows) return pass(rows, phrase("replication slot {}", name));
  if (rows->size() == 0) return std::nullopt;
  const auto confirmed = parse_lsn(rows->text(0, 0));
  if (!confirmed) return std::unexpected(confirmed.error());
  return Slot{*confirmed, rows->text(0, 1) == "t", rows->text(0, 2) == "t"};
}

Status drop_slot(Connection& source, const std::string& name) {
  auto dropped = source.query("SELECT pg_drop_replication_slot($1)", {name});
  if (dropped) return {};
  if (source.last_sqlstate() == "55006") dropped.error().code = ErrorCode::kInUse;
  return pass(dropped, phrase("drop replication slot {}", name));
}

std::optional<Loss> loss_of(const Position& position, const postgres::SystemIdentity& server, const std::optional<Slot>& slot,
                            const std::string& slot_name, bool follows_promotions) {
  if (position.system_id != server.system_id) return Loss{msgid("the source is another PostgreSQL system than before"), true, true};
  if (position.timeline != server.timeline) return Loss{msgid("the source is on another timeline than before"), !follows_promotions, false};
  if (server.flushed < position.lsn) return Loss{msgid("the source's log ends before the stored position: it was restored"), true, false};
  // A comparison that was under way when the node or the database ended.
  if (position.loss) return position.loss;
  if (position.slot != slot_name) return Loss{msgid("the slot has another name than before"), false, false};
  if (!slot) return Loss{msgid("the replication slot is gone"), false, false};
  if (slot->lost) return Loss{msgid("the server has removed WAL that the slot needed"), false, false};
  // PostgreSQL would go on from there without a word, and what lies between would be missing for ever. Either somebody moved
  // the slot, or this mid-tier is an older one than clients have seen.
  if (slot->confirmed > position.lsn) return Loss{msgid("the slot was moved on beyond the stored position"), true, false};
  return std::nullopt;
}

}  // namespace verbund::feed
