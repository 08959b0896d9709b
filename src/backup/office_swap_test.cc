// What a restore in place has under way, as its file says it; folders alone, stopped before and after the exchange began.
#include "backup/office_swap.h"

#include <gmock/gmock.h>

#include <fstream>

#include "backup/folder_restore.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

using ::testing::HasSubstr;

OfficeSwap sample() {
  OfficeSwap swap;
  swap.set = "20261122-013000-000123";
  swap.installation = "0011223344556677";
  swap.sequence = 123;
  swap.medium = "/media/backup";
  swap.exchanging = true;
  swap.keep_old = false;
  swap.databases.push_back({"praxis", "praxis_restoring", "praxis_before_202611220130", {"ALTER DATABASE {} SET work_mem = '{{7}}MB'"}, "Dr. \"Ä\"", "verbund_feed"});
  return swap;
}

TEST(OfficeSwapFile, ReadsBackWhatWasWritten) {
  const testing::ScratchDirectory directory;
  std::filesystem::create_directory(directory.path() / "backup");
  EXPECT_FALSE(read_office_swap(directory.path())->has_value());
  ASSERT_TRUE(write_office_swap(directory.path(), sample()));
  const auto read = read_office_swap(directory.path());
  ASSERT_TRUE(read && *read);
  EXPECT_EQ((*read)->to_json(), sample().to_json());
  EXPECT_EQ(std::filesystem::status(directory.path() / "backup" / "restoring.json").permissions(), std::filesystem::perms(0600));
}

TEST(OfficeSwapFile, WhatIsDamagedIsNotGuessedAt) {
  const std::string whole = sample().to_json();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(OfficeSwap::parse(whole.substr(0, length)).error().code, ErrorCode::kDamaged) << length;
  }
  for (const char* text : {"[]", "{}", R"({"databases":{}})", R"({"databases":[1]})", R"({"databases":[{"database":"a","beside":"b"}]})",
                           R"({"databases":[{"database":"a","beside":"b","properties":[7]}]})"}) {
    EXPECT_EQ(OfficeSwap::parse(text).error().code, ErrorCode::kDamaged) << text;
  }
}

TEST(SettleRestore, WithoutARestoreThereIsNothingToDo) {
  const testing::ScratchDirectory directory;
  EXPECT_TRUE(settle_restore(directory.path(), {}, {})->empty());
  std::filesystem::create_directory(directory.path() / "backup");
  EXPECT_TRUE(settle_restore(directory.path(), {}, {})->empty());
}

TEST(SettleRestore, OneThatHadNotBegunToExchangeIsTakenBack) {
  const testing::ScratchDirectory directory;
  std::filesystem::create_directory(directory.path() / "backup");
  auto swap = sample();
  swap.databases.clear();
  swap.exchanging = false;
  ASSERT_TRUE(write_office_swap(directory.path(), swap));
  const auto settled = settle_restore(directory.path(), {}, {});
  ASSERT_TRUE(settled);
  ASSERT_EQ(settled->size(), 1U);
  EXPECT_THAT(settled->front().english(), HasSubstr("taken back"));
  EXPECT_FALSE(read_office_swap(directory.path())->has_value());
}

TEST(SettleRestore, AServerThatIsGoneLeavesItToTheNext) {
  const testing::ScratchDirectory directory;
  std::filesystem::create_directory(directory.path() / "backup");
  ASSERT_TRUE(write_office_swap(directory.path(), sample()));
  postgres::ConnectionSettings nobody;
  nobody.host = directory.path().string();
  EXPECT_FALSE(settle_restore(directory.path(), nobody, {}));
  EXPECT_TRUE((*read_office_swap(directory.path()))->exchanging);
}

}  // namespace
}  // namespace verbund::backup
