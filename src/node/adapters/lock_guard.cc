#include "node/adapters/lock_guard.h"

#include <algorithm>
#include <optional>

namespace verbund::node {
namespace {

using cluster::GuardPatience;
using guard::Blocker;
using guard::LockOutcome;
using guard::LockWrite;
using postgres::Connection;

/// So long an application's open transaction may keep a record from its next holder (DESIGN, Guard).
constexpr seconds kBlockingAllowed{5};
/// Then the request fails: the database is away, or nobody can end what blocks.
constexpr seconds kBound{15};
constexpr milliseconds kRetryBlocked{50};
constexpr milliseconds kRetryClear{1000};
constexpr milliseconds kRetryDatabase{200};
constexpr std::size_t kMaxBatch = 512;

/// The schema, its functions or tables are not there.
bool is_gone(const Connection& connection) {
  const auto& state = connection.last_sqlstate();
  return state == "3F000" || state == "42883" || state == "42P01";
}

}  // namespace

/// The connection of the writing task; one task at a time.
struct SourceLockGuard::Writer {
  postgres::ConnectionSettings settings;
  std::optional<Connection> connection;

  Result<std::vector<LockOutcome>> write(std::span<const LockWrite> batch, bool& gone) {
    if (!connection || !connection->healthy()) {
      connection.reset();
      auto opened = Connection::open(settings);
      if (!opened) return pass(opened);
      connection.emplace(std::move(*opened));
    }
    auto outcomes = guard::write_locks(*connection, batch);
    gone = !outcomes && is_gone(*connection);
    return outcomes;
  }
};

SourceLockGuard::SourceLockGuard(postgres::ConnectionSettings source, os::WorkerPool& workers, net::EventLoop& loop,
                                 const Clock& clock, cluster::AuditTrail& audit, Log& log, std::function<void()> gone)
    : workers_(workers), loop_(loop), clock_(clock), audit_(audit), log_(log), gone_(std::move(gone)),
      writer_(std::make_shared<Writer>(guard::writer_settings(std::move(source)), std::nullopt)) {}

SourceLockGuard::~SourceLockGuard() = default;

void SourceLockGuard::write(std::vector<protocol::KeyToken> tokens, SessionId session, GuardPatience patience,
                            std::function<void(Outcome)> done) {
  auto request = std::make_shared<Request>(Request{{}, tokens.size(), std::move(done)});
  for (auto& [key, token] : tokens) {
    want({{std::move(key), token, session, LockWrite::Kind::kGrant}, request, patience, clock_.now()});
  }
  schedule();
}

void SourceLockGuard::clear(std::vector<protocol::KeyToken> tokens) {
  for (auto& [key, token] : tokens) {
    want({{std::move(key), token, {}, LockWrite::Kind::kOver}, nullptr, GuardPatience::kUntilDecided, clock_.now()});
  }
  schedule();
}

void SourceLockGuard::want(Wanted wanted) {
  auto& work = works_[wanted.write.key];
  if (work.in_flight) {
    if (work.later) answer(*work.later, true);
    work.later = std::make_unique<Wanted>(std::move(wanted));
    return;
  }
  // Nobody listens for what is overtaken: the engine has taken it back.
  answer(work.wanted, true);
  work.wanted = std::move(wanted);
  work.next = {};
  work.blocked = false;
}

void SourceLockGuard::answer(const Wanted& wanted, bool failed) {
  if (!wanted.request) return;
  auto& request = *wanted.request;
  if (failed) request.outcome.failed.push_back(wanted.write.key);
  if (--request.left > 0) return;
  // Later: the caller may be in the middle of what it asks.
  loop_.post([request = wanted.request] { request->done(std::move(request->outcome)); });
}

/// Sends what is due; one transaction at a time.
void SourceLockGuard::schedule() {
  if (busy_ || works_.empty()) return;
  const auto now = clock_.now();
  look_at_overdue(now);
  std::vector<LockWrite> batch;
  std::vector<RecordKey> keys;
  for (auto& [key, work] : works_) {
    if (work.next > now || work.ending_blockers) continue;
    work.in_flight = true;
    batch.push_back(work.wanted.write);
    keys.push_back(key);
    if (batch.size() == kMaxBatch) break;
  }
  if (batch.empty()) {
    retry_ = loop_.after(kRetryBlocked, [this] { schedule(); });
    return;
  }
  busy_ = true;
  auto submitted = workers_.submit([this, writer = writer_, batch = std::move(batch), keys] {
    bool gone = false;
    auto outcomes = writer->write(batch, gone);
    loop_.post([this, keys, outcomes = std::move(outcomes), gone] { written(keys, outcomes, gone); });
  });
  if (!submitted) written(keys, std::unexpected(submitted.error()), false);
}

/// Requests whose time is over. What may have been written all the same is cleared by the engine.
void SourceLockGuard::look_at_overdue(TimePoint now) {
  for (auto place = works_.begin(); place != works_.end();) {
    auto& work = place->second;
    const auto& wanted = work.wanted;
    const bool over = wanted.patience == GuardPatience::kBounded && now - wanted.since > kBound && !work.in_flight && !work.ending_blockers;
    if (!over) {
      const bool grant = wanted.write.kind == LockWrite::Kind::kGrant;
      if (grant && work.blocked && !work.ending_blockers && now - wanted.since >= kBlockingAllowed) end_blockers(place->first);
      ++place;
      continue;
    }
    answer(wanted, true);
    place = works_.erase(place);
  }
}

void SourceLockGuard::written(const std::vector<RecordKey>& keys, const Result<std::vector<LockOutcome>>& outcomes, bool gone) {
  busy_ = false;
  if (!outcomes) log_.warning(gone ? "guard.gone" : "guard.not_written", {{"count", keys.size()}, {"error", outcomes.error().message}});
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto place = works_.find(keys[i]);
    place->second.in_flight = false;
    if (gone) {
      settle(place, LockOutcome::kWritten);
    } else if (outcomes) {
      settle(place, (*outcomes)[i]);
    } else {
      settle(place, std::unexpected(outcomes.error()));
    }
  }
  if (gone) gone_();
  schedule();
}

