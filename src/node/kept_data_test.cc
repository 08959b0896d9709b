#include <filesystem>

#include <gtest/gtest.h>

#include "node/mirror/kept_data.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

class Kept : public ::testing::Test {
 protected:
  void lay(const std::string& name, std::string_view what) {
    fs::create_directories(postgres_ / name / "base");
    ASSERT_TRUE(os::write_file_atomically(postgres_ / name / "base" / "file", what));
  }
  os::ScratchDirectory scratch_;
  const fs::path installation_ = scratch_.path();
  const fs::path postgres_ = installation_ / "postgres";
};

TEST_F(Kept, IsListedByTermAndGivenUpByTermAlone) {
  lay("data", "in use");
  lay("data.new", "a copy under way");
  lay("data.10", "0123456789");
  lay("data.9", "012345678");
  lay("data.9-2", "01");
  lay("data.9-x", "somebody's own");
  const auto kept = kept_data(installation_);
  ASSERT_TRUE(kept);
  ASSERT_EQ(kept->size(), 3U);
  EXPECT_EQ((*kept)[0].path.filename(), "data.9");
  EXPECT_EQ((*kept)[0].bytes, 9U);
  EXPECT_EQ((*kept)[1].path.filename(), "data.9-2");
  EXPECT_EQ((*kept)[2].term, Term{10});
  ASSERT_TRUE(release_kept(installation_, Term{9}));
  for (const auto* name : {"data", "data.new", "data.10", "data.9-x"}) EXPECT_TRUE(fs::exists(postgres_ / name)) << name;
  EXPECT_FALSE(fs::exists(postgres_ / "data.9"));
  EXPECT_FALSE(fs::exists(postgres_ / "data.9-2"));
  EXPECT_EQ(release_kept(installation_, Term{9}).error().code, ErrorCode::kNotFound);
}

TEST_F(Kept, ALinkIsNothingThatARejoinHasMade) {
  lay("data", "in use");
  fs::create_directory_symlink(postgres_ / "data", postgres_ / "data.3");
  EXPECT_TRUE(kept_data(installation_)->empty());
  EXPECT_FALSE(release_kept(installation_, Term{3}));
  EXPECT_TRUE(fs::exists(postgres_ / "data" / "base" / "file"));
}

TEST_F(Kept, ANameBesideIsNeverTaken) {
  EXPECT_EQ(kept_beside(postgres_ / "data", Term{4}).filename(), "data.4");
  lay("data.4", "x");
  EXPECT_EQ(kept_beside(postgres_ / "data", Term{4}).filename(), "data.4-2");
  EXPECT_TRUE(kept_data(installation_ / "nowhere")->empty());
}

}  // namespace
}  // namespace verbund::node
