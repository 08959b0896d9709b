#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "mirror/pair_world_model.h"

namespace verbund::mirror {
namespace {

std::uint64_t first_seed() {
  if (const char* given = std::getenv("VERBUND_SEED")) return std::strtoull(given, nullptr, 10);
  return std::random_device{}();
}

std::uint64_t runs() {
  if (const char* given = std::getenv("VERBUND_RUNS")) return std::strtoull(given, nullptr, 10);
  return 4'000;
}

TEST(PairEngine, KeepsItsLawsThroughKillsCutsAndFreezes) {
  const std::uint64_t seed = first_seed();
  PairWorld::Counts counts;
  for (std::uint64_t run = 0; run < runs(); ++run) {
    PairWorld world(seed + run, counts);
    for (int i = 0; i < 600 && world.broken().empty(); ++i) world.step();
    if (world.broken().empty()) world.settle();
    if (std::getenv("VERBUND_STORY")) fmt::print("{}", world.story());
    ASSERT_EQ(world.broken(), "") << "VERBUND_SEED=" << seed + run << " VERBUND_RUNS=1\n" << world.story();
  }
  fmt::print("seed {}: {}\n", seed, to_string(counts));
  // What never happens is not tested.
  EXPECT_GT(counts.commits, runs() * 10);
  EXPECT_GT(counts.kills, runs());
  EXPECT_GT(counts.switchovers, runs() / 20);
  EXPECT_GT(counts.switchovers_failed, runs() / 20);
  EXPECT_GT(counts.promotions_none, runs() / 200);
  EXPECT_GT(counts.promotions_bounded, 0U);
  EXPECT_GT(counts.promotions_unknown, runs() / 50);
  EXPECT_GT(counts.rejoins, runs() / 50);
  EXPECT_GT(counts.copied_anew, runs() / 200);
  EXPECT_GT(counts.salvaged, runs() / 200);
  EXPECT_GT(counts.promotions_within, runs() / 50);
  EXPECT_GT(counts.lapses, runs() / 50);
  EXPECT_GT(counts.witness_kills, runs() / 50);
  EXPECT_GT(counts.lost, 0U);
}

}  // namespace
}  // namespace verbund::mirror
