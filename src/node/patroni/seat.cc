#include "node/patroni/seat.h"

#include "base/messages.h"
#include "mirror/epoch.h"
#include "node/adapters/session_store.h"
#include "node/version.h"
#include "platform/os/file.h"
#include "platform/os/random.h"
#include "platform/postgres/migrations.h"

namespace verbund::node {
namespace {

constexpr milliseconds kTurn{500};
constexpr milliseconds kTimeKept{50};
/// Takings whose rows may have been lost with an unreplicated tail: their terms are not given again.
constexpr std::uint64_t kTermsLostAtMost = 16;

/// Two thirds: the last one is for stopping.
nanoseconds own_share(seconds lease) { return nanoseconds(lease) * 2 / 3; }

/// Renewals are not waited for by mirrors; the taking is (take()).
std::string session_options(seconds lease) {
  const auto third = std::chrono::duration_cast<milliseconds>(nanoseconds(lease) / 3).count();
  return fmt::format("tcp_user_timeout='{0}' options='-c synchronous_commit=local -c statement_timeout={0} -c lock_timeout={0}'", third);
}

}  // namespace

struct Seat::Row {
  std::uint64_t term = 0, beats = 0, timeline = 0;
  std::uint32_t server_timeline = 0;
  bool given_up = false;
  std::string holder, name, address, since;
};

Seat::Seat(SeatSettings settings, const PatroniWatch& watch, SeatEvents events, const Clock& clock, Log& log, Counters& counters)
    : settings_(std::move(settings)),
      watch_(watch),
      events_(std::move(events)),
      clock_(clock),
      log_(log),
      held_gauge_(counters.gauge("verbund_seat_held", "1 while this node holds the lock authority and the capture")),
      taken_(counters.counter("verbund_seat_taken_total", "How often this node has taken the seat")),
      worker_([this] { run(); }),
      time_keeper_([this] { keep_time(); }) {}

Seat::~Seat() {
  give_up();
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void Seat::compete() {
  const std::lock_guard guard(mutex_);
  competes_ = true;
  changed_.notify_all();
}

/// The worker writes it, within what is left of the lease.
void Seat::give_up() {
  std::unique_lock guard(mutex_);
  competes_ = false;
  if (!held_) return;
  giving_up_ = true;
  changed_.notify_all();
  changed_.wait(guard, [this] { return !giving_up_ || !held_; });
  giving_up_ = false;
}

SeatView Seat::view() const {
  const std::lock_guard guard(mutex_);
  SeatView view = view_;
  view.held = held_.has_value();
  return view;
}

void Seat::run() {
  while (true) {
    note(turn());
    std::unique_lock guard(mutex_);
    if (changed_.wait_for(guard, kTurn, [this] { return stopping_ || giving_up_; }) && stopping_) return;
  }
}

Status Seat::turn() {
  std::optional<Term> held;
  bool giving_up = false;
  {
    const std::lock_guard guard(mutex_);
    held = held_;
    giving_up = giving_up_;
  }
  if (giving_up) return end_lease();
  if (!leader_ || !leader_->connection.healthy()) {
    if (auto connected = connect(); !connected) return connected;
  }
  const auto seen = watch_.seen();
  if (seen.error.empty() && seen.view && seen.view->leader() && seen.view->leader()->timeline > leader_->timeline) {
    highest_timeline_ = std::max(highest_timeline_, seen.view->leader()->timeline);
    leader_.reset();
    return fail(ErrorCode::kDatabaseDown, phrase("the cluster has another leader"));
  }
  auto done = held ? renew(*held) : take_if_free();
  if (!done) leader_.reset();
  return done;
}

Status Seat::connect() {
  leader_.reset();
  sight_.reset();
  const auto seen = watch_.seen();
  auto opened = open_leader(settings_.mid_tier, session_options(settings_.lease), seen.error.empty() ? seen.view : std::nullopt, highest_timeline_);
  if (!opened) return pass(opened);
  highest_timeline_ = std::max(highest_timeline_, opened->timeline);
  leader_.emplace(std::move(*opened));
  return {};
}

Status Seat::renew(Term term) {
  const TimePoint sent = clock_.now();
  auto rows = leader_->connection.query(
      fmt::format("WITH beat AS (UPDATE node.seat_lease SET beats = beats + 1, given_up = false"
                  " WHERE EXISTS (SELECT FROM node.seat WHERE term = $1::bigint AND holder = $2) RETURNING 1)"
                  " SELECT (SELECT count(*) FROM beat), {}", kTimelineSql),
      {std::to_string(term.value), settings_.member});
  if (!rows) return pass(rows, "renew the seat");
  if (rows->text(0, 0) == "0") {
    lose(phrase("another node holds the lock authority"));
    return {};
  }
  if (rows->text(0, 1) != std::to_string(held_timeline_)) {
    lose(phrase("PostgreSQL was promoted: a new term begins"));
    return {};
  }
  {
    const std::lock_guard guard(mutex_);
    if (held_) valid_until_ = sent + own_share(settings_.lease);
  }
  auto waiting = leader_->connection.query(
      "SELECT name, address, version, extract(epoch FROM now() - seen)::bigint FROM node.seat_waiting WHERE seen > now() - interval '1 day' ORDER BY name LIMIT 64");
  if (!waiting) return pass(waiting, "read who waits for the seat");
  std::vector<SeatView::Waiting> all;
  for (int row = 0; row < waiting->size(); ++row) {
    all.push_back({std::string(waiting->text(row, 0)), std::string(waiting->text(row, 1)), std::string(waiting->text(row, 2)), parse_u64(waiting->text(row, 3)).value_or(0)});
  }
  const std::lock_guard guard(mutex_);
  view_.waiting = std::move(all);
  return {};
}

Result<Seat::Row> Seat::look() {
  const postgres::Statement statements[] = {
      {"INSERT INTO node.seat_waiting (member, name, address, version) VALUES ($1, $2, $3, $4) ON CONFLICT (member) DO UPDATE"
       " SET name = excluded.name, address = excluded.address, version = excluded.version, seen = now()",
       {settings_.member, settings_.name, settings_.address, kVersion}},
      {fmt::format("SELECT term, beats, timeline, given_up, holder, name, address, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), {}"
                   "  FROM node.seat, node.seat_lease", kTimelineSql), {}}};
  auto rows = leader_->connection.run(statements);
  if (!rows) return pass(rows, "look at the seat");
  const auto& seat = rows->back();
  if (seat.size() != 1) return fail(ErrorCode::kDatabase, phrase("look at the seat: node.seat has no row"));
  const auto number = [&](int column) { return parse_u64(seat.text(0, column)).value_or(0); };
  Row row;
  row.term = number(0);
  row.beats = number(1);
  row.timeline = number(2);
  row.given_up = seat.text(0, 3) == "t";
  row.holder = std::string(seat.text(0, 4));
  row.name = std::string(seat.text(0, 5));
  row.address = std::string(seat.text(0, 6));
  row.since = std::string(seat.text(0, 7));
  row.server_timeline = static_cast<std::uint32_t>(number(8));
  return row;
}

Status Seat::take_if_free() {
  auto row = look();
  if (!row) return pass(row);
  highest_term_ = std::max(highest_term_, row->term);
  bool competes = false;
  {
    const std::lock_guard guard(mutex_);
    competes = competes_;
    view_.term = Term{row->term};
    // Ours of before is nobody's: it is taken anew in a moment.
    view_.vacant = row->given_up || row->holder == settings_.member;
    view_.holder_name = view_.vacant ? "" : row->name;
    view_.holder_address = view_.vacant ? "" : row->address;
    view_.since = view_.vacant ? "" : row->since;
  }
  const auto now = clock_.now();
  if (!sight_ || sight_->term != row->term || sight_->beats != row->beats) sight_ = Sight{row->term, row->beats, now};
  // What held it in our name ran on this directory, whose lock we have: it runs no more.
  const bool free = row->given_up || row->holder == settings_.member || now - sight_->since >= nanoseconds(settings_.lease);
  if (!free || !competes) return {};
  auto taken = take(*row);
  // Somebody else was faster.
  if (!taken && taken.error().code == ErrorCode::kInUse) return {};
  return taken;
}

Status Seat::take(const Row& row) {
  const auto before = mirror::read_epoch(settings_.epoch_file);
  if (!before && before.error().code != ErrorCode::kNotFound) return std::unexpected(before.error());
  const bool ours = row.holder == settings_.member && before && before->term.value == row.term && highest_term_ <= row.term;
  const bool promoted = row.term != 0 && row.timeline != row.server_timeline;
  const auto term = mirror::begin_term(settings_.epoch_file, Term{std::max(row.term, highest_term_) + (promoted ? kTermsLostAtMost - 1 : 0)});
  if (!term) return std::unexpected(term.error());
  const TimePoint sent = clock_.now();
  if (auto written = write_taken(row, *term); !written) return written;
  highest_term_ = term->value;
  held_timeline_ = leader_->timeline;
  held_gauge_.set(1);
  taken_.add();
  {
    const std::lock_guard guard(mutex_);
    held_ = *term;
    competes_ = false;
    valid_until_ = sent + own_share(settings_.lease);
    view_.term = *term;
    view_.vacant = false;
    view_.holder_name = settings_.name;
    view_.holder_address = settings_.address;
  }
  log_.info("seat.taken", {{"term", term->value}, {"timeline", leader_->timeline}, {"before", row.name}, {"server", leader_->server.shown()}, {"follows", ours}});
  events_.on_held({*term, leader_->server, ours});
  return {};
}

/// One transaction. Errors: kInUse (another node was faster).
Status Seat::write_taken(const Row& row, Term term) {
  auto& connection = leader_->connection;
  auto transaction = connection.begin();
  if (!transaction) return pass(transaction, "take the seat");
  // Whoever still writes under a former term is cut off; from then on it is refused.
  const postgres::Statement statements[] = {
      {"SELECT set_config('synchronous_commit', 'on', true)", {}},
      {"SELECT count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE usename = current_user AND"
       " CASE WHEN application_name ~ '^verbund/[0-9]{1,10}$' THEN split_part(application_name, '/', 2)::bigint <= $1::bigint ELSE false END",
       {std::to_string(row.term)}},
      {"SELECT term, beats FROM node.seat, node.seat_lease FOR UPDATE", {}}};
  auto locked = connection.run(statements);
  if (!locked) return pass(locked, "take the seat");
  const auto& now = locked->back();
  if (now.size() != 1 || now.text(0, 0) != std::to_string(row.term) || now.text(0, 1) != std::to_string(row.beats)) {
    return fail(ErrorCode::kInUse, phrase("take the seat: another node was faster"));
  }
  const postgres::Statement writes[] = {
      {"UPDATE node.seat SET term = $1::bigint, holder = $2, name = $3, address = $4, timeline = $5::bigint, since = now()",
       {std::to_string(term.value), settings_.member, settings_.name, settings_.address, std::to_string(leader_->timeline)}},
      {"UPDATE node.seat_lease SET beats = beats + 1, given_up = false", {}},
      {"DELETE FROM node.seat_waiting WHERE member = $1", {settings_.member}}};
  if (auto written = connection.run(writes); !written) return pass(written, "take the seat");
  auto committed = transaction->commit();
  return committed ? Status{} : pass(committed, "take the seat");
}

/// The worker may hang in PostgreSQL: whether the lease is over is looked at beside it.
void Seat::keep_time() {
  while (true) {
    bool over = false;
    {
      std::unique_lock guard(mutex_);
      if (changed_.wait_for(guard, kTimeKept, [this] { return stopping_; })) return;
      over = held_ && clock_.now() >= valid_until_;
    }
    if (over) lose(phrase("the lease could not be renewed"));
  }
}

void Seat::lose(const Phrase& reason) {
  {
    const std::lock_guard guard(mutex_);
    if (!held_) return;
    held_.reset();
    view_.vacant = true;  // until a look says who has it
    view_.holder_name.clear();
    view_.holder_address.clear();
  }
  changed_.notify_all();
  held_gauge_.set(0);
  log_.warning("seat.lost", {{"reason", said(Language::kEnglish, reason)}});
  events_.on_lost(reason);
}

Status Seat::end_lease() {
  std::optional<Term> held;
  {
    const std::lock_guard guard(mutex_);
    held = held_;
  }
  Status ended;
  if (held && leader_) {
    auto rows = leader_->connection.query("UPDATE node.seat_lease SET given_up = true, beats = beats + 1 WHERE EXISTS (SELECT FROM node.seat WHERE term = $1::bigint AND holder = $2)",
                                          {std::to_string(held->value), settings_.member});
    if (!rows) ended = pass(rows, "give up the seat");
  }
  {
    const std::lock_guard guard(mutex_);
    giving_up_ = false;
    held_.reset();
  }
  held_gauge_.set(0);
  log_.info("seat.given_up", {{"told", ended.has_value()}});
  changed_.notify_all();
  return ended;
}

/// Told once, not twice a second.
void Seat::note(const Status& outcome) {
  const std::string now = outcome ? std::string() : outcome.error().message;
  const std::lock_guard guard(mutex_);
  if (now == view_.error) return;
  log_.write(outcome ? LogLevel::kInfo : LogLevel::kWarning, "seat.database", {{"answers", outcome.has_value()}, {"reason", now}});
  view_.error = now;
}

Status prepare_seat(const postgres::ConnectionSettings& mid_tier, Log& log) {
  auto connection = postgres::Connection::open(mid_tier);
  if (!connection) return pass(connection);
  const postgres::MigrationSet sets[] = {session_migrations()};
  return postgres::migrate(*connection, sets, log);
}

Status keep_former_holders_out(postgres::Connection& mid_tier) {
  for (const char* table : {"feed.position", "node.session", "node.session_high"}) {
    auto there = mid_tier.query("SELECT 1 FROM pg_catalog.pg_trigger WHERE tgrelid = $1::regclass AND tgname = 'verbund_seat'", {table});
    if (!there) return pass(there, "keep former holders of the seat out");
    if (there->size() > 0) continue;
    auto made = mid_tier.execute(fmt::format("CREATE TRIGGER verbund_seat BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {}"
                                             " FOR EACH STATEMENT EXECUTE FUNCTION node.refuse_former_holder()", table));
    if (!made) return pass(made, "keep former holders of the seat out");
  }
  return {};
}

Result<std::string> seat_member(const std::filesystem::path& directory) {
  const auto path = directory / "agent" / "member";
  auto machine = os::read_file("/etc/machine-id", 256);
  std::string place = machine ? machine->substr(0, machine->find('\n')) : std::string("-");
  place += ' ' + std::filesystem::absolute(directory).lexically_normal().string();
  if (auto text = os::read_file(path, 8192); text) {
    const auto end = text->find('\n');
    if (end == 32 && text->substr(end + 1) == place + '\n') return text->substr(0, end);
  }
  const auto member = os::random_hex(16);
  if (auto made = os::make_directories(directory / "agent", 0700); !made) return pass(made);
  if (auto written = os::write_file_atomically(path, member + '\n' + place + '\n', 0600); !written) return pass(written);
  return member;
}

}  // namespace verbund::node
