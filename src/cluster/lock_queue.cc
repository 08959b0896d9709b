// Waiting for work locks: queues, time limits, cancelling.
#include <algorithm>

#include "cluster/invariant.h"
#include "cluster/locks.h"

namespace verbund::cluster {

void LockTable::enqueue(LockRequest request, Holder& holder, Now now) {
  const auto number = ++waits_;
  auto& waiter = waiters_[number];
  waiter.number = number;
  waiter.session = request.session;
  waiter.tickets.push_back(request.ticket);
  waiter.request = std::move(request.request);
  waiter.note = std::move(request.note);
  waiter.since = now.wall;
  waiter.deadline = now.boot + request.wait;
  const auto mark = ++marks_;
  for (const auto& key : request.keys) {
    auto& entry = entry_of(key);
    if (entry.mark == mark) continue;
    entry.mark = mark;
    entry.queue.push_back(&waiter);
    waiter.places.push_back({&entry, std::prev(entry.queue.end())});
  }
  holder.waiting.push_back(&waiter);
  holder.keys_waited_for += waiter.places.size();
  wait_deadlines_.arm(waiter.deadline, number);
}

/// What the session holds already needs no place in the queue: it can't wait for those who wait for itself.
bool LockTable::grantable(const Waiter& waiter) const {
  return std::ranges::all_of(waiter.places, [&](const Place& place) {
    const auto& entry = *place.entry;
    if (entry.holder) {
      return entry.holder == waiter.session && entry.state == protocol::LockState::kHeld && !entry.granting;
    }
    return entry.queue.front() == &waiter;
  });
}

void LockTable::leave_queues(Waiter& waiter) {
  for (auto& place : waiter.places) {
    place.entry->queue.erase(place.position);
    touch(*place.entry);
  }
  auto& holder = holders_.at(waiter.session);
  holder.keys_waited_for -= waiter.places.size();
  std::erase(holder.waiting, &waiter);
  wait_deadlines_.disarm(waiter.deadline, waiter.number);
}

void LockTable::grant_waiter(Waiter& waiter, WallTime wall, Actions& out) {
  leave_queues(waiter);
  std::vector<Entry*> entries;
  entries.reserve(waiter.places.size());
  for (const auto& place : waiter.places) entries.push_back(place.entry);
  grant(waiter.session, entries, waiter.tickets, waiter.request, waiter.note, wall, out);
  waiters_.erase(waiter.number);
}

/// Grants what can be granted of the entry's queue: the first when the key is free, or one whose session holds it.
void LockTable::offer(Entry& entry, WallTime wall, Actions& out) {
  if (entry.queue.empty()) return;
  if (!entry.holder) {
    if (grantable(*entry.queue.front())) grant_waiter(*entry.queue.front(), wall, out);
    return;
  }
  if (holders_.at(entry.holder).waiting.empty()) return;
  for (auto* waiter : entry.queue) {
    if (waiter->session != entry.holder || !grantable(*waiter)) continue;
    return grant_waiter(*waiter, wall, out);  // touches the entry: it is offered again
  }
}

/// Takes the waiting request out with a refusal. The queues are offered by the caller's `settle`.
void LockTable::end_wait(std::uint64_t number, ErrorCode code, Actions& out) {
  auto& waiter = waiters_.at(number);
  leave_queues(waiter);
  LockReplied outcome{{}, waiter.session, code, {}, {}, {}, {}, {}};
  for (const auto& place : waiter.places) {
    if (!place.entry->holder || place.entry->holder == waiter.session) continue;
    outcome.key = *place.entry->key;
    outcome.holder = record_of(*place.entry);
    break;
  }
  if (outcome.key.type.empty()) outcome.key = *waiter.places.front().entry->key;
  reply(waiter.tickets, waiter.request, holders_.at(waiter.session), std::move(outcome), out);
  waiters_.erase(number);
}

void LockTable::cancel(SessionId session, Ticket ticket, std::string_view request, Now now, Actions& out) {
  const auto holder = holders_.find(session);
  if (holder != holders_.end() && !request.empty()) {
    for (auto* waiter : holder->second.waiting) {
      if (waiter->request != request) continue;
      end_wait(waiter->number, ErrorCode::kCancelled, out);
      settle(now.wall, out);
      out.emplace_back(LockReplied{ticket, session, {}, {}, {}, {}, {}, {}});
      return;
    }
    if (find_granting(holder->second, request) != nullptr) {
      const auto number = std::ranges::find_if(holder->second.granting, [&](auto id) { return grantings_.at(id).request == request; });
      end_granting(*number, out);
      settle(now.wall, out);
      out.emplace_back(LockReplied{ticket, session, {}, {}, {}, {}, {}, {}});
      return;
    }
  }
  out.emplace_back(LockReplied{ticket, session, ErrorCode::kNotFound, {}, {}, {}, {}, {}});
}

void LockTable::tick(TimePoint engine_now, WallTime wall, Actions& out) {
  while (const auto number = release_deadlines_.take_due(engine_now)) finish_release(*number, true, out);
  while (const auto number = wait_deadlines_.take_due(engine_now)) end_wait(*number, ErrorCode::kTimedOut, out);
  settle(wall, out);
}

void LockTable::end_reclaim(Now now, Actions& out) {
  if (!reclaiming_) return;
  reclaiming_ = false;
  out.emplace_back(ReclaimEnded{});
  for (auto& [number, waiter] : waiters_) {
    for (auto& place : waiter.places) touch(*place.entry);
  }
  settle(now.wall, out);
}

}  // namespace verbund::cluster
