#include "platform/net/event_loop.h"

#include <csignal>
#include <thread>

#include <gtest/gtest.h>

namespace verbund::net {
namespace {

TEST(EventLoop, RunsPostsInOrderAndStops) {
  EventLoop loop;
  std::vector<int> seen;
  std::thread poster([&] {
    for (int i = 0; i < 100; ++i) loop.post([&, i] { seen.push_back(i); });
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  poster.join();
  ASSERT_EQ(seen.size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(seen));
}

TEST(EventLoop, StopBeforeRunIsKept) {
  EventLoop loop;
  loop.stop();
  loop.run();
}

TEST(EventLoop, EndOfRoundComesAfterWhatIsReady) {
  EventLoop loop;
  std::string seen;
  loop.post([&] {
    loop.at_end_of_round([&] {
      seen += 'E';
      loop.at_end_of_round([&] { seen += 'F'; });
    });
    seen += 'a';
  });
  loop.post([&] { seen += 'b'; });
  loop.post([&] {
    seen += 'c';
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  EXPECT_EQ(seen, "abcEF");
}

TEST(EventLoop, TimersFireRepeatAndCancel) {
  EventLoop loop;
  std::string seen;
  int repeats = 0;
  auto never = loop.after(milliseconds(1), [&] { seen += 'n'; });
  never.cancel();
  auto dropped = std::make_unique<Timer>(loop.after(milliseconds(1), [&] { seen += 'd'; }));
  dropped.reset();
  Timer repeating;
  repeating = loop.every(milliseconds(2), [&] {
    if (++repeats == 3) repeating.cancel();
  });
  const auto once = loop.after(milliseconds(50), [&] {
    seen += 'o';
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(seen, "o");
  EXPECT_EQ(repeats, 3);
}

TEST(EventLoop, ReportsSignalsAgainAndAgain) {
  EventLoop loop;
  int signals = 0;
  loop.on_signals({SIGUSR1}, [&](int signal) {
    EXPECT_EQ(signal, SIGUSR1);
    if (++signals == 2) return loop.stop();
    ::raise(SIGUSR1);
  });
  loop.post([] { ::raise(SIGUSR1); });
  loop.run();
  EXPECT_EQ(signals, 2);
}

}  // namespace
}  // namespace verbund::net
