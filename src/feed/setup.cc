#include "feed/setup.h"

#include <random>

#include "feed/publication.h"
#include "feed/shadow.h"

namespace verbund::feed {
namespace {

using postgres::Connection;
using postgres::ReplicationStream;

struct Slot {
  Lsn confirmed;
  bool lost = false;
  bool foreign = false;  ///< of another database or plugin
};

/// Text forms must not depend on the server's or the role's settings: COPY and pgoutput have to write the same, always.
postgres::ConnectionSettings with_exact_text(postgres::ConnectionSettings settings) {
  settings.options +=
      " options='-c datestyle=ISO,YMD -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex"
      " -c search_path=pg_catalog -c statement_timeout=0 -c idle_in_transaction_session_timeout=0'";
  return settings;
}

Result<std::optional<Slot>> read_slot(Connection& source, const std::string& name) {
  auto rows = source.query(
      "SELECT coalesce(confirmed_flush_lsn, '0/0'), coalesce(wal_status, 'lost') = 'lost',"
      "       plugin IS DISTINCT FROM 'pgoutput' OR database IS DISTINCT FROM current_database()"
      "  FROM pg_replication_slots WHERE slot_name = $1",
      {name});
  if (!rows) return pass(rows, "replication slot " + name);
  if (rows->size() == 0) return std::nullopt;
  const auto confirmed = parse_lsn(rows->text(0, 0));
  if (!confirmed) return std::unexpected(confirmed.error());
  return Slot{*confirmed, rows->text(0, 1) == "t", rows->text(0, 2) == "t"};
}

/// Why the stored position does not continue what the server has; empty: it does.
std::string break_in_history(const Position& position, const postgres::SystemIdentity& server, const std::optional<Slot>& slot,
                             const std::string& slot_name) {
  if (position.system_id != server.system_id) return "the source is another PostgreSQL system than before";
  if (position.timeline != server.timeline) return "the source is on another timeline than before";
  if (position.slot != slot_name) return "the slot has another name than before";
  if (!slot) return "the replication slot is gone";
  if (slot->lost) return "the server has removed WAL that the slot needed";
  // PostgreSQL would go on from there without a word, and what lies between would be missing for ever.
  if (slot->confirmed > position.lsn) return "somebody else has moved the slot on";
  return {};
}

std::string changed_layout(const Tables& tables, const std::vector<KnownTable>& known) {
  for (const KnownTable& before : known) {
    const auto index = tables.find(before.schema, before.table);
    if (index && tables.all[*index].layout() != before.layout) {
      return fmt::format("columns or primary key of {} changed", tables.all[*index].shown);
    }
  }
  return {};
}

HistoryId new_history() {
  std::random_device device;
  std::string digits;
  for (int i = 0; i < 4; ++i) digits += fmt::format("{:08x}", device());
  return {digits};
}

Status drop_slot(Connection& source, const std::string& name) {
  auto dropped = source.query("SELECT pg_drop_replication_slot($1)", {name});
  if (dropped) return {};
  if (source.last_sqlstate() == "55006") dropped.error().code = ErrorCode::kInUse;
  return pass(dropped, "drop replication slot " + name);
}

class Setup {
 public:
  Setup(const FeedSettings& settings, Log& log, Prepared& to) : settings_(settings), log_(log), to_(to) {}

  Status run(const std::string& rebuild) {
    if (auto published = keep_publication(to_.source, settings_.publication, to_.tables, log_); !published) return published;
    auto server = to_.stream.identify();
    if (!server) return pass(server);
    auto slot = read_slot(to_.source, settings_.slot);
    if (!slot) return pass(slot);
    if (*slot && (*slot)->foreign) {
      return fail(ErrorCode::kInUse, fmt::format("replication slot {} belongs to another database or plugin", settings_.slot),
                  "Choose another slot name for the feed.");
    }
    auto position = read_position(to_.mid_tier);
    if (!position) return pass(position);
    auto known = known_tables(to_.mid_tier);
    if (!known) return pass(known);
    if (!*position) return begin(*server, slot->has_value(), *known, Csn::of(settings_.term, 0));
    to_.forked = rebuild.empty() ? break_in_history(**position, *server, *slot, settings_.slot) : rebuild;
    if (to_.forked.empty()) to_.forked = changed_layout(to_.tables, *known);
    if (!to_.forked.empty()) return begin(*server, slot->has_value(), *known, (*position)->head.csn);
    to_.position = **position;
    return go_on(*known);
  }

