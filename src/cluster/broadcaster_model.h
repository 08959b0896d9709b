#pragma once
/// What broadcaster_simtest.cc holds the broadcaster against: an office whose every past state is known, and clients that
/// do with what they are told no more than docs/protocol says. A client complains (gtest) about gaps, repetitions,
/// wrong order and records that are not what they were at its cursor.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "cluster/broadcaster.h"
#include "protocol/codec.h"

namespace verbund::cluster::simulation {

constexpr std::array<const char*, 3> kTypes{"patient", "letter", "bill"};
constexpr std::size_t kKeysPerType = 8, kRecords = kTypes.size() * kKeysPerType;
/// Per record the csn of its last change; 0: there is no such record.
using Records = std::array<std::uint32_t, kRecords>;
using TypeCsns = std::array<std::uint64_t, kTypes.size()>;

inline std::size_t type_of(std::string_view name) {
  std::size_t type = 0;
  while (kTypes[type] != name) ++type;
  return type;
}
inline std::size_t index_of(const RecordKey& key) {
  return type_of(key.type) * kKeysPerType + static_cast<std::size_t>(std::stoul(key.id));
}
inline RecordKey key_of(std::size_t record) {
  return {kTypes[record / kKeysPerType], std::to_string(record % kKeysPerType)};
}
inline bool watches(const protocol::Watch& watch, std::size_t type) {
  return std::ranges::any_of(watch.types, [&](const auto& name) { return name == "*" || name == kTypes[type]; });
}

/// A message that is no change: presence, locks, to everybody.
struct Other {
  Topic topic = Topic::kPresence;
  TypeCsns changed{};  ///< last change of each type before it
};
inline bool watches(const protocol::Watch& watch, Topic topic) {
  return topic == Topic::kLocks ? watch.locks : topic == Topic::kPresence ? watch.presence : true;
}

struct Office {
  std::string history = "h1";
  std::vector<Records> states{Records{}};                    ///< by csn
  std::deque<std::pair<std::string, protocol::Changes>> journal;  ///< with history
  std::vector<Other> others;
  TypeCsns changed{};
  std::size_t snapshot_at = 0;  ///< others that were published before the last snapshot

  [[nodiscard]] Cursor head() const { return {{history}, {states.size() - 1}}; }
  protocol::Changes change(std::mt19937_64& random);
  void fork();

 private:
  void one(std::mt19937_64& random, Records& now, std::uint32_t csn, protocol::Changes& changes);
};

/// What is sent directly, apart from broadcasts.
struct Direct {
  enum class Kind { kWelcome, kWatch, kBeat, kGrant } kind = Kind::kBeat;
  Cursor cursor;
  protocol::Watch watch;
  std::size_t others = 0;  ///< published before it
  TypeCsns changed{};
  bool all_before = false; ///< must not have overtaken anything
};

class Client {
 public:
  explicit Client(const Office& office) : office_(office) {}
  void take(const Buffer& message);
  void take(const Direct& direct);
  /// Has it been told of all there is?
  void expect_complete() const;
  [[nodiscard]] const Cursor& cursor() const { return cursor_; }
  [[nodiscard]] const protocol::Watch& watch() const { return watch_; }

 private:
  void take(const protocol::Changes& changes);
  void take(const protocol::Snapshot& snapshot);
  void take_other(std::size_t number);
  void start(const Direct& direct);
  void apply(const protocol::Changes& changes);
  void expect_records(const char* when) const;
  void expect_others_before(std::size_t number) const;
  void expect_changes(const TypeCsns& changed, const char* before) const;

