#include <gtest/gtest.h>

#include <barrier>
#include <set>
#include <thread>

#include "backup/office.h"
#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

// A node that had none: its nights, its look at the machine and the pair's exchange made one each; the key was one's, the public key beside it another's, and a second machine took both (CI, whole_test_mirror_nights).
TEST(OfficeFirst, WhoeverAsksFirstAllHaveOneKeyAndOneName) {
  constexpr int kAtOnce = 8;
  for (int round = 0; round < 20; ++round) {
    testing::ScratchDirectory directory;
    std::barrier start(kAtOnce);
    std::mutex mutex;
    std::set<std::string> keys, names;
    {
      std::vector<std::jthread> all;
      for (int i = 0; i < kAtOnce; ++i) {
        all.emplace_back([&] {
          start.arrive_and_wait();
          auto key = signing_key(directory.path());
          auto name = installation_id(directory.path());
          const std::lock_guard guard(mutex);
          keys.insert(key ? key->public_key().text() : key.error().message);
          names.insert(name ? *name : name.error().message);
        });
      }
    }
    EXPECT_EQ(keys.size(), 1U);
    EXPECT_EQ(names.size(), 1U);
    EXPECT_EQ(os::read_file(directory.path() / "backup" / "signing.pub").value(), *keys.begin());
    int files = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory.path() / "backup")) files += file.path().filename().string().starts_with('.') ? 100 : 1;
    EXPECT_EQ(files, 3) << "key, public key, name, and nothing left beside them";
  }
}

}  // namespace
}  // namespace verbund::backup