 private:
  /// A new slot, and everything as its snapshot has it.
  Status begin(const postgres::SystemIdentity& server, bool drop_first, const std::vector<KnownTable>& known, Csn head) {
    if (drop_first) {
      if (auto dropped = drop_slot(to_.source, settings_.slot); !dropped) return dropped;
    }
    auto slot = to_.stream.create_slot(settings_.slot);
    if (!slot) return pass(slot);
    to_.position = {server.system_id, server.timeline, settings_.slot, slot->consistent_point, {new_history(), head}};
    auto transaction = to_.mid_tier.begin();
    if (!transaction) return pass(transaction);
    for (const KnownTable& table : known) {
      if (auto dropped = drop_shadow(to_.mid_tier, table); !dropped) return pass(dropped, "shadow tables");
    }
    std::vector<CapturedTable*> all;
    for (CapturedTable& table : to_.tables.all) all.push_back(&table);
    if (auto copied = copy(all, *slot); !copied) return copied;
    if (auto indexed = index_lookups(to_.mid_tier, to_.tables); !indexed) return indexed;
    if (auto begun = begin_history(to_.mid_tier, to_.position); !begun) return begun;
    return transaction->commit();
  }

  Status go_on(const std::vector<KnownTable>& known) {
    auto transaction = to_.mid_tier.begin();
    if (!transaction) return pass(transaction);
    for (const KnownTable& before : known) {
      const auto index = to_.tables.find(before.schema, before.table);
      if (!index) {
        if (auto dropped = drop_shadow(to_.mid_tier, before); !dropped) return pass(dropped, "shadow tables");
        continue;
      }
      CapturedTable& table = to_.tables.all[*index];
      table.id = before.id;
      table.shadow = before.shadow;
      table.since = before.since;
    }
    std::vector<CapturedTable*> added;
    for (CapturedTable& table : to_.tables.all) {
      if (table.id == 0) added.push_back(&table);
    }
    if (!added.empty()) {
      if (auto copied = copy_added(added); !copied) return copied;
    }
    if (auto indexed = index_lookups(to_.mid_tier, to_.tables); !indexed) return indexed;
    return transaction->commit();
  }

  /// Tables new in the configuration: their rows as of a snapshot whose position in the log is known, from a slot of its
  /// own that goes at once. The stream's changes of these tables count from there on (CapturedTable::since).
  Status copy_added(const std::vector<CapturedTable*>& added) {
    const std::string name = settings_.slot + "_copy";
    auto stale = read_slot(to_.source, name);
    if (!stale) return pass(stale);
    if (*stale) {
      if (auto dropped = drop_slot(to_.source, name); !dropped) return dropped;
    }
    auto stream = ReplicationStream::open(with_exact_text(settings_.source));
    if (!stream) return pass(stream);
    auto slot = stream->create_slot(name);
    if (!slot) return pass(slot);
    if (auto copied = copy(added, *slot); !copied) return copied;
    return stream->drop_slot(name);
  }

  Status copy(const std::vector<CapturedTable*>& tables, const postgres::NewSlot& slot) {
    auto snapshot = to_.source.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!snapshot) return pass(snapshot);
    auto taken = to_.source.execute("SET TRANSACTION SNAPSHOT " + Connection::quote_literal(slot.snapshot));
    if (!taken) return pass(taken, "snapshot of the new slot");
    for (CapturedTable* table : tables) {
      if (auto created = create_shadow(to_.mid_tier, *table, slot.consistent_point); !created) return created;
      auto rows = fill_shadow(to_.source, to_.mid_tier, *table, to_.position.head.csn);
      if (!rows) return pass(rows);
      if (auto known = to_.mid_tier.execute("ANALYZE " + quoted("feed", table->shadow)); !known) return known;
      log_.info("feed.copied", {{"table", table->shown}, {"rows", *rows}, {"lsn", to_string(slot.consistent_point)}});
    }
    return snapshot->commit();
  }

  const FeedSettings& settings_;
  Log& log_;
  Prepared& to_;
};

}  // namespace

Result<Prepared> prepare(const FeedSettings& settings, const std::string& rebuild, Log& log) {
  const auto exact = with_exact_text(settings.source);
  auto source = Connection::open(exact);
  if (!source) return pass(source, "source database");
  if (auto checked = check_server(*source); !checked) return pass(checked);
  auto mid_tier = Connection::open(settings.mid_tier);
  if (!mid_tier) return pass(mid_tier, "mid-tier database");
  auto tables = Tables::load(*source, settings.tables);
  if (!tables) return pass(tables);
  auto stream = ReplicationStream::open(exact);
  if (!stream) return pass(stream);
  Prepared prepared{std::move(*source), std::move(*mid_tier), std::move(*stream), std::move(*tables), {}, {}};
  if (auto done = Setup(settings, log, prepared).run(rebuild); !done) return pass(done);
  return prepared;
}

}  // namespace verbund::feed
