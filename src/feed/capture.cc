#include "feed/capture.h"

#include "base/messages.h"
#include "feed/event_text.h"
#include "feed/rest.h"
#include "feed/slot.h"

namespace verbund::feed {
namespace {

/// The stream is looked at this often even when nothing comes: positions are kept, the peer is probed.
constexpr seconds kIdleWait{1};
/// Data sent to a peer that vanished makes TCP_USER_TIMEOUT notice it; mere reading does not.
constexpr seconds kProbeEvery{10};
/// A position without changes is stored this seldom: storing writes WAL itself, which would be news again.
constexpr seconds kStorePositionEvery{60};
constexpr std::uint64_t kStorePositionBytes = 16 * 1024 * 1024;
/// A chunk is applied earlier when its rows are large.
constexpr std::size_t kChunkBytes = 32 * 1024 * 1024;

constexpr std::string_view kAuthorPrefix = "verbund.by";
constexpr std::string_view kChangedPrefix = "verbund.changed";

/// A value of the key, from the new row or, where it is unchanged and out of line, from the old one.
std::string_view key_value(std::size_t place, const pgoutput::Tuple& row, const pgoutput::Tuple* old) {
  const bool elsewhere = row[place].kind == pgoutput::Value::Kind::kUnchanged && old != nullptr && !old->empty();
  return elsewhere ? (*old)[place].text : row[place].text;
}

/// While it lives, the mid-tier changes.
class Turn {
 public:
  explicit Turn(const CaptureEvents& events) : events_(events) { events_.before_write(); }
  ~Turn() { events_.after_write(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  const CaptureEvents& events_;
};

}  // namespace

// What the log calls a row becomes a row of the shadow.

Status Capture::Incoming::check(const pgoutput::Tuple& tuple) const {
  if (tuple.size() == columns) return {};
  return fail(ErrorCode::kBadStream, phrase("pgoutput: a row has {} columns, its relation {}", tuple.size(), columns));
}

std::string Capture::Incoming::key_of(const CapturedTable& captured, const pgoutput::Tuple& row, const pgoutput::Tuple* old) const {
  std::vector<std::string_view> parts;
  for (const std::size_t column : captured.key) parts.push_back(key_value(static_cast<std::size_t>(places[column]), row, old));
  return join_key(parts);
}

std::size_t Capture::Incoming::copy_row(const CapturedTable& captured, const pgoutput::Tuple& tuple, const pgoutput::Tuple* old,
                                        RowChange& change) const {
  using Kind = pgoutput::Value::Kind;
  std::size_t bytes = 0;
  change.row.resize(captured.columns.size());
  for (std::size_t i = 0; i < change.row.size(); ++i) {
    if (places[i] < 0) {
      change.row[i] = captured.columns[i].missing;
      continue;
    }
    const auto place = static_cast<std::size_t>(places[i]);
    const pgoutput::Value& value = tuple[place];
    if (value.kind == Kind::kText) {
      change.row[i] = std::string(value.text);
      bytes += value.text.size();
    } else if (value.kind == Kind::kUnchanged) {
      const bool in_key = std::ranges::find(captured.key, i) != captured.key.end();
      if (in_key && old != nullptr && !old->empty() && (*old)[place].kind == Kind::kText) {
        change.row[i] = std::string((*old)[place].text);
      } else {
        change.unchanged.push_back(static_cast<std::uint16_t>(i));
      }
    }
  }
  return bytes + change.row.size() * sizeof(Row::value_type);
}

Error Capture::run() {
  if (auto started = start(); !started) return std::move(started.error());
  reader_.start();
  for (;;) {
    if (auto stepped = step(); !stepped) return std::move(stepped.error());
  }
}

/// From where the slot stands, not from the stored position: what was not confirmed is sent again, and shows whether this is the
/// log that was stored. The slot is looked at when it is ours: before, the last confirmation of an earlier reader may still come.
Status Capture::start() {
  if (auto started = prepared_.stream.start(settings_.slot, Lsn{}, settings_.publication); !started) return started;
  auto slot = read_slot(prepared_.source, settings_.slot);
  if (!slot) return pass(slot);
  if (!*slot) return fail(ErrorCode::kNotFound, phrase("replication slot {} is gone", settings_.slot));
  auto last = last_transaction(prepared_.mid_tier);
  if (!last) return pass(last);
  if (last->known) continuity_ = Continuity(stored_, (*slot)->confirmed, last->transaction);
  return {};
}

std::unexpected<Error> Capture::fork() {
  forked_ = true;
  return fail(ErrorCode::kSnapshotNeeded, phrase("the source's log is not the one that was stored: the source was restored"));
}

Status Capture::step() {
  nanoseconds wait = kIdleWait;
  if (batch_began_ && !in_transaction_) wait = std::max(nanoseconds{0}, rests_until_ - clock_.now());
  auto event = reader_.next(wait);
  if (!event) {
    // Told to stop: what has come whole is worth keeping.
    if (event.error().code == ErrorCode::kCancelled && !in_transaction_) {
      if (auto kept = commit_batch(); !kept) return kept;
    }
    return pass(event);
  }
  using Kind = postgres::ReplicationStream::Event::Kind;
  if (event->kind != Kind::kIdle) {
    events_.on_message();
    server_end_ = std::max(server_end_, event->wal_end);
  }
  if (event->kind == Kind::kKeepalive && !continuity_.sent(event->wal_end)) return fork();
  if (event->kind == Kind::kData) {
    if (auto taken = take(event->data); !taken) return taken;
  }
  // Transactions that turn out empty leave steps too.
  const bool full = step_rows_ >= settings_.batch_changes || step_bytes_ >= kChunkBytes || steps_.size() >= 4 * settings_.batch_changes;
  if (full) return in_transaction_ ? flush_chunk() : commit_batch();
  if (in_transaction_ || reader_.ready()) return {};
  if (anything_ && clock_.now() < rests_until_) return {};
  const bool quiet = event->kind == Kind::kKeepalive;
  if (auto committed = commit_batch(); !committed) return committed;
  // Everything up to a keepalive's end of WAL has been decoded and sent before it.
  if (quiet) tell_passed(event->wal_end);
  return keep_position();
}

Status Capture::take(std::string_view data) {
  auto message = pgoutput::decode(data);
  if (!message) return pass(message);
  return std::visit([this](const auto& each) { return take(each); }, *message);
}

Status Capture::take(const pgoutput::Begin& begin) {
  if (in_transaction_) return fail(ErrorCode::kBadStream, phrase("pgoutput: Begin inside a transaction"));
  in_transaction_ = true;
  skipping_ = begin.final_lsn < stored_;
  transaction_lsn_ = begin.final_lsn;
  if (!continuity_.begins({begin.final_lsn, begin.xid, begin.commit_time})) return fork();
  if (!skipping_) steps_.emplace_back(Begun{begin.xid, begin.final_lsn, begin.commit_time});
  return {};
}

Status Capture::take(const pgoutput::Commit& commit) {
  if (!in_transaction_) return fail(ErrorCode::kBadStream, phrase("pgoutput: Commit outside a transaction"));
  in_transaction_ = false;
  if (!skipping_) {
    steps_.emplace_back(Committed{});
    ++batch_transactions_;
    if (anything_) events_.on_commit(commit.commit_time);
  }
  skipping_ = false;
  complete_ = std::max(complete_, commit.end_lsn);
  if (!batch_began_) batch_began_ = clock_.now();
  return {};
}

Status Capture::take(const pgoutput::Relation& relation) {
  const auto index = prepared_.tables.find(relation.id);
  relations_[relation.id] = index ? std::optional(understand(relation, *index)) : std::nullopt;
  return {};
}

/// The log speaks of the columns as they were at its time; the table's are those of the catalog when capture began. They
/// differ by columns that are newer, and by those that have been dropped or renamed since the shadow was last like them.
Capture::Incoming Capture::understand(const pgoutput::Relation& relation, std::size_t index) const {
  const CapturedTable& table = prepared_.tables.all[index];
  Incoming incoming{index, relation.columns.size(), std::vector<std::int32_t>(table.columns.size(), -1), {}};
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const pgoutput::RelationColumn& column = relation.columns[i];
    const auto same = std::ranges::find(table.columns, column.name, &Column::name);
    std::optional<std::size_t> place;
    if (same != table.columns.end()) {
      place = static_cast<std::size_t>(same - table.columns.begin());
    } else if (const auto former = table.former.find(column.name); former != table.former.end()) {
      place = former->second;
      if (!place) continue;  // dropped meanwhile
    }
    if (!place || table.columns[*place].type != column.type) {
      incoming.strange = fmt::format("columns of {} changed", table.shown);
      return incoming;
    }
    incoming.places[*place] = static_cast<std::int32_t>(i);
  }
  for (const std::size_t column : table.key) {
    const auto place = incoming.places[column];
    if (place < 0 || !relation.columns[static_cast<std::size_t>(place)].identity) {
      incoming.strange = fmt::format("the primary key or replica identity of {} changed", table.shown);
    }
  }
  return incoming;
}

Result<const Capture::Incoming*> Capture::table_of(std::uint32_t relation) {
  if (!in_transaction_) return fail(ErrorCode::kBadStream, phrase("pgoutput: a change outside a transaction"));
  const auto found = relations_.find(relation);
  if (found == relations_.end()) return fail(ErrorCode::kBadStream, phrase("pgoutput: relation {} was not described", relation));
  if (!found->second) return nullptr;
  const Incoming& incoming = *found->second;
  if (transaction_lsn_ < prepared_.tables.all[incoming.table].since) return nullptr;
  if (skipping_ && !continuity_.changes()) return fork();
  if (skipping_) return nullptr;
  if (!incoming.strange.empty()) {
    strange_ = relation;
    return fail(ErrorCode::kUnsupported, incoming.strange);
  }
  return &incoming;
}

Status Capture::add(RowChange change, std::size_t bytes) {
  step_bytes_ += bytes + sizeof(Step);
  ++step_rows_;
  anything_ = true;
  steps_.emplace_back(std::move(change));
  return {};
}

Status Capture::take(const pgoutput::Insert& insert) {
  auto found = table_of(insert.relation);
  if (!found) return pass(found);
  if (*found == nullptr) return {};
  const Incoming& incoming = **found;
  const CapturedTable& table = prepared_.tables.all[incoming.table];
  if (auto checked = incoming.check(insert.row); !checked) return checked;
  RowChange change{RowOp::kInsert, incoming.table, incoming.key_of(table, insert.row, nullptr), {}, {}, {}};
  const std::size_t bytes = incoming.copy_row(table, insert.row, nullptr, change);
  if (!change.unchanged.empty()) return fail(ErrorCode::kBadStream, phrase("pgoutput: an inserted row with an unchanged value"));
  return add(std::move(change), bytes);
}

Status Capture::take(const pgoutput::Update& update) {
  auto found = table_of(update.relation);
  if (!found) return pass(found);
  if (*found == nullptr) return {};
  const Incoming& incoming = **found;
  const CapturedTable& table = prepared_.tables.all[incoming.table];
  if (auto checked = incoming.check(update.row); !checked) return checked;
  const bool has_old = update.old_kind != pgoutput::OldTuple::kNone;
  if (has_old) {
    if (auto checked = incoming.check(update.old); !checked) return checked;
  }
  const pgoutput::Tuple* old = has_old ? &update.old : nullptr;
  RowChange change{RowOp::kUpdate, incoming.table, incoming.key_of(table, update.row, old), {}, {}, {}};
  if (has_old) {
    if (std::string was = incoming.key_of(table, update.old, nullptr); was != change.key) change.was_key = std::move(was);
  }
  const std::size_t bytes = incoming.copy_row(table, update.row, old, change);
  return add(std::move(change), bytes);
}

Status Capture::take(const pgoutput::Delete& gone) {
  auto found = table_of(gone.relation);
  if (!found) return pass(found);
  if (*found == nullptr) return {};
  const Incoming& incoming = **found;
  if (auto checked = incoming.check(gone.old); !checked) return checked;
  const CapturedTable& table = prepared_.tables.all[incoming.table];
  return add({RowOp::kDelete, incoming.table, incoming.key_of(table, gone.old, nullptr), {}, {}, {}}, 0);
}

Status Capture::take(const pgoutput::Truncate& truncate) {
  Truncated step;
  for (const std::uint32_t relation : truncate.relations) {
    auto found = table_of(relation);
    if (!found) return pass(found);
    if (*found == nullptr) continue;
    step.tables.push_back((*found)->table);
    events_.on_truncated(relation);
  }
  if (step.tables.empty()) return {};
  anything_ = true;
  ++step_rows_;
  steps_.emplace_back(std::move(step));
  return {};
}

Status Capture::take(const pgoutput::LogicalMessage& message) {
  if (!message.transactional || !in_transaction_ || skipping_) return {};
  if (message.prefix == kAuthorPrefix) {
    if (const auto session = parse_u64(message.content)) steps_.emplace_back(Author{SessionId{*session}});
    return {};
  }
  if (message.prefix != kChangedPrefix) return {};
  auto records = read_announcement(message.content);
  if (!records) {
    log_.warning("feed.announcement_ignored", {{"reason", records.error().message}, {"lsn", to_string(message.lsn)}});
    return {};
  }
  for (auto& [op, key] : *records) steps_.emplace_back(Announced{op, std::move(key)});
  step_rows_ += records->size();
  anything_ = anything_ || !records->empty();
  return {};
}

BatchWriter& Capture::batch() {
  if (!batch_) batch_.emplace(prepared_.mid_tier);
  return *batch_;
}

Status Capture::flush_chunk() {
  if (auto applied = applier_.apply(batch(), std::exchange(steps_, {}), std::nullopt); !applied) return pass(applied, "mid-tier");
  events_.on_changes(step_rows_);
  step_rows_ = 0;
  step_bytes_ = 0;
  return {};
}

Status Capture::commit_batch() {
  batch_began_.reset();
  if (!anything_) {
    steps_.clear();
    batch_transactions_ = 0;
    if (complete_ > passed_) tell_passed(complete_);
    return {};
  }
  const Turn turn(events_);
  const TimePoint begun = clock_.now();
  if (auto applied = applier_.apply(batch(), std::exchange(steps_, {}), complete_); !applied) return pass(applied, "mid-tier");
  auto committed = batch_->commit();
  batch_.reset();
  if (!committed) return pass(committed, "mid-tier");
  stored_ = complete_;
  stored_at_ = clock_.now();
  rests_until_ = stored_at_ + rest_after(std::exchange(batch_transactions_, 0), settings_.rest_per_transaction, settings_.longest_rest);
  events_.on_written(stored_at_ - begun);
  anything_ = false;
  events_.on_changes(std::exchange(step_rows_, 0));
  step_bytes_ = 0;
  events_.on_stored(applier_.head());
  for (TransactionEvent& event : applier_.take_events()) events_.on_transaction(std::move(event));
  tell_passed(stored_);
  reader_.confirm(stored_);
  return {};
}

void Capture::tell_passed(Lsn passed) {
  if (passed <= passed_ && passed_ != stored_) return;
  passed_ = std::max(passed_, passed);
  events_.on_passed(passed_, std::max(server_end_, passed_));
}

Status Capture::keep_position() {
  const TimePoint now = clock_.now();
  const bool due = passed_.value > stored_.value + kStorePositionBytes || now >= stored_at_ + kStorePositionEvery;
  if (passed_ > stored_ && due) {
    const Turn turn(events_);
    if (auto moved = move_position(prepared_.mid_tier, passed_, applier_.head().csn); !moved) return pass(moved, "mid-tier");
    stored_ = passed_;
    stored_at_ = now;
    told_at_ = now;
    reader_.confirm(stored_);
    return {};
  }
  if (now < told_at_ + kProbeEvery) return {};
  told_at_ = now;
  reader_.confirm(continuity_.settled() ? stored_ : Lsn{});
  return {};
}

}  // namespace verbund::feed
