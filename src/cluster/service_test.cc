// The service from the first message to the last.
#include "cluster/service_fixture.h"

namespace verbund::cluster {
namespace {

TEST_F(Serving, AWorkstationRegistersLocksAndTheOtherIsToldWho) {
  join(anna, "anna");
  EXPECT_TRUE(anna.says("\"welcome\""));
  EXPECT_EQ(office.stored.size(), 1u);
  join(bert, "bert");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  EXPECT_TRUE(anna.says("\"token\""));
  say(bert, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  EXPECT_TRUE(bert.says("\"held\""));
  EXPECT_TRUE(bert.says("annaPC"));
}

TEST_F(Serving, ChangesComeBeforeTheReleaseThatWaitedForThem) {
  join(anna, "anna");
  join(bert, "bert");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  say(bert, R"({"op":"lock","id":3,"keys":["patient/1"],"wait_ms":60000})");
  say(anna, R"({"op":"unlock","id":4,"keys":["patient/1"],"wrote":true})");
  EXPECT_FALSE(bert.says("\"re\":3"));
  service->on_changes({{{"h"}, {2}}, {900}, {}, {}, {{{"patient", "1"}, protocol::ChangeOp::kUpdate, {}, {}}}, {}, {}});
  const auto changes = bert.all.find("\"changes\""), released = bert.all.find("lock.released"), grant = bert.all.find("\"re\":3");
  ASSERT_NE(grant, std::string::npos);
  EXPECT_LT(changes, released);
  EXPECT_LT(released, grant);
}

TEST_F(Serving, WrongPasswordsAndMessagesBeforeRegistrationAreRefused) {
  service->on_open(anna);
  say(anna, R"({"op":"beat","id":1})");
  EXPECT_TRUE(anna.says("not_registered")) << anna.all;
  say(anna, R"({"op":"register","id":2,"user":"anna","password":"x","workstation":"w"})");
  EXPECT_TRUE(anna.says("unauthenticated")) << anna.all;
}

TEST_F(Serving, RefusesInTheLanguageOfTheSession) {
  join(anna, "anna");
  service->on_open(bert);
  say(bert, R"({"op":"register","id":1,"user":"bert","password":"right","workstation":"Labor","lang":"de"})");
  say(anna, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  say(bert, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  EXPECT_TRUE(bert.says("patient/1 sperren: gesperrt durch ")) << bert.all;
  EXPECT_TRUE(bert.says("(Benutzer anna)")) << bert.all;
  say(bert, R"({"op":"lock","id":3,"keys":["patient/2"]})");
  say(anna, R"({"op":"lock","id":3,"keys":["patient/2"]})");
  EXPECT_TRUE(anna.says("lock patient/2: held by Labor (user bert)")) << anna.all;
  say(bert, R"({"op":"lock","id":4})");
  EXPECT_TRUE(bert.says("lock: Feld 'keys' muss eine Liste mit mindestens einem Element sein")) << bert.all;
  say(bert, R"({"op":"break","id":5,"keys":["patient/1"],"reason":"x"})");
  EXPECT_TRUE(bert.says("ein Administrator kann Arbeitssperren aufheben")) << bert.all;
}

TEST_F(Serving, WhoSendsRubbishIsAnsweredAndThenClosed) {
  join(anna, "anna");
  for (int i = 0; i < 101; ++i) say(anna, "{rubbish");
  EXPECT_TRUE(anna.says("bad_message"));
  EXPECT_TRUE(anna.closed);
}

TEST_F(Serving, BreakingNeedsTheRightAndIsAudited) {
  join(anna, "anna");
  MemoryPeer admin{3};
  join(admin, "admin");
  say(admin, R"({"op":"lock","id":2,"keys":["patient/1"]})");
  say(anna, R"({"op":"break","id":3,"keys":["patient/1"],"reason":"x"})");
  EXPECT_TRUE(anna.says("forbidden"));
  say(admin, R"({"op":"break","id":3,"keys":["patient/1"],"reason":"x"})");
  EXPECT_TRUE(admin.says("lock.lost"));
  EXPECT_EQ(office.audited, (std::vector<std::string>{"lock.break.refused", "lock.break"}));
}

TEST_F(Serving, GoodbyeForgetsTheSessionAndTellsTheOthers) {
  join(anna, "anna");
  join(bert, "bert");
  say(anna, R"({"op":"goodbye","id":9})");
  settle();
  EXPECT_TRUE(anna.closed);
  EXPECT_EQ(office.stored.size(), 1u);
  EXPECT_TRUE(bert.says("session.left"));
}

TEST_F(Serving, WhoeverComesWhileTheFeedIsNotWellIsToldAfterTheWelcome) {
  join(anna, "anna");
  EXPECT_FALSE(anna.says(R"("event":"feed")")) << "all is well";
  service->on_feed_state({"running", {}, "the server keeps 9 MB", {}, "der Server hält 9 MB"});
  join(bert, "bert");
  EXPECT_TRUE(bert.says(R"({"event":"feed","state":"running","alarm":"the server keeps 9 MB","alarm_de":"der Server hält 9 MB"})")) << bert.all;
  EXPECT_LT(bert.all.find("welcome"), bert.all.find(R"("event":"feed")"));
  settle();
  EXPECT_EQ(anna.count(R"("event":"feed")"), 1u);
  EXPECT_EQ(bert.count(R"("event":"feed")"), 1u) << "once";
  service->on_feed_state({"running", {}});
  join(carl, "carl");
  settle();
  EXPECT_EQ(anna.count(R"("event":"feed")"), 2u);
  EXPECT_FALSE(carl.says(R"("event":"feed")"));
}

TEST_F(Serving, BroadcastsLeaveWithoutBeingAskedFor) {
  join(anna, "anna");
  join(bert, "bert");
  EXPECT_FALSE(anna.says("session.joined"));
  run_loop();
  EXPECT_TRUE(anna.says("session.joined"));
}

}  // namespace
}  // namespace verbund::cluster
