#include "feed/applier.h"

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
    const auto stop = std::ranges::find_if(rest, [](const Step& step) { return std::holds_alternative<Truncated>(step); });
    const auto length = static_cast<std::size_t>(stop - rest.begin());
    if (length > 0) {
      if (auto done = apply_stretch(mid_tier, rest.subspan(0, length), part); !done) return done;
    }
    if (length == rest.size()) break;
    if (auto done = truncated(mid_tier, std::get<Truncated>(*stop), part); !done) return done;
    rest = rest.subspan(length + 1);
  }
  auto moved = position ? std::optional(std::pair(*position, head_.csn)) : std::nullopt;
  if (auto written = write_journal(mid_tier, part, moved); !written) return written;
  for (JournalTransaction& transaction : part.transactions) events_.push_back(std::move(transaction.event));
  return {};
}

Status Applier::apply_stretch(BatchWriter& mid_tier, std::span<Step> steps, JournalPart& part) {
  World world(tables_, gone_);
  if (auto ready = world.prefetch(mid_tier, steps); !ready) return ready;
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
    return fail(ErrorCode::kSnapshotNeeded, fmt::format("the shadow of {} lacks a row that was updated", tables_.all[change.table].shown));
  }
  for (const std::uint16_t column : change.unchanged) change.row[column] = (*old)[column];
  return {};
}

Status Applier::row_changed(World& world, RowChange& change, JournalPart& part) {
  if (auto filled = fill_unchanged(world, change); !filled) return filled;
  const Csn csn = next_csn();
  const Row* old = change.op == RowOp::kInsert ? nullptr : world.before(change.table, change.old_key());
  std::vector<RecordKey> touched;
  note_records(world, change, old, touched);
  part.changes.push_back({csn, change.op, tables_.all[change.table].id, change.key, change.was_key, record_array(touched)});
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

Status Applier::truncated(BatchWriter& mid_tier, const Truncated& step, JournalPart& part) {
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
