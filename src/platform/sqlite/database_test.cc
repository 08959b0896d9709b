#include "platform/sqlite/database.h"

#include <fstream>

#include <gtest/gtest.h>

#include "testing/scratch_directory.h"

namespace verbund::sqlite {
namespace {

class DatabaseTest : public ::testing::Test {
 protected:
  Database open() { return std::move(Database::open(directory.path() / "a.db", Database::Mode::kCreate, milliseconds{50}).value()); }
  testing::ScratchDirectory directory;
};

TEST_F(DatabaseTest, ValuesComeBackAsTheyWere) {
  auto database = open();
  ASSERT_TRUE(database.execute("CREATE TABLE t (a ANY, b ANY, c ANY, d ANY, e ANY, f ANY) STRICT"));
  auto insert = database.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)");
  ASSERT_TRUE(insert);
  const std::string bytes("\0\xff", 2);
  ASSERT_TRUE(insert->integer(1, INT64_MIN).real(2, 0.1).text(3, "").blob(4, bytes).null(5).blob(6, "").run());
  auto select = database.prepare("SELECT * FROM t");
  ASSERT_TRUE(select->step().value());
  EXPECT_EQ(select->integer(0), INT64_MIN);
  EXPECT_EQ(select->real(1), 0.1);
  EXPECT_EQ(select->type(2), Statement::Type::kText);
  EXPECT_EQ(select->text(3), bytes);
  EXPECT_EQ(select->type(4), Statement::Type::kNull);
  EXPECT_EQ(select->type(5), Statement::Type::kBlob);
  EXPECT_FALSE(select->step().value());
}

TEST_F(DatabaseTest, WhatIsNotCommittedIsGone) {
  auto database = open();
  ASSERT_TRUE(database.execute("CREATE TABLE t (a)"));
  {
    auto transaction = database.begin();
    ASSERT_TRUE(database.execute("INSERT INTO t VALUES (1)"));
  }
  EXPECT_EQ(database.value("SELECT count(*) FROM t").value(), "0");
  auto transaction = database.begin();
  ASSERT_TRUE(database.execute("INSERT INTO t VALUES (1)"));
  ASSERT_TRUE(transaction->commit());
  EXPECT_EQ(database.value("SELECT count(*) FROM t").value(), "1");
}

TEST_F(DatabaseTest, ErrorsSayWhatTheyAre) {
  auto database = open();
  ASSERT_TRUE(database.execute("CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (1)"));
  EXPECT_EQ(database.execute("INSERT INTO t VALUES (1)").error().code, ErrorCode::kConstraint);
  EXPECT_EQ(database.prepare("SELEKT").error().code, ErrorCode::kDatabase);
  EXPECT_EQ(database.prepare("SELECT ?")->integer(2, 1).step().error().code, ErrorCode::kDatabase);
  auto other = open();
  auto transaction = database.begin();
  EXPECT_EQ(other.begin().error().code, ErrorCode::kInUse);
  EXPECT_EQ(Database::open(directory.path() / "missing.db", Database::Mode::kOpen, milliseconds{0}).error().code, ErrorCode::kIo);
  std::ofstream(directory.path() / "text") << std::string(4096, 'x');
  EXPECT_EQ(Database::open(directory.path() / "text", Database::Mode::kOpen, milliseconds{0}).error().code, ErrorCode::kDamaged);
}

TEST(Names, AreQuoted) {
  EXPECT_EQ(quote_name("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_text("a'b"), "'a''b'");
}

}  // namespace
}  // namespace verbund::sqlite
