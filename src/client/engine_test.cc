// The engine's behaviour on a manual clock: connection, lease, cursor.
#include "client/engine_fixture.h"

namespace verbund::client {
namespace {

Refused refusal_of(ErrorCode code) { return {{code, "refused", ""}, {}, {}}; }

TEST_F(EngineTest, RegistersAndIsConnected) {
  start();
  take();
  EXPECT_EQ(connects, std::vector<std::string>{"praxis:2222"});
  EXPECT_EQ(state(), State::kConnecting);
  open();
  EXPECT_EQ(last_as<Register>().workstation, "Empfang 1");
  answer(welcome());
  EXPECT_EQ(state(), State::kConnected);
  EXPECT_TRUE(may_edit());
  EXPECT_EQ(engine->cursor(), (Cursor{{"h"}, {100}}));
}

TEST_F(EngineTest, StopsEditingBeforeTheLeaseOfTheLastAnsweredBeatEnds) {
  join();
  pass_answering(seconds{20});
  const auto answered = now;  // a beat went out and was answered every 5 s, the last one now
  while (may_edit()) {
    now += milliseconds{10};
    ASSERT_LT(now, answered + seconds{31});
  }
  EXPECT_LE(now, answered + seconds{30} - milliseconds{400});
  EXPECT_GT(now, answered + seconds{24});
}

TEST_F(EngineTest, CountsTheLeaseFromTheSendingOfABeatNotFromItsAnswer) {
  join();
  pass(seconds{5});
  const auto sent_at = now;
  const auto beat = last().id;
  pass(seconds{4});
  answer(beat, BeatReply{engine->cursor()});
  EXPECT_EQ(engine->edit_until(), sent_at + seconds{30} - milliseconds{500});
}

TEST_F(EngineTest, MayNotEditAfterAStopOfTheWholeProcessUntilABeatIsAnswered) {
  join();
  now += seconds{60};
  EXPECT_FALSE(may_edit());
  engine->tick(now, actions);
  EXPECT_EQ(state(), State::kReadOnly);
  answer(BeatReply{engine->cursor()});
  EXPECT_EQ(state(), State::kConnected);
  EXPECT_TRUE(may_edit());
}

TEST_F(EngineTest, AnAnswerThatComesAfterItsLeaseDoesNotLetEditAgain) {
  auto hello = welcome();
  hello.lease = milliseconds{3000};
  hello.suspect = milliseconds{20'000};
  start();
  open();
  answer(hello);
  pass(milliseconds{5000});
  const auto beat = last().id;
  pass(milliseconds{4000});
  EXPECT_EQ(state(), State::kReadOnly);
  answer(beat, BeatReply{engine->cursor()});
  EXPECT_EQ(state(), State::kReadOnly);
}

TEST_F(EngineTest, TearsASilentConnectionAndResumesWithCursorAndLocks) {
  join();
  const auto id = call(Lock{{kPatient}, {}, {}, {}});
  answer(granted({{kPatient, {7}}}));
  event(changes(105));
  EXPECT_TRUE(finished(id));
  pass(seconds{16});
  EXPECT_EQ(state(), State::kReadOnly);
  EXPECT_EQ(disconnects, 1);
  come_back();
  const auto resume = last_as<Resume>();
  EXPECT_EQ(resume.session.value, 17U);
  EXPECT_EQ(resume.secret, "secret");
  EXPECT_EQ(resume.cursor->csn.value, 105U);
  ASSERT_EQ(resume.reclaim.size(), 1U);
  EXPECT_EQ(resume.reclaim[0], (Reclaim{kPatient, {7}}));
}

TEST_F(EngineTest, WaitsARandomPartOfTheNodesJitterAndDoublesIt) {
  join();
  close();
  for (int failure = 0; failure < 12; ++failure) {
    const auto torn = now;
    come_back();
    EXPECT_LE(now - torn, std::min(milliseconds{500} * (1 << std::min(failure, 6)), milliseconds{5000}) + milliseconds{100});
    close();
  }
}

TEST_F(EngineTest, SpreadsClientsOverAJitterLongerThanItsOwnBound) {
  std::vector<nanoseconds> waits;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    settings.seed = seed;
    join();
    event(Closing{ClosingReason::kShutdown, milliseconds{30'000}});
    const auto torn = now;
    close();
    forget();
    while (connects.empty()) {
      pass(milliseconds{100});
      take();
    }
    waits.push_back(now - torn);
  }
  EXPECT_GT(*std::ranges::max_element(waits), seconds{20});
  EXPECT_LT(*std::ranges::min_element(waits), seconds{10});
}

TEST_F(EngineTest, DoesNotReconnectAfterSupersededOrRemoved) {
  for (const auto reason : {ClosingReason::kSuperseded, ClosingReason::kRemoved}) {
    join();
    event(Closing{reason, milliseconds{500}});
    EXPECT_EQ(state(), State::kEnded);
    close();
    pass(seconds{60});
    take();
    EXPECT_TRUE(connects.empty());
    EXPECT_EQ(states.back().reason.code,
              reason == ClosingReason::kSuperseded ? ErrorCode::kSuperseded : ErrorCode::kUnknownSession);
  }
}

TEST_F(EngineTest, ReconnectsAfterShutdownAndTooSlow) {
  for (const auto reason : {ClosingReason::kShutdown, ClosingReason::kTooSlow}) {
    join();
    event(Closing{reason, milliseconds{100}});
    close();
    EXPECT_EQ(state(), State::kReadOnly);
    come_back();
    EXPECT_EQ(last_as<Resume>().session.value, 17U);
  }
}

TEST_F(EngineTest, ALostSessionRegistersAnewAndKeepsItsCursor) {
  join();
  call(Lock{{kPatient}, {}, {}, {}});
  answer(granted({{kPatient, {7}}}));
  event(changes(105));
  close();
  come_back();
  answer(refusal_of(ErrorCode::kUnknownSession));
  const auto anew = last_as<Register>();
  EXPECT_EQ(anew.workstation, "Empfang 1");
  EXPECT_EQ(anew.cursor, (Cursor{{"h"}, {105}}));
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(gone[0].keys, std::vector{kPatient});
  auto hello = welcome();
  hello.session = {18};
  answer(hello);
  EXPECT_EQ(state(), State::kConnected);
  EXPECT_EQ(engine->cursor().csn.value, 105U);
}

TEST_F(EngineTest, FollowsTheRedirectOfTerminalserviceAndComesBackToTheMainPort) {
  start();
  open();
  answer(Redirect{2301, "ticket", {}});
  take();
  EXPECT_EQ(connects.back(), "praxis:2301");
  open();
  EXPECT_EQ(last_as<Register>().ticket, "ticket");
  EXPECT_TRUE(last_as<Register>().token.empty());
  answer(welcome());
  EXPECT_EQ(state(), State::kConnected);
  close();
  come_back();
  EXPECT_EQ(connects.back(), "praxis:2222");
  EXPECT_EQ(last_as<Resume>().ticket, "");
  answer(Redirect{2302, "another", {}});
  take();
  EXPECT_EQ(connects.back(), "praxis:2302");
  open();
  EXPECT_EQ(last_as<Resume>().ticket, "another");
}

TEST_F(EngineTest, IsNotSentFromPortToPort) {
  start();
  open();
  answer(Redirect{2301, "ticket", {}});
  open();
  answer(Redirect{2302, "ticket", {}});
  EXPECT_EQ(state(), State::kEnded);
  EXPECT_EQ(connects.size(), 2U);
}

TEST_F(EngineTest, TriesEachServerOnceBeforeItGivesUp) {
  settings.servers = {"one:2222", "two:2222", "[::1]:2222"};
  start();
  for (int i = 0; i < 3; ++i) close();
  take();
  EXPECT_EQ(connects, settings.servers);
  EXPECT_EQ(state(), State::kEnded);
  EXPECT_EQ(states.back().reason.code, ErrorCode::kNotReachable);
}

TEST_F(EngineTest, ShowsTheProofOfTheHighestTermToEveryNode) {
  start();
  open();
  EXPECT_EQ(last_as<Register>().term_proof, "");
  auto hello = welcome();
  hello.term_proof = "6.ab";
  answer(hello);
  forget();
  close();
  come_back();
  open();
  EXPECT_EQ(last_as<Resume>().term_proof, "6.ab");
  hello.term_proof = "5.cd";  // the old production, which has not heard of it yet
  hello.resumed = true;
  answer(hello);
  forget();
  close();
  come_back();
  open();
  EXPECT_EQ(last_as<Resume>().term_proof, "6.ab");
}

TEST_F(EngineTest, ReturnsToItsServerFirstThenGoesThroughTheListOfTheWelcome) {
  start();
  open();
  auto hello = welcome();
  hello.servers = {"spiegel:2222", "praxis:2222"};
  answer(hello);
  forget();
  close();
  for (int i = 0; i < 3; ++i) {
    come_back();
    close();
  }
  EXPECT_EQ(connects, (std::vector<std::string>{"praxis:2222", "spiegel:2222", "praxis:2222"}));
}

TEST_F(EngineTest, ReconnectsAtOnceOnRequest) {
  join();
  close();
  take();
  engine->reconnect_now(now, actions);
  take();
  EXPECT_EQ(connects.size(), 1U);
  engine->reconnect_now(now, actions);
  take();
  EXPECT_EQ(connects.size(), 1U) << "one attempt at a time";
}

TEST_F(EngineTest, EndsWhenTheRegistrationIsRefusedForGood) {
  for (const auto code : {ErrorCode::kUnauthenticated, ErrorCode::kForbidden, ErrorCode::kAddressTaken, ErrorCode::kPlaintextRefused}) {
    start();
    open();
    answer(refusal_of(code));
    EXPECT_EQ(state(), State::kEnded);
    EXPECT_EQ(states.back().reason.code, code);
  }
}

// A lock came back 4.8 s after the new production took writes (bench): half of the waiting was for the machine that was gone, and twice as much was possible.
TEST_F(EngineTest, AMachineThatIsGoneKeepsNobodyFromTheOtherOne) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    settings.seed = seed;
    start();
    open();
    auto hello = welcome();
    hello.jitter = milliseconds{500};
    hello.servers = {"praxis:2222", "spiegel:2222"};
    answer(hello);
    forget();
    close();
    std::optional<TimePoint> last;
    nanoseconds longest{0};
    for (int attempt = 0; attempt < 60; ++attempt) {
      come_back();
      if (connects.back() == "spiegel:2222") {
        if (last) longest = std::max(longest, nanoseconds{now - *last});
        last = now;
      }
      close();
    }
    EXPECT_LE(longest, milliseconds{4'900}) << "seed " << seed;
    EXPECT_GT(longest, seconds{2}) << "a node that is away is not asked all the time";
  }
}

TEST_F(EngineTest, WaitsAsLongAsABusyNodeAsks) {
  join();
  close();
  come_back();
  auto busy = refusal_of(ErrorCode::kUnavailable);
  busy.retry_after = seconds{20};
  answer(busy);
  const auto refused = now;
  forget();
  while (connects.empty()) {
    pass(milliseconds{100});
    take();
  }
  EXPECT_GE(now - refused, seconds{20});
}

TEST_F(EngineTest, AnswersAPingWithABeat) {
  join();
  event(Ping{});
  EXPECT_EQ(all_as<Beat>().size(), 1U);
  EXPECT_TRUE(happened.empty());
}

TEST_F(EngineTest, HandsEachChangeOnOnce) {
  join();
  for (const std::uint64_t csn : {101U, 102U, 102U, 101U, 103U}) event(changes(csn));
  take();
  EXPECT_EQ(happened.size(), 3U);
  event(changes(1, "another history"));
  take();
  EXPECT_EQ(happened.size(), 4U);
}

TEST_F(EngineTest, ASnapshotSetsTheCursor) {
  join();
  event(Snapshot{"history_changed", {{"new"}, {3}}});
  take();
  EXPECT_EQ(engine->cursor(), (Cursor{{"new"}, {3}}));
  EXPECT_EQ(happened.size(), 1U);
}

TEST_F(EngineTest, TheCursorPassesWhatItDoesNotWatch) {
  join();
  pass(seconds{5});
  answer(BeatReply{{{"h"}, {500}}});
  EXPECT_EQ(engine->cursor().csn.value, 500U);
}

TEST_F(EngineTest, ABrokenWelcomeDoesNotMakeItSpin) {
  start();
  open();
  auto hello = welcome();
  hello.heartbeat = hello.jitter = milliseconds{0};
  hello.lease = hello.suspect = milliseconds::max();
  answer(hello);
  take();
  sent.clear();
  engine->tick(now, actions);
  engine->tick(now + milliseconds{1}, actions);
  EXPECT_LE(all_as<Beat>().size(), 1U);
  EXPECT_TRUE(may_edit());
}

TEST_F(EngineTest, GivesUpOnAPeerThatNeverAnswers) {
  start();
  open();
  pass(seconds{11});
  EXPECT_EQ(state(), State::kEnded);
  EXPECT_EQ(states.back().reason.code, ErrorCode::kTimedOut);
}

TEST_F(EngineTest, WithoutReconnectTheFirstTornConnectionIsTheEnd) {
  settings.reconnect = false;
  join();
  const auto id = call(Who{});
  close();
  EXPECT_EQ(state(), State::kEnded);
  EXPECT_EQ(refusal(id), ErrorCode::kNotReachable);
}

}  // namespace
}  // namespace verbund::client
