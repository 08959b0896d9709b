// The node's nights with other programs in the place of ours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>

#include "base/messages.h"
#include "node/nights.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"
#include "testing/eventually.h"

namespace verbund::node {
namespace {

struct Silent final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

struct NightsTest : ::testing::Test {
  NightsTest() {
    std::filesystem::create_directories(directory() / "log");
    std::filesystem::create_directories(directory() / "backup");
  }
  [[nodiscard]] std::filesystem::path directory() const { return scratch.path() / "office"; }
  /// No configuration can be read there, so the round is made by whoever is asked for it.
  std::unique_ptr<Nights> nights(const std::filesystem::path& program, std::vector<alarm::State> feed = {}) {
    return std::make_unique<Nights>(NightsSettings{.directory = directory(), .alarm = {}, .feed = [feed] { return feed; }, .program = program}, clock, log);
  }
  [[nodiscard]] bool told(const std::string& source, const std::string& key) const {
    return testing::eventually([&] {
      const auto states = alarm::states_in(directory() / "alarm", source);
      return states.size() == 1 && states[0].key == key;
    });
  }
  std::filesystem::path script(const std::string& text) const {
    const auto file = scratch.path() / "script";
    EXPECT_TRUE(os::write_file_atomically(file, "#!/bin/sh\n" + text + "\n", 0755));
    return file;
  }

  os::ScratchDirectory scratch;
  os::SystemClock clock;
  Silent log;
};

TEST_F(NightsTest, WhatTheFeedNeedsAPersonForBecomesAnAlarm) {
  auto some = nights("/bin/true", {{"feed/alarm", phrase("the feed: {}", "x"), {}, {}}});
  some->start();
  EXPECT_TRUE(told("feed", "feed/alarm"));
}

TEST_F(NightsTest, ARoundThatCanNotBeMadeIsAnAlarm) {
  auto some = nights("/bin/false");
  some->start();
  EXPECT_TRUE(told("nights-check", "nights/check"));
}

TEST_F(NightsTest, ADrillHasNone) {
  std::ofstream(directory() / "backup" / "drill") << "set\n";
  auto some = nights("/bin/false", {{"feed/alarm", phrase("x"), {}, {}}});
  some->start();
  some.reset();
  EXPECT_FALSE(std::filesystem::exists(directory() / "alarm"));
}

TEST_F(NightsTest, WhatRunsIsEndedWithThem) {
  const auto begun = scratch.path() / "begun";
  auto some = nights(script("touch " + begun.native() + "\nexec sleep 1000"));
  some->start();
  ASSERT_TRUE(testing::eventually([&] { return std::filesystem::exists(begun); }));
  std::atomic<bool> stopped = false;
  some->begin_stop([&] { stopped = true; });
  EXPECT_TRUE(testing::eventually([&] { return stopped.load(); }));
  EXPECT_FALSE(std::filesystem::exists(directory() / "alarm")) << "being told to end is no trouble";
}

}  // namespace
}  // namespace verbund::node
