#include "platform/os/new_file.h"

#include <gtest/gtest.h>

#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"

namespace verbund::os {
namespace {

TEST(NewFile, IsMadeOnce) {
  ScratchDirectory scratch;
  const auto path = scratch.path() / "once";
  ASSERT_TRUE(write_new_file(path, "first", 0600));
  EXPECT_EQ(write_new_file(path, "second", 0600).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(read_file(path).value(), "first");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1) << "nothing is left beside it";
}

}  // namespace
}  // namespace verbund::os
