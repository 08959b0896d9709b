#include "node/mirror/follow_archive.h"

#include "base/messages.h"
#include "mirror/following.h"
#include "platform/postgres/log_segments.h"

namespace verbund::node {
namespace {

using postgres::segment_name;

constexpr seconds kEvery{1};
constexpr seconds kPatience{3};
/// Of one round, so that a stop does not wait for a long absence.
constexpr int kSegmentsAtOnce = 16;

}  // namespace

LogKeeper::LogKeeper(LogKeeperSettings settings, const Clock& clock, Log& log)
    : settings_(std::move(settings)),
      member_(settings_.member),
      clock_(clock),
      log_(log),
      archive_(settings_.server / "data" / "pg_wal", settings_.server / "archive", settings_.max_bytes) {}

LogKeeper::~LogKeeper() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void LogKeeper::start() {
  closed_ = clock_.now();
  thread_ = std::jthread([this] { run(); });
}

void LogKeeper::set(seconds interval) {
  const std::lock_guard guard(mutex_);
  interval_ = interval;
}

void LogKeeper::heard(Lsn received) {
  const std::lock_guard guard(mutex_);
  heard_ = received;
}

void LogKeeper::forget() {
  const std::lock_guard guard(mutex_);
  heard_.reset();
}

KeptLog LogKeeper::kept() const {
  KeptLog kept;
  auto list = archive_.list();
  if (list && !list->empty()) {
    kept.segments = list->size();
    for (const auto& one : *list) kept.bytes += one.bytes;
    kept.first = list->front().name;
    kept.last = list->back().name;
  }
  const std::lock_guard guard(mutex_);
  kept.error = list ? error_ : list.error().message;
  return kept;
}

void LogKeeper::run() {
  while (true) {
    const auto done = round();
    std::unique_lock guard(mutex_);
    const std::string now = done ? std::string() : done.error().message;
    if (now != error_ && !done) log_.warning("mirror.log_not_kept", {{"reason", now}});
    error_ = now;
    if (changed_.wait_for(guard, std::exchange(more_, false) ? nanoseconds{0} : nanoseconds{kEvery}, [this] { return stopping_; })) return;
  }
}

Result<std::optional<LogKeeper::Slot>> LogKeeper::look() {
  if (!connection_ || !connection_->healthy()) {
    connection_.reset();
    auto superuser = settings_.superuser();
    if (!superuser) return pass(superuser);
    auto opened = postgres::Connection::open(*superuser, kPatience);
    if (!opened) return pass(opened);
    // What is changed here must not wait for the mirror that is away.
    if (auto set = opened->execute("SET statement_timeout = '10s'; SET synchronous_commit = local"); !set) return pass(set);
    connection_ = std::move(*opened);
  }
  auto rows = connection_->query("SELECT active, coalesce(wal_status = 'lost', true), coalesce(restart_lsn, '0/0'), pg_current_wal_insert_lsn(), "
                                 "pg_walfile_name(pg_current_wal_flush_lsn()), pg_current_wal_flush_lsn() FROM pg_replication_slots WHERE slot_name = $1", {mirror::mirror_role(member_.load())});
  if (!rows) return pass(rows);
  if (rows->size() == 0) return std::optional<Slot>();
  const auto restart = parse_lsn(rows->text(0, 2)), position = parse_lsn(rows->text(0, 3));
  const auto flushed = parse_lsn(rows->text(0, 5));
  const auto timeline = postgres::segment_timeline(rows->text(0, 4));
  if (!restart) return std::unexpected(restart.error());
  if (!flushed) return std::unexpected(flushed.error());
  if (!position) return std::unexpected(position.error());
  return std::optional(Slot{rows->text(0, 0) == "t", rows->text(0, 1) == "t", *restart, *position, segment_name(timeline, *flushed), timeline});
}

/// In intervals: so that what was written can be sent.
Status LogKeeper::close_segment(const Slot& slot) {
  {
    const std::lock_guard guard(mutex_);
    if (interval_.count() == 0 || clock_.now() - closed_ < interval_ || slot.position == closed_at_) return {};
  }
  auto closed = connection_->query("SELECT pg_switch_wal()");
  if (!closed) return pass(closed, "close the log's last file");
  auto rows = connection_->query("SELECT pg_current_wal_insert_lsn()");
  if (!rows) return pass(rows);
  const auto position = parse_lsn(rows->text(0, 0));
  if (!position) return std::unexpected(position.error());
  closed_at_ = *position;
  closed_ = clock_.now();
  return {};
}

/// What the mirror has on its disk the slot need not hold.
Status LogKeeper::advance() {
  std::optional<Lsn> heard;
  {
    const std::lock_guard guard(mutex_);
    heard = heard_;
  }
  if (!heard) return {};
  auto moved = connection_->query("SELECT pg_replication_slot_advance(slot_name, least($2::pg_lsn, pg_current_wal_flush_lsn())) FROM pg_replication_slots "
                                  "WHERE slot_name = $1 AND NOT active AND restart_lsn < least($2::pg_lsn, pg_current_wal_flush_lsn())",
                                  {mirror::mirror_role(member_.load()), to_string(*heard)});
  return moved ? Status{} : pass(moved);
}

Status LogKeeper::keep_closed(const Slot& slot) {
  auto list = archive_.list();
  if (!list) return pass(list);
  std::string next = segment_name(slot.timeline, slot.restart);
  const auto after = list->empty() ? std::string() : postgres::next_segment(list->back().name);
  if (!after.empty() && (slot.lost || after > next)) next = after;
  if (slot.lost && after.empty()) return fail(ErrorCode::kNotFound, phrase("keep log for the mirror: its slot was lost before anything was kept"));
  int kept = 0;
  for (; next < slot.current && kept < kSegmentsAtOnce; ++kept, next = postgres::next_segment(next)) {
    if (auto done = archive_.keep(next); !done) return done;
  }
  more_ = next < slot.current;
  return {};
}

/// The log that the mirror needs is kept up to now; from now on the slot holds it again, so that the mirror can go on by streaming.
Status LogKeeper::make_anew(const Slot& slot) {
  auto list = archive_.list();
  if (!list) return pass(list);
  if (list->empty() || postgres::next_segment(list->back().name) < slot.current) return {};
  {
    // What is kept begins later than what the mirror has: only a copy helps, and `lost` says so.
    const std::lock_guard guard(mutex_);
    if (heard_ && segment_name(slot.timeline, *heard_) < list->front().name) return {};
  }
  const auto name = mirror::mirror_role(member_.load());
  auto dropped = connection_->query("SELECT pg_drop_replication_slot($1)", {name});
  if (!dropped) return pass(dropped, phrase("make the replication slot {}", name));
  auto made = connection_->query("SELECT pg_create_physical_replication_slot($1, true)", {name});
  if (!made) return pass(made, phrase("make the replication slot {}", name));
  log_.warning("mirror.slot_made_anew", {{"kept_from", list->front().name}, {"kept_to", list->back().name}});
  return {};
}

Status LogKeeper::drop_what_is_there(const Slot& slot) {
  // Not by the slot: one that was made anew begins later than what the mirror still needs, and is in use for as long as the mirror's receiver
  // takes to find that out.
  const std::lock_guard guard(mutex_);
  return heard_ ? archive_.drop_before(segment_name(slot.timeline, *heard_)) : Status{};
}

Status LogKeeper::round() {
  auto slot = look();
  if (!slot) return pass(slot);
  if (!*slot) return {};
  if (auto closed = close_segment(**slot); !closed) return closed;
  if ((*slot)->active) return drop_what_is_there(**slot);
  if (auto moved = advance(); !moved) return moved;
  if (settings_.max_bytes == 0) return {};
  slot = look();
  if (!slot) return pass(slot);
  if (!*slot) return {};
  if (auto kept = keep_closed(**slot); !kept) return kept;
  if ((*slot)->lost) {
    if (auto made = make_anew(**slot); !made) return made;
  }
  return drop_what_is_there(**slot);
}

}  // namespace verbund::node
