#include "backup/media/label.h"

#include <gmock/gmock.h>

#include "platform/os/file.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

using ::testing::HasSubstr;

class LabelTest : public ::testing::Test {
 protected:
  Label label(const std::string& text = "Montag 1") const {
    return new_label(text, MediumClass::kMonthEnd, MediumKind::kDisk, "0011", WallTime{std::chrono::days{20'000}}).value();
  }
  Result<Label> read() const { return read_label(scratch_.path(), {key_.public_key()}); }
  testing::ScratchDirectory scratch_;
  SigningKey key_ = SigningKey::generate();
};

TEST_F(LabelTest, IsReadAsItWasWritten) {
  const auto written = label("Größe \"x\"");
  ASSERT_TRUE(write_label(scratch_.path(), written, key_));
  const auto read_back = read().value();
  EXPECT_EQ(json_of(read_back), json_of(written));
  EXPECT_EQ(read_back.medium_class, MediumClass::kMonthEnd);
  EXPECT_NE(label().id, label().id);
}

TEST_F(LabelTest, NoByteOfItChangesUnnoticed) {
  ASSERT_TRUE(write_label(scratch_.path(), label(), key_));
  for (const char* name : {kLabelFile, kLabelSignature}) {
    const auto file = scratch_.path() / name;
    const auto whole = os::read_file(file).value();
    for (std::size_t i = 0; i < whole.size(); ++i) {
      auto changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ 1);
      ASSERT_TRUE(os::write_file_atomically(file, changed));
      EXPECT_FALSE(read()) << name << " byte " << i;
    }
    ASSERT_TRUE(os::write_file_atomically(file, whole));
  }
  EXPECT_TRUE(read());
}

TEST_F(LabelTest, AStrangersAnUnsignedAndNoLabelAreToldApart) {
  EXPECT_EQ(read().error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(write_label(scratch_.path(), label(), SigningKey::generate()));
  EXPECT_EQ(read().error().code, ErrorCode::kForbidden);
  EXPECT_EQ(write_label(scratch_.path(), label(), key_).error().code, ErrorCode::kAlreadyExists);
  std::filesystem::remove(scratch_.path() / kLabelSignature);
  EXPECT_EQ(read().error().code, ErrorCode::kDamaged);
  EXPECT_TRUE(write_label(scratch_.path(), label(), key_)) << "what was interrupted is written again";
  EXPECT_TRUE(read());
}

TEST_F(LabelTest, TextsThatCantStandOnAStickerAreRefused) {
  for (const std::string& text : {std::string(), std::string("a\nb"), std::string(61, 'x'), std::string(" a")}) {
    EXPECT_FALSE(new_label(text, MediumClass::kDaily, MediumKind::kDisk, "0011", WallTime{}));
  }
  EXPECT_EQ(label_of(R"({"format":2})").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(label_of("{}").error().code, ErrorCode::kDamaged);
}

}  // namespace
}  // namespace verbund::backup
