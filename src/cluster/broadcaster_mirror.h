#pragma once
/// The broadcaster's log as broadcaster_simtest.cc keeps it beside: what was appended, what must have left it and whether
/// somebody who was cut off as too slow really missed something. From the outside alone: what was published, what was sent.
#include <vector>

#include <gtest/gtest.h>

#include "cluster/broadcaster_model.h"

namespace verbund::cluster::simulation {

/// What one connection was told to watch and has been sent.
struct Watched {
  protocol::Watch watch;
  std::array<std::size_t, 3> from{};  ///< by topic (presence, locks, everybody): numbers from here on
  std::size_t sent = 0;               ///< next number
  Cursor cursor;                      ///< last that it was sent or told
  Buffer last_event;                  ///< changes or snapshot since; decoded only when it matters

  void starts(const protocol::Watch& given, Cursor at, std::size_t others) {
    watch = given;
    cursor = std::move(at);
    from.fill(others);
    sent = others;
  }
  /// Presence and locks that were watched before go on.
  void changes(const protocol::Watch& given, Cursor at, std::size_t others) {
    if (!watch.presence) from[0] = others;
    if (!watch.locks) from[1] = others;
    watch = given;
    cursor = std::move(at);
    last_event.reset();
  }
  void was_sent(const Buffer& message) {
    if (message->front() == '{') {
      last_event = message;
    } else {
      sent = std::stoul(*message) + 1;
    }
  }
  [[nodiscard]] Cursor told() const {
    if (!last_event) return cursor;
    const auto decoded = protocol::decode_from_server(*last_event);
    const auto& event = std::get<protocol::Event>(*decoded);
    if (const auto* changes = std::get_if<protocol::Changes>(&event)) return changes->cursor;
    return std::get<protocol::Snapshot>(event).cursor;
  }
};

class LogMirror {
 public:
  LogMirror(const BroadcastLimits& limits, const Broadcaster& broadcaster) : limits_(limits), broadcaster_(broadcaster) {}

  /// Before it is published.
  void other(Topic topic, std::size_t number, std::size_t bytes) {
    if (broadcaster_.watched(topic)) log_.push_back({topic, number, {}, {}, bytes});
  }
  void change(const protocol::Changes& changes) {
    std::string text;
    protocol::encode_event(text, changes);
    Entry entry{Topic::kChanges, 0, changes.cursor, {}, 2 * text.size()};
    for (const auto& change : changes.changes) entry.types.insert(type_of(change.key.type));
    for (const auto& bulk : changes.bulk) entry.types.insert(type_of(bulk.type));
    for (const auto& type : changes.truncated) entry.types.insert(type_of(type));
    log_.push_back(std::move(entry));
  }
  void snapshot(const protocol::Snapshot& snapshot) {
    std::string text;
    protocol::encode_event(text, snapshot);
    log_.push_back({Topic::kSnapshot, 0, snapshot.cursor, {}, text.size()});
  }

  /// After it was published: nothing has left the log before a bound was reached.
  void expect_bounded() {
    const auto tail = log_.size() - broadcaster_.log_entries();
    if (tail == tail_) return;
    tail_ = tail;
    const auto& last = log_[tail - 1];
    EXPECT_TRUE(broadcaster_.log_entries() + 1 > limits_.log_entries || broadcaster_.log_bytes() + last.bytes > limits_.log_bytes)
        << "the log let go of something below its bounds";
  }

  /// Has something left the log that it watches and has not been sent? `reads_journal`: changes come from there.
  [[nodiscard]] bool lost_something(const Watched& client, bool reads_journal) const {
    const auto told = client.told();
    const auto tail = log_.size() - broadcaster_.log_entries();
    const auto lost = [&](const Entry& entry) {
      if (entry.topic == Topic::kSnapshot) return entry.cursor.history != told.history;
      if (entry.topic != Topic::kChanges) return watches(client.watch, entry.topic) && entry.number >= first(client, entry.topic);
      if (reads_journal || entry.cursor.csn <= told.csn) return false;
      return std::ranges::any_of(entry.types, [&](auto type) { return watches(client.watch, type); });
    };
    return std::any_of(log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(tail), lost);
  }

 private:
  struct Entry {
    Topic topic = Topic::kPresence;
    std::size_t number = 0;      ///< of others
    Cursor cursor;               ///< of changes and snapshots
    std::set<std::size_t> types; ///< of changes
    std::size_t bytes = 0;
  };
  static std::size_t first(const Watched& client, Topic topic) {
    const auto index = topic == Topic::kPresence ? 0U : topic == Topic::kLocks ? 1U : 2U;
    return std::max(client.sent, client.from[index]);
  }

  const BroadcastLimits limits_;
  const Broadcaster& broadcaster_;
  std::vector<Entry> log_;
  std::size_t tail_ = 0;
};

}  // namespace verbund::cluster::simulation
