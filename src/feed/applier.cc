#include "feed/applier.h"
#include "base/messages.h"

#include "feed/journal_parts.h"

namespace verbund::feed {
namespace {

std::string record_array(const std::vector<RecordKey>& keys) {
  TextArray array;
  for (const RecordKey& key : keys) array.add(to_string(key));
  return array.take();
}

void add_once(std::vector<RecordKey>& keys, RecordKey key) {
  if (std::ranges::find(keys, key) == keys.end()) keys.push_back(std::move(key));
}

/// Old rows that a stretch holds for images: bounds memory, as far as rows of a table resemble each other.
constexpr std::size_t kOldRowsBytes = 32 * 1024 * 1024;
/// Truncated rows are read in pieces of at most so many.
constexpr std::size_t kTruncatedPiece = 2'000;

std::string row_literal(const Row& row) {
  TextArray array;
  for (const auto& value : row) array.add(value);
  return array.take();
}

template <typename Numbers>
std::string number_literal(const Numbers& numbers) {
  return fmt::format("{{{}}}", fmt::join(numbers, ","));
}

/// Announced changes name no table.
const std::string kNoTable;

}  // namespace

Csn Applier::next_csn() {
  // A higher term than that of the last csn begins its own count (DESIGN §4, Feed).
  head_.csn = head_.csn.term() < term_ ? Csn::of(term_, 1) : Csn{head_.csn.value + 1};
  if (!first_csn_.value) first_csn_ = head_.csn;
  return head_.csn;
}

Status Applier::apply(BatchWriter& mid_tier, std::vector<Step> steps, std::optional<Lsn> position) {
  JournalPart part;
  std::span<Step> rest(steps);
  while (!rest.empty()) {
    // A truncation acts on whole tables: what stands before it must be in the shadow by then.
    if (const auto* truncation = std::get_if<Truncated>(&rest.front())) {
      if (auto done = truncated(mid_tier, *truncation, part); !done) return done;
      rest = rest.subspan(1);
      continue;
    }
    const std::size_t length = stretch_length(rest);
    if (auto done = apply_stretch(mid_tier, rest.subspan(0, length), part); !done) return done;
    rest = rest.subspan(length);
  }
  return flush(mid_tier, part, position);
}

Status Applier::flush(BatchWriter& mid_tier, JournalPart& part, std::optional<Lsn> position) {
  const Csn last = std::max(part.changes.empty() ? Csn{} : part.changes.back().csn,
                            part.transactions.empty() ? Csn{} : part.transactions.back().event.cursor.csn);
  if (last >= room_ && last.value != 0) {
    auto connection = mid_tier.writing();
    if (!connection) return pass(connection, "journal");
    auto room = extend_journal(**connection, last, spare_);
    if (!room) return pass(room);
    room_ = *room;
  }
  auto moved = position ? std::optional(std::pair(*position, head_.csn)) : std::nullopt;
  if (auto written = write_journal(mid_tier, part, moved); !written) return written;
  for (JournalTransaction& transaction : part.transactions) events_.push_back(std::move(transaction.event));
  part = {};
  return {};
}

/// Up to a truncation, or until the old rows that images need fill their share of memory. At least one step.
std::size_t Applier::stretch_length(std::span<const Step> rest) const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (std::holds_alternative<Truncated>(rest[i])) return i;
    const auto* change = std::get_if<RowChange>(&rest[i]);
    if (change == nullptr || change->op == RowOp::kInsert || !tables_.all[change->table].images) continue;
    bytes += old_row_bytes_[change->table];
    if (bytes > kOldRowsBytes && i > 0) return i;
  }
  return rest.size();
}

Status Applier::enter_layouts(BatchWriter& mid_tier, std::span<const Step> steps) {
  for (const Step& step : steps) {
    const auto* change = std::get_if<RowChange>(&step);
    if (change == nullptr || !tables_.all[change->table].images || layouts_[change->table] != 0) continue;
    auto id = layout_id(mid_tier, tables_.all[change->table]);
    if (!id) return pass(id);
    layouts_[change->table] = *id;
  }
  return {};
}

Status Applier::apply_stretch(BatchWriter& mid_tier, std::span<Step> steps, JournalPart& part) {
  World world(tables_, gone_);
  if (auto entered = enter_layouts(mid_tier, steps); !entered) return entered;
  if (auto ready = world.prefetch(mid_tier, steps); !ready) return ready;
  for (std::size_t table = 0; table < tables_.all.size(); ++table) {
    if (const auto& read = world.fetched_whole(table); read.rows > 0) old_row_bytes_[table] = read.bytes / read.rows;
  }
  for (Step& step : steps) {
    if (auto* change = std::get_if<RowChange>(&step)) {
      if (auto done = row_changed(world, *change, part); !done) return done;
    } else if (const auto* begun = std::get_if<Begun>(&step)) {
      open_ = *begun;
      is_open_ = true;
    } else if (const auto* author = std::get_if<Author>(&step)) {
      by_ = author->session;
    } else if (const auto* record = std::get_if<Announced>(&step)) {
      announced(*record, part);
    } else if (const auto* table = std::get_if<Reshaped>(&step)) {
      reshaped(*table, part);
    } else {
      committed(part);
    }
  }
  if (auto written = write_stretch(mid_tier, world); !written) return written;
  is_open_ ? world.remember_gone(gone_) : gone_.clear();
  return {};
}

