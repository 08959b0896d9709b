#pragma once
/// Sessions and locks under a clock of its own, for the engine's tests.
#include <gtest/gtest.h>

#include "cluster/engine.h"

namespace verbund::cluster {

inline const RecordKey kAnna{"patient", "1"}, kBert{"patient", "2"}, kCarl{"patient", "3"};

template <typename What>
std::vector<What> all_of(const Actions& actions) {
  std::vector<What> found;
  for (const auto& action : actions) {
    if (const auto* what = std::get_if<What>(&action)) found.push_back(*what);
  }
  return found;
}

class Cluster : public ::testing::Test {
 protected:
  Now now() const { return {time, WallTime{std::chrono::duration_cast<microseconds>(time.time_since_epoch())}}; }
  void start(std::vector<StoredSession> known = {}, std::uint16_t start_count = 1) {
    engine = std::make_unique<Engine>(settings, LockEpoch{{1}, start_count}, std::move(known), SessionId{1}, now());
  }
  StoredSession stored(const std::string& address = "192.0.2.1", const std::string& name = "Empfang") {
    StoredSession session;
    session.id = engine->next_session();
    session.address = address;
    session.workstation = name;
    session.identity.user = "anna";
    return session;
  }
  SessionId add(const std::string& address = "192.0.2.1") {
    auto session = stored(address);
    const auto id = session.id;
    EXPECT_TRUE(engine->add_session(std::move(session), {id.value + 1000}, false, now()));
    return id;
  }
  std::vector<LockReplied> lock(SessionId session, std::vector<RecordKey> keys, milliseconds wait = {},
                                std::string request = {}) {
    engine->take_actions();
    engine->lock({session, {++tickets}, std::move(request), std::move(keys), wait, {}}, now());
    actions = engine->take_actions();
    return all_of<LockReplied>(actions);
  }
  std::vector<LockReplied> unlock(SessionId session, std::vector<RecordKey> keys, std::optional<Lsn> after = {}) {
    engine->take_actions();
    engine->unlock({session, {++tickets}, {}, std::move(keys), {}, after}, now());
    actions = engine->take_actions();
    return all_of<LockReplied>(actions);
  }
  /// The store forgets lost sessions at once, unless `store_answers` is false.
  void pass(milliseconds span) {
    engine->take_actions();
    actions.clear();
    for (; span.count() > 0; span -= milliseconds{100}) {
      time += milliseconds{100};
      engine->tick(now());
      auto taken = engine->take_actions();
      for (const auto& lost : all_of<Lost>(taken)) {
        if (store_answers) engine->forget(lost.session, now());
      }
      for (auto& action : taken) actions.push_back(action);
      for (auto& action : engine->take_actions()) actions.push_back(action);
    }
  }

  Settings settings;
  TimePoint time{seconds{100}};
  std::unique_ptr<Engine> engine;
  Actions actions;
  std::uint64_t tickets = 0;
  bool store_answers = true;
};

}  // namespace verbund::cluster
