#include <gtest/gtest.h>

#include "backup/archive.h"
#include "backup/program.h"
#include "backup/swap.h"

namespace verbund::backup {
namespace {

using namespace std::chrono_literals;
constexpr auto kDay = 2007y / 7 / 1;

std::string name(std::string_view database, std::string_view host, int taken = 0) {
  return dump_file_name(kDay, database, host, "praxis-server", [&](const std::string&) { return taken-- > 0; });
}

TEST(DumpName, IsThatOfTheRequirement) {
  EXPECT_EQ(name("siq", "10.0.0.1"), "20070701_siq_10.0.0.1.backup");
  EXPECT_EQ(name("siq", "10.0.0.1", 1), "20070701_siq_10.0.0.1_2.backup");
  EXPECT_EQ(name("siq", "10.0.0.1", 2), "20070701_siq_10.0.0.1_3.backup");
  EXPECT_EQ(name("SIQVersions", "2001:db8::1"), "20070701_SIQVersions_2001-db8--1.backup");
  EXPECT_EQ(name("siq", "/var/run/postgresql"), "20070701_siq_praxis-server.backup");
  EXPECT_EQ(name("siq", ""), "20070701_siq_praxis-server.backup");
  EXPECT_EQ(name("Größe/..\\a:b", "h"), "20070701_Größe-..-a-b_h.backup");
}

TEST(Programs, VersionsAreRead) {
  EXPECT_EQ(version_number("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), 150020);
  EXPECT_EQ(version_number("17beta1"), 170000);
  EXPECT_EQ(version_number("15.7"), 150007);
  EXPECT_EQ(version_number("what?"), 0);
}

TEST(Programs, OnlyKnownWordsAreHarmless) {
  EXPECT_TRUE(complaints("pg_dump: warning: there are circular foreign-key constraints on this table:\npg_dump: detail: t\n").empty());
  EXPECT_EQ(complaints("\npg_dump: warning: could not resolve dependency loop among these items:\n").size(), 1U);
  EXPECT_EQ(complaints("a\nb").size(), 2U);
}

TEST(Archive, SaysWhatItIs) {
  const auto facts = read_facts(";\n; Archive created at 2026-11-22 09:00:00 UTC\n;     dbname: pra xis\n;     TOC Entries: 4\n;     Compression: -1\n;     Format: CUSTOM\n"
                                ";     Dumped from database version: 15.20 (Debian 15.20-0+deb12u1)\n;\n5; 2615 2200 SCHEMA - Format: TAR x\n");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->database, "pra xis");
  EXPECT_EQ(facts->server_version, 150020);
  EXPECT_TRUE(facts->compressed);
  EXPECT_FALSE(read_facts("hello"));
}

TEST(NameWith, StaysWithinPostgresLimit) {
  EXPECT_EQ(name_with("praxis", "_restoring"), "praxis_restoring");
  const std::string many(52, 'x');
  EXPECT_EQ(name_with(many + "äyyyyyyyyyyyyyyyyyyy", "_restoring"), many + "_restoring");
}

}  // namespace
}  // namespace verbund::backup
