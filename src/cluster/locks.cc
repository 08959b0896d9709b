#include "cluster/locks.h"

#include <algorithm>

#include "cluster/invariant.h"

namespace verbund::cluster {

using protocol::LockState;

// ---- asking ---------------------------------------------------------------------------------------------------

void LockTable::acquire(LockRequest request, Now now, Actions& out) {
  auto& holder = holders_[request.session];
  if (!request.request.empty() && answer_repeated(request, holder, out)) return;
  const auto refuse_with = [&](ErrorCode code) {
    refuse(request.ticket, request.session, request.request, code, nullptr, out);
  };
  if (request.keys.empty()) return refuse_with(ErrorCode::kBadMessage);
  if (request.keys.size() > limits_.max_keys_per_request) return refuse_with(ErrorCode::kTooManyKeys);
  if (holder.held.size() + holder.keys_waited_for + request.keys.size() > limits_.max_locks_per_session) {
    return refuse_with(ErrorCode::kTooManyLocks);
  }
  bool own_grant_pending = false;
  for (const auto& key : request.keys) {
    const auto* entry = find_entry(key);
    const bool free = entry == nullptr || !blocks(*entry, request.session);
    const bool own = entry != nullptr && entry->holder == request.session;
    if (free && (own || !reclaiming_)) continue;
    if (own && entry->granting && request.wait.count() == 0) {
      own_grant_pending = true;
      continue;
    }
    if (request.wait.count() > 0) return enqueue(std::move(request), holder, now);
    const bool held = entry != nullptr && entry->holder && !free;
    return refuse(request.ticket, request.session, request.request,
                  held || !reclaiming_ ? ErrorCode::kHeld : ErrorCode::kReclaiming, &key, out);
  }
  if (own_grant_pending) {
    request.wait = limits_.own_grant_wait;
    return enqueue(std::move(request), holder, now);
  }
  requested_.clear();
  const auto mark = ++marks_;
  for (const auto& key : request.keys) {
    auto& entry = entry_of(key);
    if (entry.mark != mark) requested_.push_back(&entry);
    entry.mark = mark;
  }
  grant(request.session, requested_, {&request.ticket, 1}, request.request, request.note, now.wall, out);
}

/// True: answered, or attached to the request that still waits.
bool LockTable::answer_repeated(const LockRequest& request, Holder& holder, Actions& out) {
  if (holder.memory) {
    if (const auto* outcome = holder.memory->find(request.request)) {
      auto again = *outcome;
      again.ticket = request.ticket;
      // A grant that is over (broken, released, expired since) must not be believed once more.
      for (const auto& [key, token] : outcome->tokens) {
        const auto* entry = find_entry(key);
        if (entry != nullptr && entry->holder == request.session && entry->token == token) continue;
        again = LockReplied{request.ticket, request.session, ErrorCode::kNotHeld, key, {}, {}, {}, {}};
        break;
      }
      out.emplace_back(std::move(again));
      return true;
    }
  }
  std::vector<Ticket>* tickets = nullptr;
  for (auto* waiter : holder.waiting) {
    if (waiter->request == request.request) tickets = &waiter->tickets;
  }
  if (auto* granting = find_granting(holder, request.request)) tickets = &granting->tickets;
  if (tickets == nullptr) return false;
  if (tickets->size() < kMaxTicketsPerWait) {
    tickets->push_back(request.ticket);
  } else {
    out.emplace_back(LockReplied{request.ticket, request.session, ErrorCode::kTooManyLocks, {}, {}, {}, {}, {}});
  }
  return true;
}

void LockTable::refuse(Ticket ticket, SessionId session, const std::string& request, ErrorCode code, const RecordKey* key,
                       Actions& out) {
  LockReplied outcome{{}, session, code, {}, {}, {}, {}, {}};
  if (key != nullptr) outcome.key = *key;
  if (code == ErrorCode::kReclaiming) outcome.retry_after = retry_after_;
  if (code == ErrorCode::kHeld) outcome.holder = find(*key);
  reply({&ticket, 1}, request, holders_[session], std::move(outcome), out);
}

void LockTable::reply(std::span<const Ticket> tickets, const std::string& request, Holder& holder, LockReplied outcome,
                      Actions& out) {
  // What may be tried again soon is no result to remember.
  if (!request.empty() && !outcome.retry_after) {
    if (!holder.memory) holder.memory = std::make_unique<RequestMemory<LockReplied>>();
    holder.memory->put(request, outcome);
  }
  for (std::size_t i = 0; i + 1 < tickets.size(); ++i) {
    outcome.ticket = tickets[i];
    out.emplace_back(outcome);
  }
  outcome.ticket = tickets.back();
  out.emplace_back(std::move(outcome));
}

LockTable::Entry& LockTable::entry_of(const RecordKey& key) {
  const auto [place, added] = entries_.try_emplace(key);
  if (added) place->second.key = &place->first;
  return place->second;
}

LockTable::Entry* LockTable::find_entry(const RecordKey& key) {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

/// Free but with a queue: reserved, whoever comes now stands behind.
bool LockTable::blocks(const Entry& entry, SessionId session) const {
  if (entry.holder) return entry.holder != session || entry.state == LockState::kReleasing || entry.granting;
  return !entry.queue.empty();
}

LockRecord LockTable::record_of(const Entry& entry) const {
  LockRecord record{*entry.key, entry.token, entry.holder, entry.since, entry.note, entry.state,
                    static_cast<std::uint32_t>(entry.queue.size()), static_cast<bool>(entry.granting)};
  if (!entry.holder && !entry.queue.empty()) {
    const auto& first = *entry.queue.front();
    record.session = first.session;
    record.since = first.since;
    record.note = first.note;
  }
  return record;
}

// ---- granting -------------------------------------------------------------------------------------------------

FencingToken LockTable::next_token() {
  invariant(counter_ != ~std::uint32_t{0}, "tokens of an epoch are not exhausted");
  return FencingToken::of(epoch_, ++counter_);
}

void LockTable::take(Entry& entry, SessionId session, Holder& holder, FencingToken token, WallTime wall,
                     const std::string& note) {
  invariant(!entry.holder, "a key is granted only when nobody holds it");
  entry.holder = session;
  entry.token = token;
  entry.since = wall;
  entry.note = note;
  entry.state = LockState::kHeld;
  entry.held_at = static_cast<std::uint32_t>(holder.held.size());
  holder.held.push_back(&entry);
  ++held_count_;
}

void LockTable::grant(SessionId session, std::span<Entry* const> entries, std::span<const Ticket> tickets,
                      const std::string& request, const std::string& note, WallTime wall, Actions& out) {
  if (!guarded_.empty() && std::ranges::any_of(entries, [&](const Entry* entry) { return !entry->holder && guarded(*entry->key); })) {
    return begin_granting(session, entries, tickets, request, note, wall, out);
  }
  auto& holder = holders_[session];
  LockReplied outcome{{}, session, {}, {}, {}, {}, {}, {}};
  LocksGranted granted;
  outcome.tokens.reserve(entries.size());
  for (auto* entry : entries) {
    if (!entry->holder) {
      if (outcome.token.value == 0) outcome.token = next_token();
      take(*entry, session, holder, outcome.token, wall, note);
      granted.locks.push_back(record_of(*entry));
      if (!entry->queue.empty()) touch(*entry);
    }
    outcome.tokens.push_back({*entry->key, entry->token});
  }
  if (outcome.token.value == 0) outcome.token = outcome.tokens.front().token;
  if (!granted.locks.empty()) out.emplace_back(std::move(granted));
  reply(tickets, request, holder, std::move(outcome), out);
}

/// Forgets the holder; the entry stays until `settle`.
void LockTable::drop(Entry& entry, Holder& holder) {
  invariant(holder.held[entry.held_at] == &entry, "a held key is listed at its holder");
  auto* last = holder.held.back();
  holder.held[entry.held_at] = last;
  last->held_at = entry.held_at;
  holder.held.pop_back();
  entry.holder = {};
  entry.token = {};
  entry.note.clear();
  entry.state = LockState::kHeld;
  entry.release = {};
  if (entry.granting) --granting_count_;
  entry.granting = {};
  --held_count_;
  touch(entry);
}

void LockTable::touch(Entry& entry) {
  if (entry.touched) return;
  entry.touched = true;
  touched_.push_back(&entry);
}

/// Offers what has become free to the queues until nothing changes, then forgets entries that nobody needs.
void LockTable::settle(WallTime wall, Actions& out) {
  // Grants append to touched_ while we go on; an entry may stand there several times.
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    auto* entry = touched_[i];
    entry->touched = false;
    if (!reclaiming_) offer(*entry, wall, out);
  }
  std::size_t unused = 0;
  for (auto* entry : touched_) {
    if (entry->holder || !entry->queue.empty() || entry->touched) continue;
    entry->touched = true;
    touched_[unused++] = entry;
  }
  for (std::size_t i = 0; i < unused; ++i) entries_.erase(entries_.find(*touched_[i]->key));
  touched_.clear();
}

}  // namespace verbund::cluster
