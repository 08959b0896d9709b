#include "cluster/broadcaster.h"

#include <algorithm>

#include "cluster/broadcaster_state.h"
#include "protocol/codec.h"

namespace verbund::cluster {

Broadcaster::Broadcaster(BroadcastLimits limits, Cursor head, BroadcastSink& sink)
    : limits_(limits), sink_(sink), head_(std::move(head)), floor_(head_.csn) {}
Broadcaster::~Broadcaster() = default;

// ---- publishing -----------------------------------------------------------------------------------------------

void Broadcaster::publish(Topic topic, Buffer message) {
  if (topic == Topic::kLocks && lock_watchers_ == 0) return;
  if (topic == Topic::kPresence && presence_watchers_ == 0) return;
  const auto bytes = message->size();
  append({topic, std::move(message), nullptr, head_.csn, bytes});
}

void Broadcaster::publish(protocol::Changes changes) {
  head_ = changes.cursor;
  std::string text;
  protocol::encode_event(text, changes);
  // The values cost about as much as their text; both count.
  const auto bytes = 2 * text.size();
  append({Topic::kChanges, std::make_shared<const std::string>(std::move(text)),
          std::make_shared<const protocol::Changes>(std::move(changes)), head_.csn, bytes});
}

void Broadcaster::publish_snapshot(protocol::Snapshot snapshot) {
  const Pumping pumping(*this);
  // Until the snapshot reaches them, all stand where they stood: a client that resumes before has to hear of it again.
  for (auto& [id, subscriber] : subscribers_) {
    if (!subscriber->before_snapshot || subscriber->position > last_snapshot_) subscriber->before_snapshot = cursor(id);
  }
  head_ = snapshot.cursor;
  last_snapshot_ = next_seq();
  std::string text;
  protocol::encode_event(text, snapshot);
  for (auto& [id, subscriber] : subscribers_) {
    // The journal's pages of the old history are of no use any more.
    if (subscriber->state == Subscriber::State::kJournal) subscriber->state = Subscriber::State::kLog;
    if (subscriber->goes_on == Subscriber::State::kJournal) subscriber->goes_on = Subscriber::State::kLog;
  }
  // Changes are of no use any more to whoever has not read them.
  const auto is_change = [&](const Audience::Item& item) {
    return item.seq >= tail_ && log_[item.seq - tail_].topic == Topic::kChanges;
  };
  for (auto& [name, audience] : audiences_) {
    std::erase_if(audience->items, is_change);
    audience->lost_changes = {};
  }
  for (auto& entry : log_) {
    if (entry.topic == Topic::kChanges) entry.changes.reset();
    entry.csn_after = head_.csn;
  }
  floor_ = head_.csn;
  const auto bytes = text.size();
  append({Topic::kSnapshot, std::make_shared<const std::string>(std::move(text)), nullptr, head_.csn, bytes});
  std::vector<Subscriber*> reading;
  for (auto& [id, subscriber] : subscribers_) {
    if (subscriber->state == Subscriber::State::kLog) reading.push_back(subscriber.get());
  }
  for (auto* subscriber : reading) deliver(*subscriber);
}

void Broadcaster::append(Entry entry) {
  const auto seq = next_seq();
  log_bytes_ += entry.bytes;
  log_.push_back(std::move(entry));
  trim();
  if (log_.empty()) return;
  for (auto& [name, audience] : audiences_) offer(*audience, log_.back(), seq);
}

void Broadcaster::trim() {
  while (log_.size() > limits_.log_entries || (log_bytes_ > limits_.log_bytes && log_.size() > 1)) {
    for (auto& [name, audience] : audiences_) note_loss(*audience, log_.front());
    floor_ = log_.front().csn_after;
    log_bytes_ -= log_.front().bytes;
    log_.pop_front();
    ++tail_;
  }
}

/// The log's first entry is about to leave it.
void Broadcaster::note_loss(Audience& audience, const Entry& entry) {
  if (!matches(audience, entry)) return;
  switch (entry.topic) {
    case Topic::kLocks: audience.lost_locks = tail_; break;
    case Topic::kPresence: audience.lost_presence = tail_; break;
    case Topic::kEverybody: audience.lost_others = tail_; break;
    case Topic::kSnapshot: audience.lost_snapshot = tail_; break;
    case Topic::kChanges:
      if (entry.changes) audience.lost_changes = entry.changes->cursor.csn;
  }
}

void Broadcaster::offer(Audience& audience, const Entry& entry, std::uint64_t seq) {
  while (!audience.items.empty() && audience.items.front().seq < tail_) {
    audience.dropped = audience.items.front().seq;
    audience.items.pop_front();
  }
  auto message = for_audience(audience, entry);
  if (!message) return;
  audience.items.push_back({seq, std::move(message)});
  if (audience.members.empty()) return;
  if (audience.remaining == 0) queue_.push_back(&audience);
  audience.remaining = audience.members.size();
}

bool Broadcaster::matches(const Audience& audience, const Entry& entry) const {
  switch (entry.topic) {
    case Topic::kPresence: return audience.presence;
    case Topic::kLocks: return audience.locks;
    case Topic::kEverybody:
    case Topic::kSnapshot: return true;
    case Topic::kChanges: break;
  }
  if (audience.all_types) return true;
  if (!entry.changes || audience.types.empty()) return false;
  const auto watched = [&](const std::string& type) { return audience.types.contains(type); };
  return std::ranges::any_of(entry.changes->changes, watched, [](const auto& change) { return change.key.type; }) ||
         std::ranges::any_of(entry.changes->bulk, watched, &protocol::BulkChange::type) ||
         std::ranges::any_of(entry.changes->truncated, watched);
}

/// The shared message, or one with the audience's types alone; null when nothing matches.
Buffer Broadcaster::for_audience(const Audience& audience, const Entry& entry) const {
  if (!matches(audience, entry)) return nullptr;
  if (entry.topic != Topic::kChanges || audience.all_types) return entry.message;
  const auto kept = only_types(*entry.changes, audience.types);
  const auto& all = *entry.changes;
  if (kept->changes.size() == all.changes.size() && kept->bulk.size() == all.bulk.size() &&
      kept->truncated.size() == all.truncated.size()) {
    return entry.message;
  }
  std::string text;
  protocol::encode_event(text, *kept);
  return std::make_shared<const std::string>(std::move(text));
}

// ---- subscribers ----------------------------------------------------------------------------------------------

Broadcaster::Subscriber* Broadcaster::find(std::uint64_t id) {
  const auto found = subscribers_.find(id);
  return found == subscribers_.end() ? nullptr : found->second.get();
}

Broadcaster::Audience& Broadcaster::audience_of(const protocol::Watch& watch) {
  const std::set<std::string> types(watch.types.begin(), watch.types.end());
  const bool all = types.contains("*");
  std::string name{watch.locks ? 'l' : '-', watch.presence ? 'p' : '-', all ? '*' : '-'};
  if (!all) {
    for (const auto& type : types) name.append(1, '\n').append(type);
  }
  auto& audience = audiences_[name];
  if (!audience) {
    audience = std::make_unique<Audience>();
    audience->name = name;
    audience->locks = watch.locks;
    audience->presence = watch.presence;
    audience->all_types = all;
    if (!all) audience->types = types;
  }
  return *audience;
}

void Broadcaster::enter(Subscriber& subscriber, Audience& audience) {
  subscriber.audience = &audience;
  lock_watchers_ += audience.locks ? 1 : 0;
  presence_watchers_ += audience.presence ? 1 : 0;
  subscriber.index = audience.members.size();
  audience.members.push_back(&subscriber);
  if (audience.remaining > 0) audience.remaining = audience.members.size();
}

void Broadcaster::exit(Subscriber& subscriber) {
  auto& audience = *subscriber.audience;
  lock_watchers_ -= audience.locks ? 1 : 0;
  presence_watchers_ -= audience.presence ? 1 : 0;
  auto* last = audience.members.back();
  audience.members[subscriber.index] = last;
  last->index = subscriber.index;
  audience.members.pop_back();
  // The one who moved may have been skipped: go round once more.
  if (audience.remaining > 0) audience.remaining = std::max<std::size_t>(audience.members.size(), 1);
  subscriber.audience = nullptr;
}

void Broadcaster::join(Receiver& receiver, const protocol::Watch& watch, std::optional<Cursor> from) {
  auto subscriber = std::make_unique<Subscriber>();
  subscriber->receiver = &receiver;
  subscriber->id = receiver.id();
  enter(*subscriber, audience_of(watch));
  const auto now = next_seq();
  subscriber->others_from = subscriber->locks_from = subscriber->presence_from = subscriber->snapshots_from = now;
  begin(*subscriber, from);
  subscribers_[receiver.id()] = std::move(subscriber);
}

void Broadcaster::set_watch(std::uint64_t id, const protocol::Watch& watch, std::optional<Cursor> from) {
  const Pumping pumping(*this);
  auto* subscriber = find(id);
  if (subscriber == nullptr) return;
  const auto reads_journal = [&](Subscriber::State state) { return state == Subscriber::State::kJournal; };
  if (!from && (reads_journal(subscriber->state) || reads_journal(subscriber->goes_on))) {
    from = Cursor{subscriber->history, subscriber->read};
  }
  if (!from) flush(id, Pressure::kIgnore);
  // Its new audience may not know what the old one has lost.
  if (from && lost_other(*subscriber)) drop_behind(*subscriber);
  if (subscriber->state == Subscriber::State::kGone) return;
  const auto now = next_seq();
  // What it has not been sent yet of presence and locks is still owed, as far as the new watch wants it.
  const auto sent = sent_up_to(*subscriber);
  const auto& before = *subscriber->audience;
  subscriber->others_from = std::max(subscriber->others_from, sent);
  subscriber->locks_from = before.locks ? std::max(subscriber->locks_from, sent) : now;
  subscriber->presence_from = before.presence ? std::max(subscriber->presence_from, sent) : now;
  if (from && from->history == head_.history) subscriber->snapshots_from = now;
  exit(*subscriber);
  enter(*subscriber, audience_of(watch));
  begin(*subscriber, from);
}

void Broadcaster::begin(Subscriber& subscriber, const std::optional<Cursor>& from) {
  const auto now = next_seq();
  subscriber.state = Subscriber::State::kNotStarted;
  subscriber.position = std::min({now, subscriber.others_from, subscriber.locks_from, subscriber.presence_from});
  subscriber.read = head_.csn;
  subscriber.history = head_.history;
  subscriber.before_snapshot.reset();
  subscriber.goes_on = subscriber.position < now ? Subscriber::State::kLog : Subscriber::State::kLive;
  if (!from || *from == head_) return;
  subscriber.read = from->csn;
  subscriber.history = from->history;
  const bool in_log = from->history == head_.history && from->csn >= floor_ && from->csn <= head_.csn;
  subscriber.goes_on = in_log ? Subscriber::State::kLog : Subscriber::State::kJournal;
  if (in_log) subscriber.position = std::min(subscriber.position, first_after(from->csn));
}

/// Number of the first entry that it watches and has not been sent, or of the next to come.
std::uint64_t Broadcaster::sent_up_to(const Subscriber& subscriber) const {
  const auto& audience = *subscriber.audience;
  if (subscriber.state != Subscriber::State::kLive || subscriber.position <= audience.dropped) return subscriber.position;
  const auto next = std::ranges::lower_bound(audience.items, subscriber.position, {}, &Audience::Item::seq);
  return next == audience.items.end() ? next_seq() : next->seq;
}

void Broadcaster::leave(std::uint64_t id) {
  const auto found = subscribers_.find(id);
  if (found == subscribers_.end()) return;
  const Pumping pumping(*this);
  exit(*found->second);
  found->second->state = Subscriber::State::kGone;
  left_.push_back(std::move(found->second));
  subscribers_.erase(found);
}

/// Forgets who has left, and audiences without members.
void Broadcaster::sweep() {
  if (left_.empty()) return;
  left_.clear();
  std::erase_if(queue_, [](const Audience* audience) { return audience->members.empty(); });
  std::erase_if(audiences_, [](const auto& entry) { return entry.second->members.empty(); });
}

// ---- delivering -----------------------------------------------------------------------------------------------

bool Broadcaster::pump(std::size_t peers) {
  const Pumping pumping(*this);
  while (peers > 0 && !queue_.empty()) {
    auto& audience = *queue_.front();
    while (peers > 0 && audience.remaining > 0 && !audience.members.empty()) {
      --peers;
      --audience.remaining;
      if (audience.next >= audience.members.size()) audience.next = 0;
      deliver(*audience.members[audience.next++]);
    }
    queue_.pop_front();
    if (audience.members.empty()) audience.remaining = 0;
    if (audience.remaining > 0) queue_.push_back(&audience);
  }
  return !queue_.empty();
}

void Broadcaster::deliver(Subscriber& subscriber) {
  if (subscriber.state == Subscriber::State::kLive) return deliver_live(subscriber);
  if (subscriber.state == Subscriber::State::kLog) catch_up(subscriber, Pressure::kRespect);
}

void Broadcaster::deliver_live(Subscriber& subscriber) {
  const auto& audience = *subscriber.audience;
  if (subscriber.position <= audience.dropped) return drop_behind(subscriber);
  // A send may close its peer and so publish: what comes next is looked up by number each time.
  while (!audience.items.empty() && audience.items.back().seq >= subscriber.position) {
    const auto next = std::ranges::lower_bound(audience.items, subscriber.position, {}, &Audience::Item::seq);
    // What it does not watch may have left the log meanwhile.
    subscriber.position = next->seq;
    if (subscriber.receiver->queued_bytes() > limits_.pause_above_bytes) {
      subscriber.read = csn_before(subscriber.position);
      subscriber.history = head_.history;
      return pause(subscriber);
    }
    subscriber.position = next->seq + 1;
    const auto message = next->message;
    subscriber.receiver->send(message);
    if (subscriber.state != Subscriber::State::kLive) return;
  }
  subscriber.position = next_seq();
}

}  // namespace verbund::cluster
