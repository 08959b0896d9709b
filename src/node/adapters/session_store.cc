#include "node/adapters/session_store.h"

#include "node/migrations.inc"

namespace verbund::node {
namespace {

constexpr seconds kDatabaseWait{10};
/// Versions are stored within seconds as a rule; a versions database that is down for so long is another trouble.
constexpr const char* kPastSessionsKept = "30 days";

std::string joined_types(const protocol::Watch& watch) { return fmt::format("{}", fmt::join(watch.types, "\n")); }

std::vector<std::string> split_types(std::string_view text) {
  std::vector<std::string> types;
  while (!text.empty()) {
    const auto end = text.find('\n');
    types.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return types;
}

void append_row(std::string& copy, const cluster::StoredSession& session) {
  const auto flag = [](bool value) { return std::string(value ? "t" : "f"); };
  const std::string fields[] = {std::to_string(session.id.value),
                                session.secret_hash,
                                session.identity.user,
                                session.identity.role,
                                flag(session.identity.may_break_locks),
                                session.workstation,
                                session.app,
                                session.address,
                                flag(session.kind == protocol::SessionKind::kTool),
                                flag(session.language == Language::kGerman),
                                joined_types(session.watch),
                                flag(session.watch.locks),
                                flag(session.watch.presence),
                                to_iso8601(session.since)};
  bool first = true;
  for (const auto& field : fields) {
    if (!std::exchange(first, false)) copy += '\t';
    postgres::Connection::append_copy_text(copy, field);
  }
  copy += '\n';
}

cluster::StoredSession read_row(const postgres::Rows& rows, int row) {
  cluster::StoredSession session;
  const auto text = [&](int column) { return std::string(rows.text(row, column)); };
  const auto flag = [&](int column) { return rows.text(row, column) == "t"; };
  session.id = SessionId{parse_u64(rows.text(row, 0)).value_or(0)};
  session.secret_hash = text(1);
  session.identity = {text(2), text(3), flag(4)};
  session.workstation = text(5);
  session.app = text(6);
  session.address = text(7);
  session.kind = flag(8) ? protocol::SessionKind::kTool : protocol::SessionKind::kWorkstation;
  session.language = flag(9) ? Language::kGerman : Language::kEnglish;
  session.watch = {split_types(rows.text(row, 10)), flag(11), flag(12)};
  session.since = WallTime{microseconds{static_cast<std::int64_t>(parse_u64(rows.text(row, 13)).value_or(0))}};
  return session;
}

}  // namespace

postgres::MigrationSet session_migrations() { return {"node", kMigrations}; }

Result<StoredSessions> load_sessions(postgres::Pool& pool, const Clock& clock) {
  auto connection = pool.acquire(Deadline::in(clock, kDatabaseWait));
  if (!connection) return pass(connection);
  auto rows = (*connection)->query(
      "SELECT id, secret_hash, user_name, role, may_break, workstation, app, address, tool, german, watch_types,"
      " watch_locks, watch_presence, (extract(epoch FROM since) * 1000000)::bigint FROM node.session ORDER BY id");
  if (!rows) return pass(rows, "load the stored sessions");
  auto high = (*connection)->query("SELECT id FROM node.session_high");
  if (!high) return pass(high, "load the highest session id");
  StoredSessions stored;
  for (int row = 0; row < rows->size(); ++row) stored.sessions.push_back(read_row(*rows, row));
  stored.next = SessionId{parse_u64(high->text(0, 0)).value_or(0) + 1};
  return stored;
}

void PostgresSessionStore::save(cluster::StoredSession session, std::function<void(Status)> done) {
  const std::scoped_lock lock(mutex_);
  waiting_.push_back({std::move(session), std::move(done), false});
  submit();
}

void PostgresSessionStore::remove(SessionId session, std::function<void(Status)> done) {
  const std::scoped_lock lock(mutex_);
  cluster::StoredSession gone;
  gone.id = session;
  waiting_.push_back({std::move(gone), std::move(done), true});
  submit();
}

void PostgresSessionStore::submit() {
  if (draining_) return;
  draining_ = true;
  if (auto submitted = workers_.submit([this] { drain(); }); !submitted) {
    draining_ = false;
    auto refused = std::exchange(waiting_, {});
    for (auto& entry : refused) {
      loop_.post([done = std::move(entry.done), error = submitted.error()] { done(std::unexpected(error)); });
    }
  }
}

void PostgresSessionStore::drain() {
  for (;;) {
    std::vector<Entry> batch;
    {
      const std::scoped_lock lock(mutex_);
      if (waiting_.empty()) {
        draining_ = false;
        return;
      }
      batch.swap(waiting_);
    }
    const auto written = write(batch);
    if (!written) log_.warning("node.sessions_not_stored", {{"count", batch.size()}, {"error", written.error().message}});
    loop_.post([batch = std::move(batch), written]() mutable {
      for (auto& entry : batch) entry.done(written);
    });
  }
}

Status PostgresSessionStore::write(const std::vector<Entry>& batch) {
  std::string removed;  // rows to go
  std::string ended;    // those of them that do not come back
  std::string rows;
  std::uint64_t highest = 0;
  std::set<SessionId> seen;
  for (auto entry = batch.rbegin(); entry != batch.rend(); ++entry) {  // the last word on a session counts
    if (!seen.insert(entry->session.id).second) continue;
    removed += fmt::format("{}{}", removed.empty() ? "{" : ",", entry->session.id.value);
    if (entry->removes) {
      ended += fmt::format("{}{}", ended.empty() ? "{" : ",", entry->session.id.value);
      continue;
    }
    append_row(rows, entry->session);
    highest = std::max(highest, entry->session.id.value);
  }
  removed += '}';
  auto lease = pool_.acquire(Deadline::in(clock_, kDatabaseWait));
  if (!lease) return pass(lease);
  auto& connection = **lease;
  auto transaction = connection.begin();
  if (!transaction) return pass(transaction);
  if (!ended.empty()) {
    auto kept = connection.query(
        "WITH old AS (DELETE FROM node.past_session WHERE ended < now() - $2::interval)"
        " INSERT INTO node.past_session (id, user_name, workstation) SELECT id, user_name, workstation FROM node.session"
        " WHERE id = ANY($1) ON CONFLICT (id) DO NOTHING",
        {ended + "}", kPastSessionsKept});
    if (!kept) return pass(kept, "keep ended sessions");
  }
  // A session that is saved again (resumed under another watch) replaces its row.
  if (auto rows_gone = connection.query("DELETE FROM node.session WHERE id = ANY($1)", {removed}); !rows_gone) {
    return pass(rows_gone, "store sessions");
  }
  if (!rows.empty()) {
    if (auto begun = connection.copy_in_begin("COPY node.session FROM STDIN"); !begun) return begun;
    if (auto sent = connection.copy_in_write(rows); !sent) return sent;
    if (auto ended = connection.copy_in_finish(); !ended) return pass(ended, "store sessions");
    auto raised = connection.query("UPDATE node.session_high SET id = greatest(id, $1)", {std::to_string(highest)});
    if (!raised) return pass(raised, "store the highest session id");
  }
  return transaction->commit();
}

}  // namespace verbund::node