Status Applier::write_stretch(BatchWriter& mid_tier, const World& world) {
  for (std::size_t table = 0; table < tables_.all.size(); ++table) {
    if (world.entries(table).empty()) continue;
    if (auto done = write_shadow(mid_tier, tables_.all[table], world.entries(table)); !done) return done;
  }
  return {};
}

Status Applier::fill_unchanged(const World& world, RowChange& change) const {
  if (change.unchanged.empty()) return {};
  const Row* old = world.before(change.table, change.old_key());
  if (old == nullptr) {
    return fail(ErrorCode::kSnapshotNeeded, phrase("the shadow of {} lacks a row that was updated", tables_.all[change.table].shown));
  }
  for (const std::uint16_t column : change.unchanged) change.row[column] = (*old)[column];
  return {};
}

Status Applier::note_images(const RowChange& change, const Row* old, JournalChange& journal) const {
  journal.layout = layouts_[change.table];
  if (change.op != RowOp::kInsert && (old == nullptr || old->empty())) {
    return fail(ErrorCode::kSnapshotNeeded, phrase("the shadow of {} lacks a row that was changed", tables_.all[change.table].shown));
  }
  if (change.op == RowOp::kDelete) {
    journal.before = row_literal(*old);
    return {};
  }
  if (change.op == RowOp::kInsert) {
    journal.after = row_literal(change.row);
    return {};
  }
  std::vector<std::size_t> changed;
  TextArray before;
  for (std::size_t column = 0; column < change.row.size(); ++column) {
    if (change.row[column] == (*old)[column]) continue;
    changed.push_back(column);
    before.add((*old)[column]);
  }
  TextArray after;
  for (std::size_t column = 0; column < change.row.size(); ++column) {
    // Large values that stayed are not written once more with every change beside them.
    const bool stayed = std::ranges::binary_search(change.unchanged, column);
    after.add(stayed ? std::nullopt : change.row[column]);
  }
  journal.changed = number_literal(changed);
  if (!change.unchanged.empty()) journal.unchanged = number_literal(change.unchanged);
  journal.before = before.take();
  journal.after = after.take();
  return {};
}

Status Applier::row_changed(World& world, RowChange& change, JournalPart& part) {
  if (auto filled = fill_unchanged(world, change); !filled) return filled;
  const Csn csn = next_csn();
  const Row* old = change.op == RowOp::kInsert ? nullptr : world.before(change.table, change.old_key());
  std::vector<RecordKey> touched;
  note_records(world, change, old, touched);
  JournalChange journal{csn, change.op, tables_.all[change.table].id, change.key, change.was_key, record_array(touched)};
  if (tables_.all[change.table].images) {
    if (auto noted = note_images(change, old, journal); !noted) return noted;
  }
  part.changes.push_back(std::move(journal));
  if (change.op == RowOp::kDelete || change.was_key) world.remove(change.table, change.old_key());
  if (change.op != RowOp::kDelete) {
    const bool is_new = change.op == RowOp::kInsert || change.was_key.has_value();
    world.put(change.table, change.key, std::move(change.row), csn, is_new);
  }
  return {};
}

void Applier::note_records(const World& world, const RowChange& change, const Row* old, std::vector<RecordKey>& touched) {
  const CapturedTable& table = tables_.all[change.table];
  for (const Mapping& mapping : table.mappings) {
    if (mapping.hops.empty()) {
      note_root(mapping, change, table.shown, touched);
      continue;
    }
    // Before and after: a child that moved changes both records.
    for (const Row* row : {old, change.op == RowOp::kDelete ? nullptr : &change.row}) {
      if (row == nullptr) continue;
      auto id = world.record_of(mapping, *row);
      if (!id) continue;
      RecordKey key{mapping.record_type, std::move(*id)};
      records_.touched(key, table.shown);
      add_once(touched, std::move(key));
    }
  }
}

void Applier::note_root(const Mapping& mapping, const RowChange& change, const std::string& table, std::vector<RecordKey>& touched) {
  RecordKey key{mapping.record_type, change.key};
  if (change.was_key) {
    RecordKey was{mapping.record_type, *change.was_key};
    records_.renamed(was, key, table);
    add_once(touched, std::move(was));
  } else if (change.op == RowOp::kInsert) {
    records_.inserted(key, table);
  } else if (change.op == RowOp::kDelete) {
    records_.deleted(key, table);
  } else {
    records_.updated(key, table);
  }
  add_once(touched, std::move(key));
}

