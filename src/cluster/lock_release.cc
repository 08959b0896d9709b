// Giving work locks back: release, waiting for the feed, force, the end of a session, reclaim after a restart.
#include <algorithm>

#include "cluster/invariant.h"
#include "cluster/locks.h"

namespace verbund::cluster {

using protocol::LockLostReason;
using protocol::LockState;

ReleaseId LockTable::release(UnlockRequest request, Now now, Actions& out) {
  auto& holder = holders_[request.session];
  const LockRequest repeated{request.session, request.ticket, request.request, {}, {}, {}};
  if (!request.request.empty() && answer_repeated(repeated, holder, out)) return {};
  LockReplied outcome{request.ticket, request.session, {}, {}, {}, {}, {}, {}};
  std::vector<Entry*> entries;
  for (const auto& key : request.keys) {
    auto* entry = find_entry(key);
    const bool own = entry != nullptr && entry->holder == request.session && !entry->granting;
    if (!own && !outcome.refused) {
      outcome.refused = ErrorCode::kNotHeld;
      outcome.key = key;
    }
    if (!own || entry->state == LockState::kReleasing || std::ranges::find(entries, entry) != entries.end()) continue;
    entries.push_back(entry);
  }
  if (request.keys.empty()) {
    for (auto* entry : holder.held) {
      if (entry->token == request.token && entry->state == LockState::kHeld && !entry->granting) entries.push_back(entry);
    }
    if (entries.empty()) outcome.refused = ErrorCode::kNotHeld;
  }
  const auto ticket = request.ticket;
  reply({&ticket, 1}, request.request, holder, std::move(outcome), out);
  if (entries.empty()) return {};
  if (!request.after || *request.after <= passed_) {
    hand_back(entries, request.session, false, out);
    settle(now.wall, out);
    return {};
  }
  const auto number = ++releases_made_;
  for (auto* entry : entries) {
    entry->state = LockState::kReleasing;
    entry->release = {number};
  }
  const auto deadline = now.boot + limits_.release_wait;
  releases_.emplace(number, Release{request.session, *request.after, deadline, std::move(entries)});
  releases_by_lsn_.emplace(*request.after, number);
  release_deadlines_.arm(deadline, number);
  return *request.after == kLsnUnknown ? ReleaseId{number} : ReleaseId{};
}

void LockTable::resolve_release(ReleaseId release, Lsn lsn, Now now, Actions& out) {
  const auto found = releases_.find(release.value);
  if (found == releases_.end()) return;
  releases_by_lsn_.erase({found->second.lsn, release.value});
  found->second.lsn = lsn;
  releases_by_lsn_.emplace(lsn, release.value);
  if (lsn > passed_) return;
  finish_release(release.value, false, out);
  settle(now.wall, out);
}

void LockTable::feed_passed(Lsn lsn, Now now, Actions& out) {
  if (lsn <= passed_) return;
  passed_ = lsn;
  if (releases_by_lsn_.empty() || releases_by_lsn_.begin()->first > lsn) return;
  while (!releases_by_lsn_.empty() && releases_by_lsn_.begin()->first <= lsn) {
    finish_release(releases_by_lsn_.begin()->second, false, out);
  }
  settle(now.wall, out);
}

void LockTable::forget_release(std::uint64_t number, const Release& release) {
  releases_by_lsn_.erase({release.lsn, number});
  release_deadlines_.disarm(release.deadline, number);
}

/// The key leaves the release it is part of.
void LockTable::detach_release(Entry& entry) {
  if (!entry.release) return;
  const auto number = entry.release.value;
  auto& release = releases_.at(number);
  std::erase(release.entries, &entry);
  if (!release.entries.empty()) return;
  forget_release(number, release);
  releases_.erase(number);
}

void LockTable::finish_release(std::uint64_t number, bool changes_pending, Actions& out) {
  const auto found = releases_.find(number);
  if (found == releases_.end()) return;
  const auto release = std::move(found->second);
  releases_.erase(found);
  forget_release(number, release);
  hand_back(release.entries, release.session, changes_pending, out);
}

void LockTable::hand_back(std::span<Entry* const> entries, SessionId session, bool changes_pending, Actions& out) {
  if (entries.empty()) return;
  LocksReleased released{session, {}, changes_pending, {}, {}};
  released.locks.reserve(entries.size());
  auto& holder = holders_.at(session);
  for (auto* entry : entries) {
    released.locks.push_back(record_of(*entry));
  }
  clear(entries, out);
  for (auto* entry : entries) drop(*entry, holder);
  out.emplace_back(std::move(released));
}

std::vector<LockRecord> LockTable::force(std::span<const RecordKey> keys, const std::string& by, const std::string& text,
                                         Now now, Actions& out) {
  std::vector<LockRecord> broken;
  for (const auto& key : keys) {
    auto* entry = find_entry(key);
    if (entry == nullptr || !entry->holder || entry->granting) continue;
    detach_release(*entry);
    broken.push_back(record_of(*entry));
    const auto session = entry->holder;
    out.emplace_back(LocksLost{session, {key}, LockLostReason::kBroken, by, text});
    hand_back({&entry, 1}, session, false, out);
  }
  settle(now.wall, out);
  return broken;
}

void LockTable::drop_waits(SessionId session, Now now, Actions& out) {
  const auto found = holders_.find(session);
  if (found == holders_.end()) return;
  while (!found->second.waiting.empty()) end_wait(found->second.waiting.back()->number, ErrorCode::kCancelled, out);
  end_requests_granting(found->second, out);
  settle(now.wall, out);
}

void LockTable::drop_session(SessionId session, Now now, Actions& out) {
  const auto found = holders_.find(session);
  if (found == holders_.end()) return;
  auto& holder = found->second;
  while (!holder.waiting.empty()) end_wait(holder.waiting.back()->number, ErrorCode::kCancelled, out);
  while (!holder.granting.empty()) end_granting(holder.granting.back(), out);
  std::vector<std::uint64_t> pending;
  for (const auto* entry : holder.held) {
    if (entry->release) pending.push_back(entry->release.value);
  }
  for (const auto number : pending) finish_release(number, true, out);
  hand_back(std::vector<Entry*>(holder.held), session, false, out);
  settle(now.wall, out);
  holders_.erase(session);
}

// ---- after a restart ------------------------------------------------------------------------------------------

std::vector<protocol::LostLock> LockTable::reclaim(SessionId session, std::span<const protocol::Reclaim> claims, Now now,
                                                   Actions& out) {
  std::vector<protocol::LostLock> lost;
  LocksGranted granted;
  Granting claimed{session, {}, {}, {}, {}, true};
  auto& holder = holders_[session];
  for (const auto& claim : claims) {
    if (reclaim_one(session, holder, claim, now, granted, claimed, out)) continue;
    const auto* entry = find_entry(claim.key);
    const bool known_epoch = claim.token.epoch() == epoch_ && claim.token.counter() <= counter_;
    const bool released = entry != nullptr && entry->holder == session;  // by itself; its changes have not passed yet
    lost.push_back({claim.key, known_epoch && !released ? LockLostReason::kBroken : LockLostReason::kRefused});
  }
  if (!granted.locks.empty()) out.emplace_back(std::move(granted));
  if (!claimed.taken.empty()) {
    GuardWrite write{{}, session, {}, true};
    for (const auto* entry : claimed.taken) write.tokens.push_back({*entry->key, entry->token});
    write.number = add_granting(std::move(claimed), holder);
    out.emplace_back(std::move(write));
  }
  settle(now.wall, out);
  return lost;
}

bool LockTable::reclaim_one(SessionId session, Holder& holder, const protocol::Reclaim& claim, Now now,
                            LocksGranted& granted, Granting& claimed, Actions& out) {
  auto* entry = find_entry(claim.key);
  const bool own = entry != nullptr && entry->holder == session;
  // What it has asked to release it does not get back: held until the changes have passed, but not for editing.
  if (own && entry->state == LockState::kReleasing) return false;
  // What it is just being granted it can't have held; the request's own reply tells.
  if (own && entry->granting && !grantings_.at(entry->granting.value).claims) return false;
  if (own && entry->token >= claim.token) return true;
  const bool earlier_epoch = claim.token.value != 0 && claim.token.epoch() < epoch_;
  // A token that was never given changes nothing: it is told the one that it has.
  if (!reclaiming_ || !earlier_epoch || holder.held.size() >= limits_.max_locks_per_session) return own;
  if (entry != nullptr && entry->holder) {
    if (entry->token >= claim.token) return false;
    if (std::erase(claimed.taken, entry) > 0) {
      drop(*entry, holder);  // claimed twice in one resume
    } else if (entry->granting) {
      withdraw(*entry);  // it has not been told
    } else {
      detach_release(*entry);
      const auto other = entry->holder;
      if (other != session) out.emplace_back(LocksLost{other, {claim.key}, LockLostReason::kRefused, {}, {}});
      hand_back({&entry, 1}, other, false, out);
    }
  }
  auto& taken = entry_of(claim.key);
  take(taken, session, holder, claim.token, now.wall, {});
  if (guarded(claim.key)) {
    claimed.taken.push_back(&taken);
  } else {
    granted.locks.push_back(record_of(taken));
  }
  return true;
}

// ---- looking --------------------------------------------------------------------------------------------------

std::vector<protocol::KeyToken> LockTable::held_by(SessionId session) const {
  std::vector<protocol::KeyToken> held;
  const auto found = holders_.find(session);
  if (found == holders_.end()) return held;
  for (const auto* entry : found->second.held) {
    if (entry->state == LockState::kHeld && !entry->granting) held.push_back({*entry->key, entry->token});
  }
  return held;
}

std::optional<LockRecord> LockTable::find(const RecordKey& key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  return record_of(found->second);
}

std::vector<LockRecord> LockTable::list(std::string_view prefix, std::size_t limit) const {
  std::vector<LockRecord> found;
  for (const auto& [key, entry] : entries_) {
    if (!entry.holder || entry.granting) continue;
    if (!prefix.empty() && !to_string(key).starts_with(prefix)) continue;
    if (found.size() > limit) break;
    found.push_back(record_of(entry));
  }
  return found;
}

}  // namespace verbund::cluster
