#include "backup/set.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "backup/set_scene.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

class BackupSet : public SetScene {
 protected:
  static std::vector<std::string> names_in(const fs::path& directory) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename().native());
    std::ranges::sort(names);
    return names;
  }
  static inline const std::vector<std::string> kOnlyTheLock{".verbund-backup.lock"};
};

TEST_F(BackupSet, GivesBackEveryByteOpenOrSealed) {
  for (const Sealing sealing : {Sealing::kOpen, Sealing::kSealed}) {
    const std::uint64_t sequence = sealing == Sealing::kOpen ? 1 : 2;
    const auto path = write_set(sequence, sealing);
    ASSERT_TRUE(path.has_value()) << path.error().message;
    EXPECT_EQ(path->filename(), set_id(kBegun, sequence));
    auto reader = SetReader::open(*path, trusted());
    ASSERT_TRUE(reader.has_value()) << reader.error().message;
    EXPECT_EQ(findings_of(*reader), std::vector<std::string>{});
    for (const auto& [name, bytes] : contents_) {
      auto source = reader->read(name, SetReader::Form::kPlain, &person_);
      ASSERT_TRUE(source.has_value()) << source.error().message;
      EXPECT_TRUE(read_all(**source).value_or("?") == bytes) << name;
    }
    const Member* big = reader->manifest().member("db/praxis.dump");
    EXPECT_GT(big->parts.size(), 2U);
    EXPECT_EQ(big->parts[1], sealing == Sealing::kOpen ? "db/praxis.dump.zst.001" : "db/praxis.dump.zst.age.001");
    for (const std::string& part : big->parts) EXPECT_LE(fs::file_size(*path / part), kPartBytes);
    NoProgress progress;
    EXPECT_TRUE(reader->check_structure(progress, {}, &deputy_).has_value());
    EXPECT_TRUE(reader->check_hashes(progress, SetReader::Cache::kDrop).has_value());
  }
  EXPECT_EQ(names_in(target()).size(), 3U);
}

TEST_F(BackupSet, IsForNobodyElsesEyes) {
  const auto path = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(path.has_value());
  for (const auto& entry : fs::recursive_directory_iterator(*path)) {
    struct stat status {};
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 077, 0U) << entry.path();
  }
}