void SourceLockGuard::settle(std::map<RecordKey, Work>::iterator place, const Result<LockOutcome>& outcome) {
  auto& work = place->second;
  const bool over = work.wanted.write.kind == LockWrite::Kind::kOver;
  if (work.later) {
    // Decided or not: the later word counts.
    answer(work.wanted, !outcome || *outcome != LockOutcome::kWritten);
    auto later = std::move(*work.later);
    work = Work{};
    work.wanted = std::move(later);
    return;
  }
  const auto now = clock_.now();
  if (!outcome) {
    work.next = now + kRetryDatabase;
  } else if (*outcome == LockOutcome::kBlocked) {
    work.blocked = true;
    work.next = now + (over ? kRetryClear : kRetryBlocked);
  } else {
    answer(work.wanted, *outcome == LockOutcome::kNewer);
    works_.erase(place);
  }
}

/// Meanwhile the other keys go on.
void SourceLockGuard::end_blockers(const RecordKey& key) {
  works_.at(key).ending_blockers = true;
  auto submitted = workers_.submit([this, key, settings = writer_->settings] {
    const auto end = [&]() -> Result<std::vector<Blocker>> {
      auto waiter = Connection::open(settings);
      if (!waiter) return pass(waiter);
      auto observer = Connection::open(settings);
      if (!observer) return pass(observer);
      return guard::terminate_blockers(*waiter, *observer, key, clock_);
    };
    loop_.post([this, key, ended = end()] { blockers_ended(key, ended); });
  });
  if (!submitted) blockers_ended(key, std::unexpected(submitted.error()));
}

void SourceLockGuard::blockers_ended(const RecordKey& key, const Result<std::vector<Blocker>>& ended) {
  if (!ended) {
    log_.error("guard.blocker_not_ended", {{"key", to_string(key)}, {"error", ended.error().message}});
    audit_.record("node", "guard.terminate.failed", to_string(key), ended.error().message);
  } else {
    for (const auto& blocker : *ended) {
      log_.warning("guard.blocker_ended", {{"key", to_string(key)}, {"pid", blocker.pid}, {"application", blocker.application}});
      audit_.record("node", "guard.terminate", to_string(key),
                    fmt::format("its open transaction kept the record from its next holder: pid {}, role {}, application {}, address {}",
                                blocker.pid, blocker.user, blocker.application, blocker.address.empty() ? "local" : blocker.address));
    }
  }
  const auto place = works_.find(key);
  if (place == works_.end()) return;
  place->second.ending_blockers = false;
  place->second.blocked = false;
  place->second.next = ended ? TimePoint{} : clock_.now() + kBlockingAllowed;
  schedule();
}

void SourceLockGuard::earlier_than(LockEpoch epoch, std::function<void(std::vector<protocol::KeyToken>)> done) {
  auto shared = std::make_shared<std::function<void(std::vector<protocol::KeyToken>)>>(std::move(done));
  auto submitted = workers_.submit([this, epoch, shared, settings = writer_->settings] {
    bool gone = false;
    const auto read = [&]() -> Result<std::vector<guard::LockRow>> {
      auto connection = Connection::open(settings);
      if (!connection) return pass(connection);
      auto rows = guard::read_locks(*connection);
      gone = !rows && is_gone(*connection);
      return rows;
    };
    loop_.post([this, epoch, shared, rows = read(), gone] {
      if (gone) return;
      if (!rows) {
        reading_ = loop_.after(seconds{5}, [this, epoch, shared] { earlier_than(epoch, *shared); });
        return;
      }
      std::vector<protocol::KeyToken> earlier;
      for (const auto& row : *rows) {
        if (row.token.epoch() < epoch) earlier.push_back({row.key, row.token});
      }
      (*shared)(std::move(earlier));
    });
  });
  if (!submitted) log_.warning("guard.not_swept", {{"error", submitted.error().message}});
}

}  // namespace verbund::node
