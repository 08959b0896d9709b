// Locks of guarded types: a grant is written to the guard's table before anybody hears of it, a lock that is over leaves it.
#include <algorithm>

#include "cluster/invariant.h"
#include "cluster/locks.h"

namespace verbund::cluster {

std::vector<protocol::KeyToken> LockTable::set_guarded(std::set<std::string, std::less<>> types) {
  std::vector<protocol::KeyToken> held;
  for (const auto& [key, entry] : entries_) {
    if (entry.holder && types.contains(key.type) && !guarded(key)) held.push_back({key, entry.token});
  }
  guarded_ = std::move(types);
  return held;
}

/// All keys of the request are taken, so that nobody else gets them meanwhile.
void LockTable::begin_granting(SessionId session, std::span<Entry* const> entries, std::span<const Ticket> tickets,
                               const std::string& request, const std::string& note, WallTime wall, Actions& out) {
  auto& holder = holders_[session];
  Granting granting{session, {tickets.begin(), tickets.end()}, request, {}, {}, false};
  GuardWrite write{{}, session, {}, false};
  const auto token = next_token();
  for (auto* entry : entries) {
    granting.asked.push_back(*entry->key);
    if (entry->holder) continue;
    take(*entry, session, holder, token, wall, note);
    granting.taken.push_back(entry);
    if (guarded(*entry->key)) write.tokens.push_back({*entry->key, token});
  }
  write.number = add_granting(std::move(granting), holder);
  out.emplace_back(std::move(write));
}

GuardId LockTable::add_granting(Granting granting, Holder& holder) {
  const GuardId number{++grantings_made_};
  for (auto* entry : granting.taken) entry->granting = number;
  granting_count_ += granting.taken.size();
  holder.granting.push_back(number.value);
  grantings_.emplace(number.value, std::move(granting));
  return number;
}

LockTable::Granting* LockTable::find_granting(const Holder& holder, std::string_view request) {
  for (const auto number : holder.granting) {
    auto& granting = grantings_.at(number);
    if (!granting.claims && granting.request == request) return &granting;
  }
  return nullptr;
}

void LockTable::guard_done(GuardId number, const GuardOutcome& outcome, Now now, Actions& out) {
  const auto found = grantings_.find(number.value);
  if (found == grantings_.end()) return;  // cancelled, or its session has ended
  auto granting = std::move(found->second);
  grantings_.erase(found);
  std::erase(holders_.at(granting.session).granting, number.value);
  if (granting.claims) {
    settle_claims(granting, outcome, now.wall, out);
  } else if (outcome.failed.empty()) {
    finish_granting(granting, now.wall, out);
  } else {
    fail_granting(granting, outcome.code, outcome.failed.front(), out);
  }
  settle(now.wall, out);
}

void LockTable::finish_granting(Granting& granting, WallTime wall, Actions& out) {
  for (const auto& key : granting.asked) {
    const auto* entry = find_entry(key);
    const bool taken = std::ranges::find(granting.taken, entry) != granting.taken.end();
    // What the session held before may have been broken or given back while the guard was writing.
    const bool own = entry != nullptr && entry->holder == granting.session && entry->state == protocol::LockState::kHeld &&
                     (taken || !entry->granting);
    if (!own) return fail_granting(granting, ErrorCode::kNotHeld, key, out);
  }
  LocksGranted granted;
  for (auto* entry : granting.taken) {
    entry->granting = {};
    entry->since = wall;
    --granting_count_;
    granted.locks.push_back(record_of(*entry));
    touch(*entry);
  }
  LockReplied outcome{{}, granting.session, {}, {}, granting.taken.front()->token, {}, {}, {}};
  for (const auto& key : granting.asked) outcome.tokens.push_back({key, find_entry(key)->token});
  out.emplace_back(std::move(granted));
  reply(granting.tickets, granting.request, holders_.at(granting.session), std::move(outcome), out);
}

/// All or none: the keys are free again, and out of the guard's table.
void LockTable::fail_granting(Granting& granting, ErrorCode code, const RecordKey& key, Actions& out) {
  auto& holder = holders_.at(granting.session);
  LockReplied outcome{{}, granting.session, code, key, {}, {}, {}, {}};
  clear(granting.taken, out);
  for (auto* entry : granting.taken) drop(*entry, holder);
  reply(granting.tickets, granting.request, holder, std::move(outcome), out);
}

/// Each claim for itself. Who claims under a token that is not the last one has lost the lock before the restart.
void LockTable::settle_claims(Granting& granting, const GuardOutcome& outcome, WallTime wall, Actions& out) {
  LocksGranted granted;
  auto& holder = holders_.at(granting.session);
  for (auto* entry : granting.taken) {
    if (std::ranges::find(outcome.failed, *entry->key) != outcome.failed.end()) {
      drop(*entry, holder);
      continue;
    }
    entry->granting = {};
    entry->since = wall;
    --granting_count_;
    granted.locks.push_back(record_of(*entry));
    touch(*entry);
  }
  if (!granted.locks.empty()) out.emplace_back(std::move(granted));
  if (!claims_pending(granting.session)) out.emplace_back(ClaimsSettled{granting.session});
}

bool LockTable::claims_pending(SessionId session) const {
  const auto holder = holders_.find(session);
  return holder != holders_.end() &&
         std::ranges::any_of(holder->second.granting, [&](auto number) { return grantings_.at(number).claims; });
}

/// Before the guard's word, which is not listened to any more.
void LockTable::end_granting(std::uint64_t number, Actions& out) {
  auto granting = std::move(grantings_.at(number));
  grantings_.erase(number);
  auto& holder = holders_.at(granting.session);
  std::erase(holder.granting, number);
  if (!granting.claims) return fail_granting(granting, ErrorCode::kCancelled, granting.asked.front(), out);
  clear(granting.taken, out);
  for (auto* entry : granting.taken) drop(*entry, holder);
}

/// Claims stay: a lost session keeps its locks until the store has forgotten it.
void LockTable::end_requests_granting(Holder& holder, Actions& out) {
  const auto numbers = holder.granting;
  for (const auto number : numbers) {
    if (!grantings_.at(number).claims) end_granting(number, out);
  }
}

/// Another claim of the key under a higher token takes it out of one that the guard has not decided on.
void LockTable::withdraw(Entry& entry) {
  auto& granting = grantings_.at(entry.granting.value);
  invariant(granting.claims, "a key is claimed from a claim alone");
  std::erase(granting.taken, &entry);
  drop(entry, holders_.at(granting.session));
}

void LockTable::clear(std::span<Entry* const> entries, Actions& out) const {
  if (guarded_.empty()) return;
  GuardClear over;
  for (const auto* entry : entries) {
    if (guarded(*entry->key)) over.tokens.push_back({*entry->key, entry->token});
  }
  if (!over.tokens.empty()) out.emplace_back(std::move(over));
}

}  // namespace verbund::cluster
