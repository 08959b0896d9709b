// Every file of a set flipped, truncated, extended, swapped, removed at seeded places: each is noticed, and an untouched set never
// raises an alarm.
#include <fstream>

#include "backup/set_scene.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSeed = 20'261'122;

class Corruption : public SetScene {
 protected:
  void SetUp() override {
    SetScene::SetUp();
    contents_["db/praxis.dump"] = sample_bytes(kSeed, 150'000);
    std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  }

  static std::vector<std::string> files_of(const fs::path& set) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(set)) {
      if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(set).native());
    }
    std::ranges::sort(files);
    return files;
  }
  static void put(const fs::path& file, std::string_view bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  /// Whether L1 notices, and names exactly `file` when it is one that the sums speak of.
  void expect_noticed(const fs::path& set, const std::string& file, std::string_view what) const {
    const auto reader = SetReader::open(set, trusted());
    if (!reader) {
      const ErrorCode code = reader.error().code;
      EXPECT_TRUE(code == ErrorCode::kDamaged || code == ErrorCode::kNotFound || code == ErrorCode::kForbidden) << reader.error().message;
      EXPECT_TRUE(file == "manifest.json" || file == "SHA256SUMS" || file == "SHA256SUMS.minisig") << file << ": " << reader.error().message;
      return;
    }
    EXPECT_EQ(findings_of(*reader), std::vector<std::string>{file}) << what;
    NoProgress progress;
    const auto checked = reader->check_hashes(progress, SetReader::Cache::kUse);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().code, ErrorCode::kDamaged);
    EXPECT_NE(checked.error().message.find(file), std::string::npos);
  }
};

TEST_F(Corruption, OfAnyFileIsNoticedAndNamed) {
  std::mt19937_64 random(kSeed);
  int cases = 0;
  for (const Sealing sealing : {Sealing::kOpen, Sealing::kSealed}) {
    const auto set = write_set(sealing == Sealing::kOpen ? 1 : 2, sealing);
    ASSERT_TRUE(set.has_value()) << set.error().message;
    const auto files = files_of(*set);
    ASSERT_GE(files.size(), 11U);
    for (const std::string& file : files) {
      const std::string good = *os::read_file(*set / file);
      std::vector<std::pair<std::string, std::string>> changes{{"emptied", ""}, {"extended", good + '\0'}, {"extended", good + "\n"}};
      for (int i = 0; i < 24; ++i) {
        const std::size_t at = i == 0 ? 0 : i == 1 ? good.size() - 1 : random() % good.size();
        std::string flipped = good;
        flipped[at] = static_cast<char>(flipped[at] ^ 1 << random() % 8);
        changes.emplace_back(fmt::format("flipped at {}", at), std::move(flipped));
        if (i < 8) changes.emplace_back(fmt::format("cut at {}", at), good.substr(0, at));
      }
      for (const auto& [what, bytes] : changes) {
        put(*set / file, bytes);
        expect_noticed(*set, file, file + " " + what);
        ++cases;
      }
      fs::remove(*set / file);
      expect_noticed(*set, file, file + " removed");
      put(*set / file, good);
      ++cases;
    }
    EXPECT_EQ(findings_of(*SetReader::open(*set, trusted())), std::vector<std::string>{});
  }
  std::printf("%d changes, all noticed\n", cases);
}

TEST_F(Corruption, FilesThatChangedPlacesAreNoticed) {
  const auto set = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(set.has_value());
  const auto files = files_of(*set);
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (std::size_t k = i + 1; k < files.size(); ++k) {
      const auto swap = [&] {
        fs::rename(*set / files[i], *set / "swap");
        fs::rename(*set / files[k], *set / files[i]);
        fs::rename(*set / "swap", *set / files[k]);
      };
      swap();
      const auto reader = SetReader::open(*set, trusted());
      if (reader) {
        EXPECT_EQ(findings_of(*reader), (std::vector<std::string>{files[i], files[k]}));
      }
      swap();
    }
  }
  EXPECT_TRUE(SetReader::open(*set, trusted()).has_value());
}

