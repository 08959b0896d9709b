// Ports and settings.
#include <gtest/gtest.h>

#include "cluster/ports.h"
#include "cluster/settings.h"

namespace verbund::cluster {
namespace {

TEST(PortTable, GivesEachPortToOneTicketUntilItIsReleased) {
  PortTable ports(3000, 2, milliseconds{1000});
  const TimePoint now{seconds{1}};
  EXPECT_EQ(*ports.offer("a", now), 3000);
  EXPECT_EQ(*ports.offer("b", now), 3001);
  EXPECT_EQ(ports.offer("c", now).error().code, ErrorCode::kPortsExhausted);
  EXPECT_FALSE(ports.redeem(3000, "b", now));
  EXPECT_TRUE(ports.redeem(3000, "a", now));
  EXPECT_FALSE(ports.redeem(3000, "a", now));
  EXPECT_EQ(ports.expire(now + seconds{2}).size(), 1u);
  EXPECT_EQ(*ports.offer("c", now), 3001);
}

TEST(Settings, TheDefaultFileGivesTheDefaults) {
  auto file = os::ConfigFile::parse_properties(default_properties(), "P2P.properties");
  ASSERT_TRUE(file);
  const auto settings = read_settings(*file);
  ASSERT_TRUE(settings) << settings.error().message;
  const Settings plain;
  EXPECT_EQ(settings->mode, plain.mode);
  EXPECT_EQ(settings->first_port, plain.first_port);
  EXPECT_EQ(settings->reconnect, plain.reconnect);
  EXPECT_EQ(settings->max_sessions, plain.max_sessions);
}

TEST(Settings, RefusesWindowsThatAreShorterThanTheLease) {
  auto file = os::ConfigFile::parse_properties("lease.ms = 30000\nreconnect.ms = 30500\n", "P2P.properties");
  ASSERT_TRUE(file);
  EXPECT_EQ(read_settings(*file).error().code, ErrorCode::kBadConfig);
}

}  // namespace
}  // namespace verbund::cluster
