#include "node/mirror/witness_place.h"

#include <gtest/gtest.h>

#include "node/mirror/pair_message.h"
#include "node/mirror/report.h"
#include "testing/scratch_directory.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

TEST(WitnessMessages, ACallAndItsAnswerComeAsTheyWereSent) {
  mirror::WitnessCall call{.member = 2, .boots = 5, .sequence = 9, .pair = "abc", .kind = mirror::CallKind::kAsk, .term = Term{7}, .candidate = 1,
                           .lease = seconds{30}, .ask = 4, .cool_down = seconds{3600}};
  const auto heard = witness_call_from(to_json(call));
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(json::serialize(to_json(*heard)), json::serialize(to_json(call)));
  EXPECT_EQ(heard->kind, mirror::CallKind::kAsk);
  for (const nanoseconds over : {nanoseconds(seconds{12}), nanoseconds(-seconds{12})}) {
    mirror::WitnessAnswer answer{.boots = 5, .sequence = 9, .held = true, .term = Term{7}, .holder = 1, .granted = 2, .ask = 4, .lease = seconds{30}, .over = over};
    const auto told = witness_answer_from(to_json(answer));
    ASSERT_TRUE(told) << told.error().message;
    EXPECT_EQ(told->over, over);
    EXPECT_EQ(json::serialize(to_json(*told)), json::serialize(to_json(answer)));
  }
}

TEST(WitnessMessages, WhatIsMissingOrWrongIsRefused) {
  const json::object whole = to_json(mirror::WitnessCall{.member = 1, .pair = "a"});
  for (const auto& [name, value] : whole) {
    json::object without = whole;
    without.erase(name);
    EXPECT_FALSE(witness_call_from(without)) << std::string(name);
  }
  json::object wrong = whole;
  wrong["kind"] = "vote";
  EXPECT_FALSE(witness_call_from(wrong));
  wrong = whole;
  wrong["member"] = "4";
  EXPECT_FALSE(witness_call_from(wrong));
}

TEST(WitnessPlace, IsKeptAndToldToTheOtherMachine) {
  const verbund::testing::ScratchDirectory scratch;
  EXPECT_FALSE(*read_witness_place(scratch.path()));
  const WitnessPlace place{"10.0.0.3", 2223, std::string(32, 'a'), "secret", 3};
  ASSERT_TRUE(write_witness_place(scratch.path(), place));
  EXPECT_EQ(*read_witness_place(scratch.path()), place);
  PairMessage message;
  message.status.member = 1;
  message.status.lease = seconds{30};
  message.witness = place;
  const auto heard = parse_pair_message(to_text(message));
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(heard->witness, place);
  EXPECT_EQ(heard->status.lease, seconds{30});
}

TEST(WitnessPlace, WithoutOneTheRulesAreThoseOfTwoMachines) {
  WitnessConfig config;
  config.automatic = true;
  EXPECT_EQ(tuning_with({}, config).lease, nanoseconds{0});
  EXPECT_EQ(tuning_with(WitnessPlace{}, config).lease, nanoseconds{0});
  EXPECT_EQ(tuning_with(WitnessPlace{"w", 1, "", "", 1}, config).lease, config.self_fence);
}

}  // namespace
}  // namespace verbund::node
