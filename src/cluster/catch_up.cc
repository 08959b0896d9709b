// The broadcaster's slow half: subscribers that are behind, from the log or from the journal.
#include <algorithm>

#include "cluster/broadcaster.h"
#include "cluster/broadcaster_state.h"
#include "protocol/codec.h"

namespace verbund::cluster {

void Broadcaster::start(std::uint64_t id) {
  const Pumping pumping(*this);
  auto* subscriber = find(id);
  if (subscriber == nullptr || subscriber->state != Subscriber::State::kNotStarted) return;
  subscriber->state = subscriber->goes_on;
  read_on(*subscriber);
}

void Broadcaster::drained(std::uint64_t id) {
  const Pumping pumping(*this);
  auto* subscriber = find(id);
  if (subscriber == nullptr || subscriber->state != Subscriber::State::kPaused) return;
  subscriber->state = subscriber->goes_on;
  read_on(*subscriber);
}

void Broadcaster::read_on(Subscriber& subscriber) {
  if (subscriber.state == Subscriber::State::kJournal) {
    sink_.replay(subscriber.id, {subscriber.history, subscriber.read}, limits_.replay_page);
    return;
  }
  deliver(subscriber);
}

void Broadcaster::flush(std::uint64_t id, Pressure pressure) {
  auto* subscriber = find(id);
  if (subscriber == nullptr) return;
  const Pumping pumping(*this);
  if (pressure == Pressure::kRespect) return deliver(*subscriber);
  if (subscriber->state == Subscriber::State::kLive) deliver_live(*subscriber);
  const bool log_reader = subscriber->state == Subscriber::State::kLog ||
                          (subscriber->state == Subscriber::State::kPaused && subscriber->goes_on == Subscriber::State::kLog);
  if (log_reader) catch_up(*subscriber, Pressure::kIgnore);
}

void Broadcaster::pause(Subscriber& subscriber) {
  subscriber.goes_on = subscriber.state == Subscriber::State::kJournal ? Subscriber::State::kJournal : Subscriber::State::kLog;
  subscriber.state = Subscriber::State::kPaused;
  subscriber.receiver->notify_when_drained();
}

void Broadcaster::drop_behind(Subscriber& subscriber) {
  subscriber.state = Subscriber::State::kGone;
  sink_.fell_behind(subscriber.id);
}

/// Of what is no change: has something left the log that it watches and was not sent? (Changes may come from the journal.)
bool Broadcaster::lost_other(const Subscriber& subscriber) {
  const auto& audience = *subscriber.audience;
  const auto gone = [&](std::uint64_t last, std::uint64_t from) { return last >= std::max(subscriber.position, from); };
  return gone(audience.lost_locks, subscriber.locks_from) || gone(audience.lost_presence, subscriber.presence_from) ||
         gone(audience.lost_others, subscriber.others_from) ||
         gone(audience.lost_snapshot, std::max(subscriber.others_from, subscriber.snapshots_from));
}

/// The log may have gone past where it stands. False: with something that it was owed, so it is cut off.
bool Broadcaster::keep_up_with_tail(Subscriber& subscriber) {
  if (subscriber.position >= tail_) return true;
  const bool reads_journal = subscriber.state == Subscriber::State::kJournal;
  if (lost_other(subscriber) || (!reads_journal && subscriber.audience->lost_changes > subscriber.read)) {
    drop_behind(subscriber);
    return false;
  }
  subscriber.position = tail_;
  if (!reads_journal && subscriber.history == head_.history) subscriber.read = std::max(subscriber.read, floor_);
  return true;
}

/// Reads the log up to its head, several entries to a message. Ends live, paused or gone.
void Broadcaster::catch_up(Subscriber& subscriber, Pressure pressure) {
  const bool was_paused = subscriber.state == Subscriber::State::kPaused;
  while (subscriber.position < next_seq()) {
    if (!keep_up_with_tail(subscriber)) return;
    if (subscriber.position >= next_seq()) break;
    if (pressure == Pressure::kRespect && subscriber.receiver->queued_bytes() > limits_.pause_above_bytes) {
      return pause(subscriber);
    }
    if (!send_batch(subscriber)) return;
  }
  // Its drained call is still to come when it was paused; it finds the subscriber live then.
  if (was_paused && subscriber.receiver->queued_bytes() > limits_.pause_above_bytes) {
    subscriber.read = head_.csn;
    return;
  }
  subscriber.state = Subscriber::State::kLive;
}

/// False: the subscriber has gone. Changes move in front of the batch's presence and locks: they may come earlier than
/// the release that waited for them, never later.
bool Broadcaster::send_batch(Subscriber& subscriber) {
  Conflation merged;
  std::vector<Buffer> others;
  const auto end = std::min(next_seq(), subscriber.position + limits_.merged_entries);
  for (; subscriber.position < end && merged.keys() < limits_.merged_keys; ++subscriber.position) {
    const auto& entry = log_[subscriber.position - tail_];
    // Nothing moves past a snapshot: it goes alone.
    if (entry.topic == Topic::kSnapshot && !(merged.empty() && others.empty())) break;
    if (entry.topic == Topic::kChanges) {
      if (!entry.changes || entry.changes->cursor.csn <= subscriber.read) continue;
      if (subscriber.audience->all_types) {
        merged.add(*entry.changes);
      } else if (const auto kept = only_types(*entry.changes, subscriber.audience->types)) {
        merged.add(*kept);
      }
      subscriber.read = entry.changes->cursor.csn;
    } else if (owed(subscriber, entry)) {
      others.push_back(entry.message);
      if (entry.topic != Topic::kSnapshot) continue;
      subscriber.read = entry.csn_after;
      subscriber.history = head_.history;
      ++subscriber.position;
      break;
    }
  }
  if (!merged.empty()) send_merged(subscriber, merged);
  for (const auto& message : others) {
    if (subscriber.state == Subscriber::State::kGone) return false;
    subscriber.receiver->send(message);
  }
  return subscriber.state != Subscriber::State::kGone;
}

/// Of all but changes: does it watch the entry, and was not told in another way?
bool Broadcaster::owed(const Subscriber& subscriber, const Entry& entry) const {
  const auto from = entry.topic == Topic::kLocks      ? subscriber.locks_from
                    : entry.topic == Topic::kPresence ? subscriber.presence_from
                    : entry.topic == Topic::kSnapshot ? std::max(subscriber.others_from, subscriber.snapshots_from)
                                                      : subscriber.others_from;
  return subscriber.position >= from && matches(*subscriber.audience, entry);
}

void Broadcaster::send_merged(Subscriber& subscriber, Conflation& merged) {
  const auto event = merged.take();
  if (event.changes.empty() && event.bulk.empty() && event.truncated.empty()) return;
  std::string text;
  protocol::encode_event(text, event);
  subscriber.receiver->send(std::make_shared<const std::string>(std::move(text)));
}

void Broadcaster::replayed(std::uint64_t id, const Cursor& from, const std::vector<protocol::Changes>& page) {
  const Pumping pumping(*this);
  auto* subscriber = find(id);
  if (subscriber == nullptr || subscriber->state != Subscriber::State::kJournal) return;
  // The answer to an older question, before another `watch`.
  if (from != Cursor{subscriber->history, subscriber->read}) return;
  if (!keep_up_with_tail(*subscriber)) return;
  Conflation merged;
  for (const auto& event : page) {
    // What came through the log meanwhile is taken from there.
    if (event.cursor.csn <= subscriber->read) continue;
    subscriber->read = event.cursor.csn;
    if (subscriber->audience->all_types) {
      merged.add(event);
    } else if (const auto kept = only_types(event, subscriber->audience->types)) {
      merged.add(*kept);
    }
    if (merged.keys() < limits_.merged_keys) continue;
    send_merged(*subscriber, merged);
    if (subscriber->state == Subscriber::State::kGone) return;
  }
  if (!merged.empty()) send_merged(*subscriber, merged);
  if (subscriber->state == Subscriber::State::kGone) return;
  // An empty page: there is nothing between the cursor and the log.
  if (page.empty()) subscriber->read = std::max(subscriber->read, floor_);
  if (subscriber->read >= floor_) {
    subscriber->state = Subscriber::State::kLog;
    subscriber->position = std::min(subscriber->position, first_after(subscriber->read));
  }
  if (subscriber->receiver->queued_bytes() > limits_.pause_above_bytes) return pause(*subscriber);
  read_on(*subscriber);
}

void Broadcaster::replay_refused(std::uint64_t id, std::string reason) {
  const Pumping pumping(*this);
  auto* subscriber = find(id);
  if (subscriber == nullptr || subscriber->state != Subscriber::State::kJournal) return;
  std::string text;
  protocol::encode_event(text, protocol::Snapshot{std::move(reason), head_});
  subscriber->receiver->send(std::make_shared<const std::string>(std::move(text)));
  if (subscriber->state == Subscriber::State::kGone) return;
  subscriber->snapshots_from = next_seq();
  subscriber->before_snapshot.reset();
  subscriber->read = head_.csn;
  subscriber->history = head_.history;
  subscriber->state = Subscriber::State::kLog;
  deliver(*subscriber);
}

/// Head before the entry `seq` was published.
Csn Broadcaster::csn_before(std::uint64_t seq) const {
  if (seq <= tail_) return floor_;
  return log_[std::min(seq - tail_, log_.size()) - 1].csn_after;
}

/// Number of the first entry after `csn`.
std::uint64_t Broadcaster::first_after(Csn csn) const {
  const auto found = std::ranges::upper_bound(log_, csn, {}, &Entry::csn_after);
  return tail_ + static_cast<std::uint64_t>(found - log_.begin());
}

Cursor Broadcaster::cursor(std::uint64_t id) const {
  const auto found = subscribers_.find(id);
  if (found == subscribers_.end()) return head_;
  const auto& subscriber = *found->second;
  if (subscriber.before_snapshot && subscriber.position <= last_snapshot_) return *subscriber.before_snapshot;
  if (subscriber.state != Subscriber::State::kLive) return {subscriber.history, subscriber.read};
  const auto sent = sent_up_to(subscriber);
  return sent == next_seq() ? head_ : Cursor{head_.history, csn_before(sent)};
}

}  // namespace verbund::cluster
