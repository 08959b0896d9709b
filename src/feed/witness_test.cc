// What the file beside the databases says.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "feed/witness.h"
#include "platform/os/file.h"

namespace verbund::feed {
namespace {

TEST(Witness, RemembersTheLastCursorAlone) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("verbund-witness-{}", ::getpid());
  std::filesystem::remove(path);
  EXPECT_EQ(Witness::read(path), std::nullopt);
  Witness witness(path);
  ASSERT_TRUE(witness.note({{std::string(32, 'a')}, {18446744073709551615ULL}}));
  const Cursor last{{std::string(32, 'b')}, {7}};
  ASSERT_TRUE(witness.note(last));
  EXPECT_EQ(Witness::read(path), last);
  // A crash of the machine may leave less.
  const auto whole = os::read_file(path);
  ASSERT_TRUE(whole);
  for (std::size_t length = 0; length < whole->size(); ++length) {
    std::ofstream(path, std::ios::trunc) << whole->substr(0, length);
    EXPECT_EQ(Witness::read(path), std::nullopt) << length;
  }
  std::ofstream(path, std::ios::trunc) << std::string(whole->size(), '\0');
  EXPECT_EQ(Witness::read(path), std::nullopt);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace verbund::feed