TEST_F(BackupSet, SealedTellsNamesOfFilesOnlyToItsRecipients) {
  const auto path = write_set(1, Sealing::kSealed);
  ASSERT_TRUE(path.has_value());
  for (const auto& entry : fs::recursive_directory_iterator(*path)) {
    if (!entry.is_regular_file()) continue;
    const std::string text = *os::read_file(entry.path());
    for (const auto* secret : {"ller\\", "Project", "cafe01", "/srv/m1"}) EXPECT_EQ(text.find(secret), std::string::npos) << entry.path();
  }
  auto reader = SetReader::open(*path, trusted());
  ASSERT_TRUE(reader.has_value());
  EXPECT_TRUE(reader->manifest().databases[0].tables.empty());
  EXPECT_EQ(reader->manifest().recipients.size(), 2U);
  const auto stranger = RecipientKey::generate("x", kBegun);
  EXPECT_EQ(reader->unlock(stranger).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(reader->read("db/praxis.dump").error().code, ErrorCode::kForbidden);
  NoProgress progress;
  EXPECT_EQ(reader->check_structure(progress).error().code, ErrorCode::kForbidden);
  ASSERT_TRUE(reader->unlock(deputy_).has_value());
  EXPECT_EQ(reader->manifest().databases[0].tables.size(), 2U);
  EXPECT_EQ(reader->manifest().folders[0].restore, std::vector<std::string>{"Project"});
}

TEST_F(BackupSet, IsFilledFromSeveralThreads) {
  auto writer = SetWriter::begin(options(1, Sealing::kSealed), key_);
  ASSERT_TRUE(writer.has_value()) << writer.error().message;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] { EXPECT_TRUE(add(*writer, fmt::format("text/{}", i), Content::kText, sample_bytes(i, 70'000 * i)).has_value()); });
  }
  for (auto& thread : threads) thread.join();
  Manifest plain = manifest(1);
  plain.databases.clear();
  plain.folders.clear();
  const auto path = writer->publish(plain);
  ASSERT_TRUE(path.has_value()) << path.error().message;
  auto reader = SetReader::open(*path, trusted());
  ASSERT_TRUE(reader.has_value());
  for (std::uint64_t i = 0; i < 6; ++i) {
    auto source = reader->read(fmt::format("text/{}", i), SetReader::Form::kPlain, &deputy_);
    ASSERT_TRUE(source.has_value());
    EXPECT_TRUE(read_all(**source).value_or("?") == sample_bytes(i, 70'000 * i));
  }
  EXPECT_EQ(findings_of(*reader), std::vector<std::string>{});
}

TEST_F(BackupSet, DoesNotCountBeforeItIsPublished) {
  {
    auto writer = SetWriter::begin(options(1, Sealing::kOpen), key_);
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE(add(*writer, "db/praxis.dump", Content::kDatabase, "x").has_value());
    const auto found = find_sets(target(), trusted());
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(found->sets.empty());
    EXPECT_TRUE(found->ignored.empty());
  }
  EXPECT_EQ(names_in(target()), kOnlyTheLock);
}

TEST_F(BackupSet, WhatAKilledRunLeftIsRemovedByTheNext) {
  fs::create_directories(target() / ".20260101-000000-000001.partial/db/deep");
  std::ofstream(target() / ".20260101-000000-000001.partial/db/x") << "half";
  fs::create_symlink("/etc", target() / ".20260101-000000-000001.partial/link");
  fs::create_directory(target() / "somebody's");
  ASSERT_TRUE(write_set(1, Sealing::kOpen).has_value());
  EXPECT_EQ(names_in(target()), (std::vector<std::string>{".verbund-backup.lock", set_id(kBegun, 1), "somebody's"}));
  EXPECT_TRUE(fs::exists("/etc/passwd"));
}

TEST_F(BackupSet, TwoWritersNeverMeet) {
  auto writer = SetWriter::begin(options(1, Sealing::kOpen), key_);
  ASSERT_TRUE(writer.has_value());
  EXPECT_EQ(SetWriter::begin(options(2, Sealing::kOpen), key_).error().code, ErrorCode::kInUse);
  writer = SetWriter::begin(options(2, Sealing::kOpen), key_);
  EXPECT_FALSE(writer.has_value());
  ASSERT_TRUE(write_set(3, Sealing::kOpen).has_value());
  EXPECT_EQ(write_set(3, Sealing::kOpen).error().code, ErrorCode::kInUse);
}

TEST_F(BackupSet, AStreamThatWasNotFinishedIsNotInIt) {
  auto writer = SetWriter::begin(options(1, Sealing::kOpen), key_);
  ASSERT_TRUE(writer.has_value());
  {
    auto sink = writer->add("db/half.dump", Content::kDatabase);
    ASSERT_TRUE(sink.has_value());
    ASSERT_TRUE((*sink)->write(sample_bytes(5, 5'000'000)).has_value());
    EXPECT_EQ(writer->add("DB/half.dump", Content::kDatabase).error().code, ErrorCode::kAlreadyExists);
  }
  for (const auto& [name, bytes] : contents_) ASSERT_TRUE(add(*writer, name, Content::kDatabase, bytes).has_value());
  auto open_sink = writer->add("db/half.dump", Content::kDatabase);
  ASSERT_TRUE(open_sink.has_value());
  open_sink->reset();
  const auto path = writer->publish(manifest(1));
  ASSERT_TRUE(path.has_value()) << path.error().message;
  const auto reader = SetReader::open(*path, trusted());
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(reader->manifest().member("db/half.dump"), nullptr);
  EXPECT_EQ(findings_of(*reader), std::vector<std::string>{});
}

TEST_F(BackupSet, RefusesNamesAndManifestsThatNobodyCouldRead) {
  auto writer = SetWriter::begin(options(1, Sealing::kOpen), key_);
  ASSERT_TRUE(writer.has_value());
  for (const auto* name : {"../x", "/x", "a:b", "Ä", "", "nul"}) {
    EXPECT_EQ(writer->add(name, Content::kText).error().code, ErrorCode::kDamaged) << name;
  }
  EXPECT_EQ(writer->publish(manifest(1)).error().code, ErrorCode::kDamaged);  // names members that aren't there
  EXPECT_EQ(names_in(target()), kOnlyTheLock);
}

TEST_F(BackupSet, IsRefusedBeforeTheFirstByteWhenItCanNotFit) {
  WriteOptions large = options(1, Sealing::kOpen);
  large.expected_bytes = 1ULL << 60;
  const auto writer = SetWriter::begin(large, key_);
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.error().code, ErrorCode::kDiskFull);
  EXPECT_NE(writer.error().message.find("1073741824.0 GiB needed"), std::string::npos) << writer.error().message;
}

TEST_F(BackupSet, NeedsATargetThatIsThere) {
  WriteOptions nowhere = options(1, Sealing::kOpen);
  nowhere.target = target() / "none";
  EXPECT_EQ(SetWriter::begin(nowhere, key_).error().code, ErrorCode::kMediumGone);
  EXPECT_FALSE(fs::exists(nowhere.target));
}

TEST_F(BackupSet, SaysWhoseKeySignedIt) {
  const auto path = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(path.has_value());
  EXPECT_EQ(*key_inside(*path), key_.public_key());
  EXPECT_EQ(SetReader::open(*path, {SigningKey::generate().public_key()}).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(SetReader::open(*path, {}).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(SetReader::open(target(), trusted()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(SetReader::open(target() / "none", trusted()).error().code, ErrorCode::kNotFound);
}

TEST_F(BackupSet, StructureIsLookedAtByWhoeverKnowsIt) {
  const auto path = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(path.has_value());
  const auto reader = SetReader::open(*path, trusted());
  NoProgress progress;
  std::map<std::string, std::string> seen;
  const auto look = [&](const Member& member, Source& plain) -> Status {
    if (member.name == "globals.sql") return {};  // stops early
    auto all = read_all(plain);
    if (!all) return pass(all);
    seen[member.name] = *all;
    if (member.content == Content::kFolder) return fail(ErrorCode::kDamaged, Phrase{"the list does not fit"});
    return {};
  };
  const auto checked = reader->check_structure(progress, look);
  ASSERT_FALSE(checked.has_value());
  EXPECT_NE(checked.error().message.find("the list does not fit"), std::string::npos);
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_TRUE(seen["db/praxis.dump"] == contents_["db/praxis.dump"]);
}

TEST_F(BackupSet, CheckingIsGivenUpWhenNobodyWantsItAnyMore) {
  class Impatient final : public Progress {
   public:
    void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
    [[nodiscard]] bool cancelled() const override { return true; }
  } impatient;
  const auto path = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(path.has_value());
  const auto reader = SetReader::open(*path, trusted());
  EXPECT_EQ(reader->check_hashes(impatient, SetReader::Cache::kUse).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(reader->check_structure(impatient).error().code, ErrorCode::kCancelled);
}

// ---- Media that fail ----

class SmallMedium : public BackupSet {
 protected:
  void SetUp() override {
    BackupSet::SetUp();
    if (::mount("verbund-small-medium", target().c_str(), "tmpfs", 0, "size=2m,mode=0755") != 0) {
      GTEST_SKIP() << "a small file system can't be mounted here: " << std::generic_category().message(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(target().c_str(), MNT_DETACH);
  }
  bool mounted_ = false;
};

TEST_F(SmallMedium, FullSaysWhatIsFreeAndLeavesNothing) {
  std::string noise(8'000'000, '\0');
  std::mt19937_64 random(7);
  for (char& c : noise) c = static_cast<char>(random());
  contents_["db/praxis.dump"] = noise;
  for (const Sealing sealing : {Sealing::kOpen, Sealing::kSealed}) {
    const auto path = write_set(1, sealing);
    ASSERT_FALSE(path.has_value());
    EXPECT_EQ(path.error().code, ErrorCode::kDiskFull) << path.error().message;
    EXPECT_NE(path.error().message.find("no space left: "), std::string::npos) << path.error().message;
    EXPECT_NE(path.error().message.find(" MiB already written"), std::string::npos) << path.error().message;
    EXPECT_EQ(names_in(target()), kOnlyTheLock);
  }
  contents_["db/praxis.dump"] = "small";
  EXPECT_TRUE(write_set(2, Sealing::kOpen).has_value());
}

TEST_F(SmallMedium, FullAtAnyFileLeavesASetOrNothing) {
  // Every fill level up to where all of it fits: the disk is full at another write each time.
  std::size_t whole = 0;
  for (std::size_t free_kib = 4; free_kib < 400; free_kib += 12) {
    const std::string ballast((2'048 - 8 - free_kib) * 1'024, 'x');
    std::ofstream(target() / "ballast") << ballast;
    const auto path = write_set(1, Sealing::kOpen);
    fs::remove(target() / "ballast");
    if (path) {
      const auto reader = SetReader::open(*path, trusted());
      ASSERT_TRUE(reader.has_value()) << reader.error().message;
      EXPECT_EQ(findings_of(*reader), std::vector<std::string>{});
      fs::remove_all(*path);
      ++whole;
      continue;
    }
    EXPECT_EQ(path.error().code, ErrorCode::kDiskFull) << path.error().message;
    EXPECT_EQ(names_in(target()), kOnlyTheLock) << free_kib;
  }
  EXPECT_GT(whole, 0U);
}

TEST_F(SmallMedium, GoneMidRunIsSaidAndNothingLandsUnderTheMountPoint) {
  auto writer = SetWriter::begin(options(1, Sealing::kOpen), key_);
  ASSERT_TRUE(writer.has_value());
  ASSERT_TRUE(add(*writer, "db/praxis.dump", Content::kDatabase, contents_["db/praxis.dump"]).has_value());
  ASSERT_EQ(::umount2(target().c_str(), MNT_DETACH), 0);
  mounted_ = false;
  const auto added = add(*writer, "db/other.dump", Content::kDatabase, "x");
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().code, ErrorCode::kMediumGone) << added.error().message;
  Manifest plain = manifest(1);
  plain.databases.clear();
  plain.folders.clear();
  EXPECT_EQ(writer->publish(plain).error().code, ErrorCode::kMediumGone);
  EXPECT_TRUE(names_in(target()).empty());
}

TEST_F(SmallMedium, ReadOnlyIsRefusedAndReadsAllTheSame) {
  const auto path = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(path.has_value());
  ASSERT_EQ(::mount(nullptr, target().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  EXPECT_EQ(write_set(2, Sealing::kOpen).error().code, ErrorCode::kIo);
  const auto reader = SetReader::open(*path, trusted());
  ASSERT_TRUE(reader.has_value());
  NoProgress progress;
  EXPECT_TRUE(reader->check_hashes(progress, SetReader::Cache::kDrop).has_value());
  EXPECT_EQ(names_in(target()), (std::vector<std::string>{".verbund-backup.lock", set_id(kBegun, 1)}));
}

// ---- The sets of a directory ----

TEST_F(BackupSet, AChainNamesGapsAndReplacedSets) {
  contents_ = {{"db/praxis.dump", "x"}, {"folders/m1.tar", "y"}};
  std::string previous;
  for (std::uint64_t sequence = 1; sequence <= 5; ++sequence) {
    const auto path = write_set(sequence, sequence % 2 == 0 ? Sealing::kSealed : Sealing::kOpen, previous);
    ASSERT_TRUE(path.has_value()) << path.error().message;
    previous = SetReader::open(*path, trusted())->hash();
  }
  auto found = find_sets(target(), trusted());
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->sets.size(), 5U);
  EXPECT_TRUE(check_chain(found->sets).empty());

  // Another set takes the place of the third.
  contents_["folders/m1.tar"] = "other";
  const auto third = target() / set_id(kBegun, 3);
  fs::remove_all(third);
  ASSERT_TRUE(write_set(3, Sealing::kOpen, found->sets[1].hash).has_value());
  auto chain = check_chain(find_sets(target(), trusted())->sets);
  ASSERT_EQ(chain.size(), 1U);
  EXPECT_EQ(chain[0].kind, ChainFinding::Kind::kReplaced);
  EXPECT_EQ(chain[0].before, 3U);

  fs::remove_all(third);
  chain = check_chain(find_sets(target(), trusted())->sets);
  ASSERT_EQ(chain.size(), 1U);
  EXPECT_EQ(chain[0].kind, ChainFinding::Kind::kGap);
  EXPECT_EQ(chain[0].before_id, set_id(kBegun, 2));
  EXPECT_EQ(chain[0].after_id, set_id(kBegun, 4));

  fs::copy(target() / set_id(kBegun, 2), target() / "copy", fs::copy_options::recursive);
  chain = check_chain(find_sets(target(), trusted())->sets);
  ASSERT_EQ(chain.size(), 2U);
  EXPECT_EQ(chain[0].kind, ChainFinding::Kind::kTwice);
}

TEST_F(BackupSet, AClockThatJumpsBackIsNamedAndOrdersNothing) {
  FoundSet first, second;
  first.manifest = manifest(1);
  second.manifest = manifest(2, std::string(64, 'a'));
  first.hash = std::string(64, 'a');
  second.manifest.begun = kBegun - std::chrono::years(2);
  const auto chain = check_chain({first, second});
  ASSERT_EQ(chain.size(), 1U);
  EXPECT_EQ(chain[0].kind, ChainFinding::Kind::kClock);
  second.manifest.begun = kBegun;
  second.manifest.installation = "another";
  EXPECT_EQ(check_chain({first, second})[0].kind, ChainFinding::Kind::kForeign);
}

TEST_F(BackupSet, FindingNamesWhatItLeavesOut) {
  ASSERT_TRUE(write_set(1, Sealing::kOpen).has_value());
  fs::create_directory(target() / "photos");
  const auto damaged = write_set(2, Sealing::kOpen);
  std::ofstream(*damaged / "manifest.json", std::ios::app) << "x";
  const auto found = find_sets(target(), trusted());
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->sets.size(), 1U);
  ASSERT_EQ(found->ignored.size(), 2U);
  EXPECT_NE(found->ignored[0].second.find("not the one that was signed"), std::string::npos);
  EXPECT_NE(found->ignored[1].second.find("never finished"), std::string::npos);
  EXPECT_EQ(find_sets(target() / "none", trusted()).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace verbund::backup
