#pragma once
/// For the tests of this folder: an engine on a manual clock whose actions are sorted into lists.
#include <algorithm>

#include <gtest/gtest.h>

#include "client/engine.h"

namespace verbund::client {

using namespace protocol;

inline const RecordKey kPatient{"patient", "4711"};
inline const RecordKey kOther{"patient", "4712"};

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    settings.servers = {"praxis:2222"};
    settings.registration.token = "t";
    settings.registration.workstation = "Empfang 1";
  }

  void start() {
    engine = std::make_unique<Engine>(settings);
    engine->start(now, actions);
  }
  /// Connected, registered as session 17, the request of the registration taken off.
  void join() {
    start();
    open();
    answer(welcome());
    sent.clear();
    forget();
  }
  void forget() {
    take();
    connects.clear();
    states.clear();
    outcomes.clear();
    happened.clear();
    gone.clear();
    disconnects = 0;
  }
  static Welcome welcome(bool resumed = false) {
    Welcome hello;
    hello.session = {17};
    hello.secret = "secret";
    hello.resumed = resumed;
    hello.cursor = {{"h"}, {100}};
    return hello;
  }

  void open() { engine->on_open(now, actions); }
  void close(ErrorCode code = ErrorCode::kNotReachable) { engine->on_closed({code, "closed", ""}, now, actions); }
  /// To the request sent last.
  void answer(ReplyBody body) { answer(last().id, std::move(body)); }
  void answer(const RequestId& id, ReplyBody body) { engine->on_message(Reply{id, std::move(body)}, now, actions); }
  void event(Event what) { engine->on_message(what, now, actions); }
  void pass(nanoseconds time) {
    const auto end = now + time;
    while (now < end) {
      now = std::min(end, now + milliseconds{100});
      engine->tick(now, actions);
    }
  }
  /// As long as the node answers each beat at once.
  void pass_answering(nanoseconds time) {
    const auto end = now + time;
    while (now < end) {
      now = std::min(end, now + milliseconds{100});
      engine->tick(now, actions);
      answer_beats();
    }
  }
  void answer_beats() {
    take();
    const auto beats = sent;
    for (const auto& request : beats) {
      if (std::holds_alternative<Beat>(request.body)) answer(request.id, BeatReply{engine->cursor()});
    }
    std::erase_if(sent, [](const Request& request) { return std::holds_alternative<Beat>(request.body); });
  }
  CallId call(RequestBody body, nanoseconds time = seconds{30}) { return engine->call(std::move(body), now + time, now, actions); }
  /// After a torn connection: until the next attempt is open.
  void come_back() {
    take();
    const auto before = connects.size();
    for (int i = 0; i < 100 && connects.size() == before; ++i) {
      pass(milliseconds{100});
      take();
    }
    open();
    take();
  }

  /// Sorts what the engine wants.
  void take() {
    for (auto& action : std::exchange(actions, {})) {
      std::visit([this](auto& which) { note(which); }, action);
    }
  }
  void note(Connect& action) { connects.push_back(action.server); }
  void note(Send& action) {
    auto request = decode_request(action.json);
    ASSERT_TRUE(request) << action.json;
    sent.push_back(std::move(*request));
  }
  void note(Disconnect&) { ++disconnects; }
  void note(StateChanged& action) { states.push_back(action); }
  void note(Finished& action) {
    EXPECT_FALSE(outcomes.contains(action.call)) << "a second outcome";
    outcomes.emplace(action.call, action.body);
  }
  void note(Happened& action) { happened.push_back(action.event); }
  void note(LocksGone& action) { gone.push_back(action); }

  const Request& last() {
    take();
    return sent.at(sent.size() - 1);
  }
  template <typename Body>
  Body last_as() {
    const auto* body = std::get_if<Body>(&last().body);
    EXPECT_NE(body, nullptr) << "the last request is of another kind";
    return body != nullptr ? *body : Body{};
  }
  /// All requests of a kind that were sent since the last `sent.clear()`.
  template <typename Body>
  std::vector<Body> all_as() {
    take();
    std::vector<Body> found;
    for (const auto& request : sent) {
      if (const auto* body = std::get_if<Body>(&request.body)) found.push_back(*body);
    }
    return found;
  }
  State state() {
    take();
    return engine->state();
  }
  bool may_edit() { return engine->may_edit(now); }
  ErrorCode refusal(CallId id) {
    take();
    const auto found = outcomes.find(id);
    const auto* refused = found == outcomes.end() ? nullptr : std::get_if<Refused>(&found->second);
    return refused != nullptr ? refused->error.code : ErrorCode::kInternal;
  }
  bool finished(CallId id) {
    take();
    return outcomes.contains(id);
  }
  static Granted granted(std::vector<KeyToken> tokens) {
    Granted reply;
    reply.token = tokens.front().token;
    reply.tokens = std::move(tokens);
    return reply;
  }
  static protocol::Changes changes(std::uint64_t csn, const std::string& history = "h") {
    protocol::Changes event;
    event.cursor = {{history}, {csn}};
    event.changes.push_back({kPatient, ChangeOp::kUpdate, {}, {"patient"}});
    return event;
  }

  EngineSettings settings;
  std::unique_ptr<Engine> engine;
  TimePoint now{seconds{1000}};
  Actions actions;
  std::vector<std::string> connects;
  std::vector<Request> sent;
  std::vector<StateChanged> states;
  std::map<CallId, ReplyBody> outcomes;
  std::vector<Event> happened;
  std::vector<LocksGone> gone;
  int disconnects = 0;
};

}  // namespace verbund::client
