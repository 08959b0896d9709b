#include "node/restored.h"

#include "backup/set_journal.h"
#include "base/messages.h"
#include "mirror/epoch.h"
#include "node/mirror/role.h"
#include "platform/postgres/connection.h"

namespace verbund::node {
namespace {

/// More sessions than an office opens between two backups: ids given since the set was made are not given again.
constexpr const char* kSkipSessions = "UPDATE node.session_high SET id = id + 1000000";
/// The feed's start then compares by itself, whatever system this is: who restored it has said so.
constexpr const char* kFork =
    "UPDATE feed.position SET lost = $1, forks = true, system_id = (SELECT system_identifier::text FROM pg_control_system()),"
    " timeline = (SELECT timeline_id FROM pg_control_checkpoint())";

Result<bool> there(postgres::Connection& database, const std::string& relation) {
  auto rows = database.query("SELECT to_regclass($1) IS NOT NULL", {relation});
  if (!rows) return pass(rows);
  return rows->text(0, 0) == "t";
}

/// Term of the highest csn that the restored mid-tier knows.
Result<Term> mark_mid_tier(postgres::Connection& mid_tier, const std::string& set) {
  auto feed = there(mid_tier, "feed.position");
  if (!feed) return pass(feed);
  if (!*feed) return Term{};
  auto rows = mid_tier.query("SELECT coalesce(max(csn), 0) FROM feed.position");
  if (!rows) return pass(rows, "position of the feed");
  const Csn csn{parse_u64(rows->text(0, 0)).value_or(0)};
  const std::string why = "the databases were restored from set " + set;
  auto marked = mid_tier.query(kFork, {why});
  // On a server of somebody else we may not be allowed to ask which one it is; it is the same one then.
  if (!marked && marked.error().code == ErrorCode::kForbidden) marked = mid_tier.query("UPDATE feed.position SET lost = $1, forks = true", {why});
  if (!marked) return pass(marked, "position of the feed");
  auto sessions = there(mid_tier, "node.session_high");
  if (!sessions) return pass(sessions);
  if (*sessions) {
    if (auto skipped = mid_tier.execute(kSkipSessions); !skipped) return pass(skipped, "session ids");
  }
  return csn.term();
}

}  // namespace

Beginning beginning_at(WallTime now) {
  using namespace std::chrono;
  constexpr sys_days kEpoch{year{2026} / 1 / 1};
  constexpr std::int64_t kBelieved = 36'525;  // a hundred years
  const auto day = floor<days>(now);
  const auto minutes = floor<std::chrono::minutes>(now - day).count();
  const auto number = (day - kEpoch).count();
  return {Term{number > 0 && number < kBelieved ? static_cast<std::uint64_t>(number) : 0}, static_cast<std::uint16_t>(minutes * 16)};
}

Result<Term> begin_after_restore(const Installation& installation, const postgres::ConnectionSettings& superuser, Term above, const std::string& set,
                                 WallTime now) {
  auto settings = superuser;
  settings.database = Installation::kMidTier;
  auto mid_tier = postgres::Connection::open(settings);
  Term highest = above;
  if (mid_tier) {
    auto marked = mark_mid_tier(*mid_tier, set);
    if (!marked) return pass(marked);
    highest = std::max(highest, *marked);
  } else if (mid_tier.error().code != ErrorCode::kNotFound) {
    return pass(mid_tier);
  }
  const auto beginning = beginning_at(now);
  if (beginning.at_least.value > 0) highest = std::max(highest, Term{beginning.at_least.value - 1});
  // In a pair each machine has terms of its own.
  const auto pair = pair_record(installation.directory());
  if (!pair) return std::unexpected(pair.error());
  if (*pair) highest = std::max({highest, (*pair)->term, (*pair)->seen});
  return mirror::begin_term(installation.directory() / "agent" / "epoch", highest, beginning.starts, *pair ? (*pair)->member : 0);
}

Status begin_after_exchange(const Installation& installation, const postgres::ConnectionSettings& superuser, const backup::OfficeSwap& swap, WallTime now) {
  auto source = installation.connection();
  if (!source) return pass(source);
  const bool ours = std::ranges::any_of(swap.databases, [&](const backup::Swap& each) { return each.database == source->database || each.database == Installation::kMidTier; });
  if (!ours) return {};
  auto term = begin_after_restore(installation, superuser, Term{}, swap.set, now);
  if (!term) return pass(term);
  backup::SetEvent event;
  event.at = now;
  event.what = backup::SetEvent::What::kRestored;
  event.installation = swap.installation;
  event.set = swap.set;
  event.sequence = swap.sequence;
  event.term = term->value;
  // The medium may have been taken out since: nothing is written under its mount point.
  std::error_code error;
  const bool there = std::filesystem::exists(swap.medium / swap.set, error);
  return backup::SetJournal(installation.directory(), there ? swap.medium : std::filesystem::path()).append(event, true);
}

}  // namespace verbund::node
