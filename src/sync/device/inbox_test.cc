// What was fetched once is neither fetched again nor lost, whoever ends when; and no more than a few blocks are in memory.
#include "sync/device/inbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/messages.h"
#include "platform/os/scratch_directory.h"
#include "sync/model/rows.h"

namespace verbund::sync::device {
namespace {

constexpr std::uint32_t kBlocks = 12;

class InboxTest : public ::testing::Test {
 protected:
  InboxTest() {
    BlockWriter writer(BlockHead::Kind::kDown);
    for (std::uint32_t at = 0; at < kBlocks; ++at) {
      DownRow row;
      row.op = DownRow::Op::kUpsert;
      row.values = {Value{static_cast<std::int64_t>(at)}};
      EXPECT_TRUE(writer.add(row));
      blocks_.push_back(writer.take(at + 1 == kBlocks).value());
    }
  }
  std::unique_ptr<Inbox> open(std::stop_token stop = {}) {
    return std::make_unique<Inbox>(scratch_.path() / "inbox", "1 7 shape notes",
                                   [this](std::uint32_t number, const std::stop_token&) -> Result<std::optional<std::string>> {
                                     ++fetched_;
                                     if (number >= cut_at_) return fail(ErrorCode::kNotReachable, phrase("the line is cut"));
                                     return std::optional(blocks_[number]);
                                   },
                                   std::move(stop));
  }
  /// How many came before the end or an error.
  std::uint32_t take(Inbox& inbox, std::uint32_t most = kBlocks) {
    for (std::uint32_t at = 0; at < most; ++at) {
      auto block = inbox.next();
      if (!block || !*block) return at;
      EXPECT_EQ(**block, blocks_[at]);
    }
    return most;
  }

  os::ScratchDirectory scratch_;
  std::vector<std::string> blocks_;
  std::uint32_t cut_at_ = kBlocks;
  std::atomic<unsigned> fetched_ = 0;
};

TEST_F(InboxTest, WhatWasFetchedIsThereForTheNextOne) {
  cut_at_ = 9;
  EXPECT_EQ(take(*open()), 9U);
  fetched_ = 0;
  cut_at_ = kBlocks;
  EXPECT_EQ(take(*open()), kBlocks);
  EXPECT_EQ(fetched_, kBlocks - 9);
}

/// All that was kept was handed over at once: a refresh that was cut near its end took as much memory as it has rows.
TEST_F(InboxTest, WhoeverEndsWhileKeptBlocksAreReadLosesNone) {
  EXPECT_EQ(take(*open()), kBlocks);
  fetched_ = 0;
  EXPECT_EQ(take(*open(), 2), 2U);  // its thread waits for room with the fourth block behind these, and is ended there
  auto whole = open();
  EXPECT_EQ(take(*whole), kBlocks);
  EXPECT_FALSE(whole->next().value());
  EXPECT_FALSE(whole->next().value()) << "the end is said as often as it is asked for";
  EXPECT_EQ(fetched_, 0U);
}

TEST_F(InboxTest, ACancelledOneSaysSo) {
  std::stop_source stop;
  auto inbox = open(stop.get_token());
  EXPECT_EQ(take(*inbox, 1), 1U);
  stop.request_stop();
  for (;;) {
    auto block = inbox->next();
    if (block && *block) continue;  // what was ahead
    ASSERT_FALSE(block);
    EXPECT_EQ(block.error().code, ErrorCode::kCancelled);
    break;
  }
}

}  // namespace
}  // namespace verbund::sync::device