  const Office& office_;
  protocol::Watch watch_;
  Cursor cursor_;
  Records records_{};
  std::size_t others_ = 0;                 ///< next number
  std::array<std::size_t, 3> from_{};      ///< by topic: numbers from here on
};

// ---- the office -----------------------------------------------------------------------------------------------

inline void Office::one(std::mt19937_64& random, Records& now, std::uint32_t csn, protocol::Changes& changes) {
  using protocol::ChangeOp;
  const auto record = random() % kRecords;
  const auto type = record / kKeysPerType;
  const auto twin = type * kKeysPerType + random() % kKeysPerType;
  // One transaction names a record once.
  if (now[record] == csn || now[twin] == csn) return;
  const auto mentioned = [&](std::size_t at) {
    return std::ranges::any_of(changes.changes, [&](const auto& c) { return c.key == key_of(at) || c.was == key_of(at); });
  };
  if (mentioned(record) || mentioned(twin)) return;
  protocol::RecordChange change{key_of(record), ChangeOp::kInsert, {}, {}};
  if (now[record] != 0) change.op = random() % 3 == 0 ? ChangeOp::kDelete : ChangeOp::kUpdate;
  if (change.op == ChangeOp::kUpdate && now[twin] == 0 && random() % 3 == 0) {
    change.was = change.key;
    change.key = key_of(twin);
    now[twin] = csn;
    now[record] = 0;
  } else {
    now[record] = change.op == ChangeOp::kDelete ? 0 : csn;
  }
  changed[type] = csn;
  changes.changes.push_back(std::move(change));
}

inline protocol::Changes Office::change(std::mt19937_64& random) {
  auto now = states.back();
  const auto csn = static_cast<std::uint32_t>(states.size());
  protocol::Changes changes;
  changes.cursor = {{history}, {csn}};
  const auto what = random() % 40;
  const auto type = random() % kTypes.size();
  for (std::size_t i = 0; what < 2 && i < kKeysPerType; ++i) {
    auto& record = now[type * kKeysPerType + i];
    record = what == 0 || random() % 2 == 0 ? 0 : csn;
  }
  if (what < 2) changed[type] = csn;
  if (what == 0) changes.truncated.push_back(kTypes[type]);
  if (what == 1) changes.bulk.push_back({kTypes[type], kKeysPerType});
  for (auto count = what < 2 ? 0 : 1 + random() % 4; count > 0; --count) one(random, now, csn, changes);
  states.push_back(now);
  journal.emplace_back(history, changes);
  if (journal.size() > 400) journal.pop_front();
  return changes;
}

inline void Office::fork() {
  history = "h" + std::to_string(states.size());
  // Reconciled: everything may differ.
  auto now = states.back();
  for (auto& record : now) {
    if (record != 0) record = static_cast<std::uint32_t>(states.size());
  }
  changed.fill(states.size());
  states.push_back(now);
  journal.clear();
  snapshot_at = others.size();
}

// ---- the client -----------------------------------------------------------------------------------------------

inline void Client::take(const Buffer& message) {
  if (message->front() != '{') return take_other(std::stoul(*message));
  const auto decoded = protocol::decode_from_server(*message);
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& event = std::get<protocol::Event>(*decoded);
  if (const auto* changes = std::get_if<protocol::Changes>(&event)) return take(*changes);
  take(std::get<protocol::Snapshot>(event));
}

inline void Client::take(const protocol::Changes& changes) {
  ASSERT_EQ(changes.cursor.history, cursor_.history);
  ASSERT_GT(changes.cursor.csn, cursor_.csn) << "repeated or out of order";
  apply(changes);
  cursor_ = changes.cursor;
  expect_records("after changes");
}

inline void Client::apply(const protocol::Changes& changes) {
  const auto& state = office_.states[changes.cursor.csn.value];
  const auto reload = [&](const std::string& type, bool empty) {
    ASSERT_TRUE(watches(watch_, type_of(type)));
    for (std::size_t i = 0; i < kKeysPerType; ++i) {
      const auto record = type_of(type) * kKeysPerType + i;
      records_[record] = empty ? 0 : state[record];
    }
  };
  for (const auto& type : changes.truncated) reload(type, true);
  for (const auto& change : changes.changes) {
    if (change.was) records_[index_of(*change.was)] = 0;
  }
  for (const auto& change : changes.changes) {
    ASSERT_TRUE(watches(watch_, type_of(change.key.type)));
    const auto record = index_of(change.key);
    if (change.op == protocol::ChangeOp::kDelete) {
      records_[record] = 0;
    } else {
      EXPECT_TRUE(state[record] != 0 || !changes.bulk.empty()) << "told of " << to_string(change.key) << ", which was gone";
      records_[record] = state[record];
    }
  }
  for (const auto& bulk : changes.bulk) reload(bulk.type, false);
}

inline void Client::take(const protocol::Snapshot& snapshot) {
  ASSERT_TRUE(snapshot.cursor.history != cursor_.history || snapshot.cursor.csn >= cursor_.csn) << "a snapshot of the past";
  cursor_ = snapshot.cursor;
  records_ = office_.states[cursor_.csn.value];
}

inline void Client::take_other(std::size_t number) {
  ASSERT_GE(number, others_) << "repeated or out of order";
  expect_others_before(number);
  const auto& other = office_.others[number];
  ASSERT_TRUE(watches(watch_, other.topic));
  // Before a snapshot that is still to come changes may be missing: they are of no use any more.
  if (number >= office_.snapshot_at) expect_changes(other.changed, "presence or locks");
  others_ = number + 1;
}

inline void Client::start(const Direct& direct) {
  const auto now = direct.others;
  if (direct.kind == Direct::Kind::kWelcome) {
    from_.fill(now);
    others_ = now;
  } else {
    const auto since = [&](bool before, std::size_t from) { return before ? from : now; };
    from_[0] = since(watch_.presence, from_[0]);
    from_[1] = since(watch_.locks, from_[1]);
  }
  watch_ = direct.watch;
  cursor_ = direct.cursor;
  // Past cursors of other histories are refused with a snapshot; the records don't matter then.
  if (cursor_.csn.value < office_.states.size()) records_ = office_.states[cursor_.csn.value];
}

inline void Client::take(const Direct& direct) {
  if (direct.all_before) {
    expect_others_before(direct.others);
    expect_changes(direct.changed, "a grant");
  }
  if (direct.kind == Direct::Kind::kGrant) return;
  if (direct.kind == Direct::Kind::kWelcome || direct.kind == Direct::Kind::kWatch) return start(direct);
  ASSERT_EQ(direct.cursor.history, cursor_.history) << "a beat's cursor of a history that the client was not told of";
  ASSERT_GE(direct.cursor.csn, cursor_.csn) << "a beat's cursor in the past";
  cursor_ = direct.cursor;
  expect_records("at a beat's cursor");
}

inline void Client::expect_records(const char* when) const {
  const auto& state = office_.states[cursor_.csn.value];
  for (std::size_t record = 0; record < kRecords; ++record) {
    if (!watches(watch_, record / kKeysPerType)) continue;
    ASSERT_EQ(records_[record], state[record]) << to_string(key_of(record)) << " " << when << " at csn " << cursor_.csn.value;
  }
}

inline void Client::expect_others_before(std::size_t number) const {
  for (auto i = others_; i < number; ++i) {
    const auto topic = office_.others[i].topic;
    if (!watches(watch_, topic)) continue;
    ASSERT_LT(i, from_[topic == Topic::kPresence ? 0 : topic == Topic::kLocks ? 1 : 2]) << "message " << i << " is missing";
  }
}

/// The records are those of `changed` or of a later moment: what came and went between may never have been told.
inline void Client::expect_changes(const TypeCsns& changed, const char* before) const {
  std::uint64_t since = 0;
  for (std::size_t type = 0; type < kTypes.size(); ++type) {
    if (watches(watch_, type)) since = std::max(since, changed[type]);
  }
  if (since <= cursor_.csn.value) return;
  const auto same = [&](const Records& state) {
    for (std::size_t record = 0; record < kRecords; ++record) {
      if (watches(watch_, record / kKeysPerType) && records_[record] != state[record]) return false;
    }
    return true;
  };
  const auto first = office_.states.begin() + static_cast<std::ptrdiff_t>(since);
  EXPECT_TRUE(std::any_of(first, office_.states.end(), same))
      << "changes up to csn " << since << " came before " << before << "; the client is at " << cursor_.csn.value;
}

inline void Client::expect_complete() const {
  expect_others_before(office_.others.size());
  expect_changes(office_.changed, "the end");
}

}  // namespace verbund::cluster::simulation
