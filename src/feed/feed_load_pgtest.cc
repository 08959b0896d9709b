// What only happens when much comes at once: reading ahead, sets of rows in one statement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"
#include "feed/stream_reader.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;

TEST(ReadAhead, TellsABacklogBeyondItsBoundOnceThoughStopped) {
  constexpr std::size_t kRows = 3 * StreamReader::kMaxBytes / 10'000;
  Scene scene;
  scene.start();
  scene.stop();
  // Twenty rows of 10 kB per transaction.
  scene.sql(fmt::format("DO $$ BEGIN FOR t IN 1..{} LOOP INSERT INTO patient SELECT t * 20 + i, repeat('n', 10000), NULL"
                        " FROM generate_series(1, 20) i; COMMIT; END LOOP; END $$", kRows / 20));
  scene.settings().batch_changes = 20;
  scene.start();
  scene.told(1);
  scene.stop();
  scene.start();
  EXPECT_EQ(scene.told(kRows / 20).size(), kRows / 20);
  scene.settle();
  EXPECT_EQ(scene.events().size(), kRows / 20);
  EXPECT_EQ(scene.differences(), "");
}

}  // namespace
}  // namespace verbund::feed
