// Capture against a real server: what happens to records, and in which order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "feed/feed_scene.h"

namespace verbund::feed {
namespace {

using testing_scene::Scene;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

TEST(Capture, TellsInsertUpdateAndDeleteInCommitOrder) {
  Scene scene;
  scene.start();
  scene.sql("INSERT INTO patient VALUES (1, 'Anna', NULL)");
  scene.sql("UPDATE patient SET name = 'Anne' WHERE id = 1");
  scene.sql("DELETE FROM patient WHERE id = 1");
  EXPECT_THAT(scene.told(3), ElementsAre("I patient/1 [patient]", "U patient/1 [patient]", "D patient/1 [patient]"));
  EXPECT_EQ(scene.differences(), "");
}

}  // namespace
}  // namespace verbund::feed