TEST_F(Corruption, WhatDoesNotBelongThereIsNamedWhateverItIs) {
  const auto set = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(set.has_value());
  put(*set / "db/extra.zst", "x");
  put(*set / ".hidden", "x");
  fs::create_symlink("/etc/passwd", *set / "db/link");
  fs::create_directory_symlink("/etc", *set / "etc");
  EXPECT_EQ(findings_of(*SetReader::open(*set, trusted())), (std::vector<std::string>{".hidden", "db/extra.zst", "db/link", "etc"}));
  for (const auto* name : {"db/extra.zst", ".hidden", "db/link", "etc"}) fs::remove(*set / name);
  // A link in place of a file, to the same bytes: the medium alone would not have them.
  fs::rename(*set / "RESTORE.txt", directory_.path() / "elsewhere");
  fs::create_symlink(directory_.path() / "elsewhere", *set / "RESTORE.txt");
  EXPECT_EQ(findings_of(*SetReader::open(*set, trusted())), (std::vector<std::string>{"RESTORE.txt"}));
}

TEST_F(Corruption, EveryDamagedFileIsNamedNotOnlyTheFirst) {
  const auto set = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(set.has_value());
  put(*set / "globals.sql.zst", "x");
  fs::remove(*set / "folders/m1.tar.zst");
  put(*set / "zzz", "x");
  NoProgress progress;
  const auto reader = SetReader::open(*set, trusted());
  const auto checked = reader->check_hashes(progress, SetReader::Cache::kUse);
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().message, "check backup set 20261122-013000-000001: folders/m1.tar.zst is missing; globals.sql.zst is damaged; zzz does not belong there");
  const auto structure = reader->check_structure(progress);
  ASSERT_FALSE(structure.has_value());
  EXPECT_NE(structure.error().message.find("globals.sql"), std::string::npos);
  EXPECT_NE(structure.error().message.find("folders/m1.tar"), std::string::npos);
}

/// The sums are right, but what they were made over was damaged before: L2 finds what L1 can't.
TEST_F(Corruption, AStreamIsReadToItsEnd) {
  for (const Sealing sealing : {Sealing::kOpen, Sealing::kSealed}) {
    const auto set = write_set(sealing == Sealing::kOpen ? 1 : 2, sealing);
    ASSERT_TRUE(set.has_value());
    const auto reader = SetReader::open(*set, trusted());
    const Member* big = reader->manifest().member("db/praxis.dump");
    for (const std::string& part : big->parts) {
      const std::string good = *os::read_file(*set / part);
      for (const std::string& bad : {good.substr(0, good.size() - 1), good + "x", good.substr(1), std::string()}) {
        put(*set / part, bad);
        NoProgress progress;
        EXPECT_EQ(reader->check_structure(progress, {}, &person_).error().code, ErrorCode::kDamaged) << part;
      }
      put(*set / part, good);
    }
  }
}

TEST_F(Corruption, UntouchedSetsNeverRaiseAnAlarm) {
  std::mt19937_64 random(kSeed);
  for (std::uint64_t sequence = 1; sequence <= 60; ++sequence) {
    contents_ = {{"db/praxis.dump", sample_bytes(random(), random() % 60'000)}, {"folders/m1.tar", sample_bytes(random(), random() % 9'000)}};
    const auto set = write_set(sequence, sequence % 3 == 0 ? Sealing::kSealed : Sealing::kOpen);
    ASSERT_TRUE(set.has_value()) << set.error().message;
    const auto reader = SetReader::open(*set, trusted());
    ASSERT_TRUE(reader.has_value()) << reader.error().message;
    NoProgress progress;
    EXPECT_TRUE(reader->check_hashes(progress, sequence % 2 == 0 ? SetReader::Cache::kDrop : SetReader::Cache::kUse).has_value());
    EXPECT_TRUE(reader->check_structure(progress, {}, &person_).has_value());
  }
  EXPECT_EQ(find_sets(target(), trusted())->sets.size(), 60U);
}

}  // namespace
}  // namespace verbund::backup
