// Reconnect storms: an office of engines loses its node and comes back, spread over the time that the node dictated (Consul
// #9469: reconnect storms without jitter). Simulated time: nothing here looks at a clock.
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include <gtest/gtest.h>

#include "client/engine.h"

namespace verbund::client {
namespace {

using namespace protocol;

constexpr std::size_t kClients = 500;
constexpr milliseconds kStep{10};

std::uint64_t from_environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

/// A node that answers at once, while it is there.
class Storm : public testing::Test {
 protected:
  struct Seat {
    std::unique_ptr<Engine> engine;
    std::vector<TimePoint> attempts;  ///< connections asked for since `forget`
    std::vector<TimePoint> welcomed;
    std::size_t resumes = 0;
    bool open = false;                ///< the connection
  };

  explicit Storm(milliseconds jitter = milliseconds{10'000}) : dictated(jitter) {
    seed = from_environment("VERBUND_SIM_SEED", 20'261'122);
    std::cout << "VERBUND_SIM_SEED=" << seed << '\n';
    EngineSettings settings;
    settings.servers = {"praxis:2222"};
    settings.registration.workstation = "w";
    for (std::size_t i = 0; i < kClients; ++i) {
      settings.seed = seed + i;
      auto& seat = seats.emplace_back();
      seat.engine = std::make_unique<Engine>(settings);
      act(seat, [&](Actions& out) { seat.engine->start(now, out); });
    }
    forget();
  }

  template <typename Do>
  void act(Seat& seat, const Do& what) {
    Actions out;
    what(out);
    for (auto& action : out) {
      if (std::holds_alternative<Connect>(action)) on_connect(seat);
      if (std::holds_alternative<Disconnect>(action)) seat.open = false;
      if (const auto* send = std::get_if<Send>(&action)) on_request(seat, send->json);
    }
  }
  void on_connect(Seat& seat) {
    seat.attempts.push_back(now);
    seat.open = up;
    if (up) return act(seat, [&](Actions& out) { seat.engine->on_open(now, out); });
    act(seat, [&](Actions& out) { seat.engine->on_closed({ErrorCode::kNotReachable, "nobody listens", ""}, now, out); });
  }
  void on_request(Seat& seat, const std::string& json) {
    if (!up || silent || !seat.open) return;
    const auto request = decode_request(json);
    ASSERT_TRUE(request) << json;
    ReplyBody body = Done{};
    if (std::holds_alternative<Beat>(request->body)) body = BeatReply{seat.engine->cursor()};
    const bool resumes = std::holds_alternative<Resume>(request->body);
    if (resumes || std::holds_alternative<Register>(request->body)) {
      seat.resumes += resumes ? 1 : 0;
      seat.welcomed.push_back(now);
      Welcome hello;
      hello.session = {1};
      hello.secret = "s";
      hello.resumed = resumes;
      hello.cursor = {{"h"}, {1}};
      hello.jitter = dictated;
      body = hello;
    }
    act(seat, [&](Actions& out) { seat.engine->on_message(Reply{request->id, body}, now, out); });
  }
  void pass(milliseconds span) {
    for (const auto end = now + span; now < end;) {
      now += kStep;
      for (auto& seat : seats) act(seat, [&](Actions& out) { seat.engine->tick(now, out); });
    }
  }
  void tear_all() {
    for (auto& seat : seats) {
      seat.open = false;
      act(seat, [&](Actions& out) { seat.engine->on_closed({ErrorCode::kNotReachable, "torn", ""}, now, out); });
    }
  }
  void forget() {
    for (auto& seat : seats) {
      seat.attempts.clear();
      seat.welcomed.clear();
      seat.resumes = 0;
    }
  }
  /// Of all clients: how many of `what` fell into each tenth of `window` after `begin`. Others are not counted.
  template <typename What>
  std::vector<std::size_t> tenths(TimePoint begin, nanoseconds window, const What& what) const {
    std::vector<std::size_t> counts(10);
    for (const auto& seat : seats) {
      for (const auto at : what(seat)) {
        if (at <= begin) continue;
        const auto tenth = static_cast<std::size_t>((at - begin - kStep) * 10 / window);
        if (tenth < counts.size()) ++counts[tenth];
      }
    }
    return counts;
  }
  /// 50 are due in each tenth; 25 to 85 is beyond three standard deviations (6.7) of an even spread by far.
  static void expect_even(const std::vector<std::size_t>& counts) {
    for (const auto count : counts) {
      EXPECT_GE(count, kClients / 20);
      EXPECT_LE(count, kClients * 17 / 100);
    }
  }
  static const std::vector<TimePoint>& attempts_of(const Seat& seat) { return seat.attempts; }

  std::uint64_t seed = 0;
  TimePoint now{seconds{1000}};
  milliseconds dictated;
  bool up = true, silent = false;
  std::vector<Seat> seats;
};

TEST_F(Storm, AfterATornConnectionAllComeBackOnceSpreadOverTheDictatedTime) {
  const auto torn = now;
  tear_all();
  pass(dictated + kStep);
  for (const auto& seat : seats) {
    ASSERT_EQ(seat.attempts.size(), 1U);
    EXPECT_EQ(seat.resumes, 1U) << "as the session that it was";
    EXPECT_EQ(seat.engine->state(), State::kConnected);
  }
  expect_even(tenths(torn, dictated, attempts_of));
}

TEST_F(Storm, TheTimeThatIsDictatedWithTheFarewellCounts) {
  for (auto& seat : seats) {
    act(seat, [&](Actions& out) { seat.engine->on_message(Event{Closing{ClosingReason::kShutdown, milliseconds{40'000}}}, now, out); });
  }
  const auto torn = now;
  tear_all();
  pass(milliseconds{40'000} + kStep);
  for (const auto& seat : seats) EXPECT_EQ(seat.welcomed.size(), 1U);
  expect_even(tenths(torn, milliseconds{40'000}, attempts_of));
}

/// The attempts never bunch up, and after the restart nobody waits longer than one more window.
TEST_F(Storm, ANodeThatIsAwayForAMinuteIsNotRunOverWhenItIsBack) {
  up = false;
  const auto torn = now;
  tear_all();
  pass(seconds{60});
  // Each failure draws anew from the same window, so that the second attempts of some meet the first ones of others: at
  // most e shares (renewal of an even draw), 136, and later two shares in each tenth.
  for (int window = 0; window < 6; ++window) {
    for (const auto count : tenths(torn + window * dictated, dictated, attempts_of)) {
      EXPECT_GE(count, kClients / 20);
      EXPECT_LE(count, kClients * 35 / 100);
    }
  }
  forget();
  up = true;
  const auto back = now;
  pass(dictated + kStep);
  for (const auto& seat : seats) {
    EXPECT_EQ(seat.attempts.size(), 1U);
    EXPECT_EQ(seat.welcomed.size(), 1U);
  }
  // Who waits already comes earlier than in an even spread, but no tenth brings more than two of its shares.
  for (const auto count : tenths(back, dictated, attempts_of)) EXPECT_LE(count, kClients * 2 / 10 + 20);
}

/// A node that hangs: the connections are torn by the clients, each by its own heartbeat.
TEST_F(Storm, ANodeThatHangsIsLeftAndComeBackToSpread) {
  silent = true;
  pass(seconds{16});
  silent = false;
  forget();
  const auto back = now;
  // Who came while it still hung has to give up that attempt first.
  pass(2 * dictated + seconds{1});
  std::size_t welcomed = 0, bunch = 0;
  for (const auto& seat : seats) welcomed += seat.engine->state() == State::kConnected ? 1 : 0;
  for (const auto count : tenths(back, dictated, [](const Seat& seat) { return seat.welcomed; })) bunch = std::max(bunch, count);
  EXPECT_EQ(welcomed, kClients);
  EXPECT_LE(bunch, kClients * 17 / 100);
}

}  // namespace
}  // namespace verbund::client