void Applier::announced(const Announced& step, JournalPart& part) {
  switch (step.op) {
    case RecordEvent::Op::kInsert: records_.inserted(step.key, kNoTable); break;
    case RecordEvent::Op::kUpdate: records_.updated(step.key, kNoTable); break;
    case RecordEvent::Op::kDelete: records_.deleted(step.key, kNoTable); break;
  }
  part.changes.push_back({next_csn(), RowOp::kAnnounced, 0, to_string(step.key), std::nullopt, record_array({step.key})});
}

/// The rows that a TRUNCATE removes, as deletions in the journal. What is told of it (RecordSet) is the truncation alone.
Status Applier::keep_truncated(BatchWriter& mid_tier, std::size_t index, JournalPart& part) {
  const CapturedTable& table = tables_.all[index];
  const std::size_t piece = std::clamp<std::size_t>(kOldRowsBytes / std::max<std::size_t>(old_row_bytes_[index], 1), 1, kTruncatedPiece);
  std::optional<std::string> behind;
  for (;;) {
    auto connection = mid_tier.writing();
    if (!connection) return pass(connection, "truncated rows");
    auto rows = (*connection)->query(
        fmt::format("SELECT verbund_key FROM {} WHERE $1::text IS NULL OR verbund_key > $1::text COLLATE \"C\""
                    " ORDER BY verbund_key LIMIT $2::bigint", quoted("feed", table.shadow)),
        {behind, std::to_string(piece)});
    if (!rows) return pass(rows, "truncated rows");
    if (rows->size() == 0) return {};
    std::vector<std::string> keys;
    for (int row = 0; row < rows->size(); ++row) keys.emplace_back(rows->text(row, 0));
    behind = keys.back();
    if (auto kept = keep_rows(mid_tier, index, keys, part); !kept) return kept;
    if (auto written = flush(mid_tier, part, std::nullopt); !written) return written;
  }
}

Status Applier::keep_rows(BatchWriter& mid_tier, std::size_t index, const std::vector<std::string>& keys, JournalPart& part) {
  const CapturedTable& table = tables_.all[index];
  std::vector<Step> steps;
  for (const std::string& key : keys) steps.emplace_back(RowChange{RowOp::kDelete, index, key, {}, {}, {}});
  World world(tables_, gone_);
  if (auto entered = enter_layouts(mid_tier, steps); !entered) return entered;
  if (auto ready = world.prefetch(mid_tier, steps); !ready) return ready;
  if (const auto& read = world.fetched_whole(index); read.rows > 0) old_row_bytes_[index] = read.bytes / read.rows;
  for (const Step& step : steps) {
    const auto& change = std::get<RowChange>(step);
    const Row* old = world.before(index, change.key);
    std::vector<RecordKey> records;
    for (const Mapping& mapping : table.mappings) {
      auto id = mapping.hops.empty() ? std::optional(change.key) : old ? world.record_of(mapping, *old) : std::nullopt;
      if (id) add_once(records, {mapping.record_type, std::move(*id)});
    }
    JournalChange journal{next_csn(), RowOp::kDelete, table.id, change.key, {}, record_array(records)};
    if (auto noted = note_images(change, old, journal); !noted) return noted;
    part.changes.push_back(std::move(journal));
  }
  return {};
}

Status Applier::truncated(BatchWriter& mid_tier, const Truncated& step, JournalPart& part) {
  // First all rows: they find their records through the tables that are truncated with theirs.
  for (const std::size_t index : step.tables) {
    if (!tables_.all[index].images) continue;
    if (auto kept = keep_truncated(mid_tier, index, part); !kept) return kept;
  }
  for (const std::size_t index : step.tables) {
    const CapturedTable& table = tables_.all[index];
    auto rows = truncate_shadow(mid_tier, table);
    if (!rows) return pass(rows);
    for (const Mapping& mapping : table.mappings) {
      mapping.hops.empty() ? records_.truncated(mapping.record_type) : records_.counted(mapping.record_type, *rows);
    }
    part.changes.push_back({next_csn(), RowOp::kTruncate, table.id, {}, std::nullopt, "{}"});
  }
  return {};
}

void Applier::reshaped(const Reshaped& step, JournalPart& part) {
  const CapturedTable& table = tables_.all[step.table];
  for (const Mapping& mapping : table.mappings) records_.counted(mapping.record_type, std::max<std::uint64_t>(step.rows, 1));
  part.changes.push_back({next_csn(), RowOp::kReshaped, table.id, {}, std::nullopt, "{}"});
}

void Applier::committed(JournalPart& part) {
  is_open_ = false;
  if (first_csn_.value != 0) {
    TransactionEvent event{head_, open_.commit_lsn, open_.commit_time, by_, {}, {}, {}};
    records_.finish(event);
    part.transactions.push_back({first_csn_, open_.xid, std::move(event)});
  }
  first_csn_ = {};
  by_ = {};
}

}  // namespace verbund::feed
