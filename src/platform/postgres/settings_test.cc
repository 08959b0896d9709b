#include <gmock/gmock.h>

#include "platform/postgres/connection.h"
#include "platform/postgres/hosts.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ConnectionSettings, ReadsUri) {
  const auto settings = parse_connection_string("postgresql://anna:pass%20wort@db.praxis:5433/praxis?sslmode=require");
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->host, "db.praxis");
  EXPECT_EQ(settings->port, 5433);
  EXPECT_EQ(settings->database, "praxis");
  EXPECT_EQ(settings->user, "anna");
  EXPECT_EQ(settings->password, "pass wort");
  EXPECT_EQ(settings->options, "sslmode='require'");
  EXPECT_EQ(settings->application_name, "verbund");
}

TEST(ConnectionSettings, ReadsKeyValuePairs) {
  const auto settings = parse_connection_string("host=/run/pg dbname=praxis user=anna options='-c search_path=a\\ b'");
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->host, "/run/pg");
  EXPECT_EQ(settings->port, 5432);
  EXPECT_EQ(settings->options, "options='-c search_path=a b'");
}

TEST(ConnectionSettings, RefusesBadTextWithoutShowingIt) {
  const auto unknown = parse_connection_string("password geheim");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kBadConfig);
  EXPECT_THAT(unknown.error().message, Not(HasSubstr("geheim")));
  EXPECT_EQ(parse_connection_string("port=70000").error().code, ErrorCode::kBadConfig);
  EXPECT_EQ(parse_connection_string("port=x").error().code, ErrorCode::kBadConfig);
}

TEST(ConnectionSettings, ShowsNoPassword) {
  ConnectionSettings settings;
  settings.host = "db";
  settings.user = "anna";
  settings.password = "geheim";
  EXPECT_EQ(settings.shown(), "db:5432/anna as anna");
}

TEST(ConnectionSettings, TakesSeveralHostsWithAPortEach) {
  const auto settings = parse_connection_string("host=db1,db2 port=5432,5433 dbname=praxis password='a b' target_session_attrs=read-write");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->shown(), "db1,db2:5432/praxis as the system user");
  const auto hosts = each_host(*settings);
  ASSERT_TRUE(hosts);
  ASSERT_EQ(hosts->size(), 2U);
  EXPECT_EQ((*hosts)[1].host, "db2");
  EXPECT_EQ((*hosts)[1].port, 5433);
  EXPECT_EQ((*hosts)[1].password, "a b");
  EXPECT_EQ((*hosts)[1].options, "target_session_attrs='read-write'") << "the ports are gone";
  EXPECT_EQ(each_host(*parse_connection_string("host=a,b,c port=6000"))->back().port, 6000);
  EXPECT_EQ(each_host(*parse_connection_string("host=a"))->size(), 1U);
  EXPECT_FALSE(each_host(*parse_connection_string("host=a,b,c port=1,2")));
  for (const char* text : {"host=a,b port=1,0", "host=a,b port=1,", "host=a,b port=1,x"}) EXPECT_FALSE(parse_connection_string(text)) << text;
}

TEST(CopyText, EscapesWhatWouldEndAValue) {
  std::string out;
  Connection::append_copy_text(out, "a\tb\\N\nc\rd");
  EXPECT_EQ(out, "a\\tb\\\\N\\nc\\rd");
  out.clear();
  Connection::append_copy_text(out, std::nullopt);
  EXPECT_EQ(out, "\\N");
}

TEST(SqlState, TellsTheKindsOfTroubleApart) {
  EXPECT_EQ(code_of_sqlstate("57P01"), ErrorCode::kDatabaseDown);
  EXPECT_EQ(code_of_sqlstate("08006"), ErrorCode::kDatabaseDown);
  EXPECT_EQ(code_of_sqlstate("23503"), ErrorCode::kConstraint);
  EXPECT_EQ(code_of_sqlstate("57014"), ErrorCode::kTimedOut);
  EXPECT_EQ(code_of_sqlstate("53100"), ErrorCode::kDiskFull);
  EXPECT_EQ(code_of_sqlstate("42501"), ErrorCode::kForbidden);
  EXPECT_EQ(code_of_sqlstate("40001"), ErrorCode::kDatabase);
}

TEST(Brief, EndsBeforeTheFirstLiteral) {
  EXPECT_EQ(brief("ALTER ROLE x\n  PASSWORD 'geheim'"), "ALTER ROLE x PASSWORD");
  EXPECT_EQ(brief(""), "statement");
}

}  // namespace
}  // namespace verbund::postgres
