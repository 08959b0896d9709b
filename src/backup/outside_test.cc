// A stranger with Debian's programs and RESTORE.txt: its commands, typed as they stand, bring back every byte.
#include "backup/set_scene.h"
#include "backup/stock_program_fixture.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

class Outside : public SetScene {
 protected:
  void SetUp() override {
    SetScene::SetUp();
    for (const auto* program : {"minisign", "age", "zstd", "sha256sum", "bash"}) {
      if (!have_program(program)) GTEST_SKIP() << program << " is not on this machine";
    }
  }

  /// Command lines of one step ("3.") of one language, as they are printed.
  static std::string step(std::string_view text, std::string_view language, std::string_view number) {
    text.remove_prefix(text.find(fmt::format("=== {} ===", language)));
    text.remove_prefix(text.find(fmt::format("\n{}. ", number)) + 1);
    std::string commands;
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      if (!commands.empty() && !line.starts_with("    ") && line.size() > 2 && line[1] == '.') break;
      if (line.starts_with("    ")) commands += fmt::format("{}\n", line.substr(4));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
    return commands;
  }
  static std::string replaced(std::string text, const std::string& what, const std::string& into) {
    EXPECT_NE(text.find(what), std::string::npos) << what;
    return text.replace(text.find(what), what.size(), into);
  }
};

TEST_F(Outside, TheCommandsOfRestoreTxtRebuildEveryMember) {
  contents_["db/praxis.dump"] = sample_bytes(3, 900'000);
  for (const Sealing sealing : {Sealing::kOpen, Sealing::kSealed}) {
    const auto set = write_set(sealing == Sealing::kOpen ? 1 : 2, sealing);
    ASSERT_TRUE(set.has_value()) << set.error().message;
    const std::string text = *os::read_file(*set / "RESTORE.txt");
    for (const auto* language : {"Deutsch", "English"}) {
      const auto out = directory_.path() / fmt::format("{}-{}", language, sealing == Sealing::kOpen ? 1 : 2);
      const auto sums = run_program({"bash", "-c", step(text, language, "1")}, *set);
      EXPECT_EQ(sums.exit_code, 0) << sums.output << sums.errors;
      std::string commands = replaced(step(text, language, "3"), "OUT=/var/tmp/restored", "OUT=" + out.native());
      if (sealing == Sealing::kSealed) {
        // The line of the recovery sheet, typed into a file.
        const auto key = directory_.path() / "key.txt";
        ASSERT_TRUE(os::write_file_atomically(key, person_.age_text() + "\n", 0600).has_value());
        commands = replaced(commands, "KEY=/root/key.txt", "KEY=" + key.native());
      }
      const auto done = run_program({"bash", "-e", "-c", commands}, *set);
      EXPECT_EQ(done.exit_code, 0) << commands << done.errors;
      for (const auto& [name, bytes] : contents_) EXPECT_TRUE(os::read_file(out / name).value_or("?") == bytes) << name;
      if (sealing == Sealing::kSealed) {
        EXPECT_NE(os::read_file(out / "manifest-details.json").value_or("").find("/srv/m1"), std::string::npos);
      }
    }
  }
}

TEST_F(Outside, MinisignAndSha256sumRefuseWhatWeRefuse) {
  const auto set = write_set(1, Sealing::kOpen);
  ASSERT_TRUE(set.has_value());
  ASSERT_EQ(run_program({"minisign", "-Vm", "SHA256SUMS", "-P", key_.public_key().text()}, *set).exit_code, 0);
  EXPECT_NE(run_program({"minisign", "-Vm", "SHA256SUMS", "-P", SigningKey::generate().public_key().text()}, *set).exit_code, 0);
  std::string part = *os::read_file(*set / "db/praxis.dump.zst.000");
  part[100] = static_cast<char>(part[100] ^ 1);
  ASSERT_TRUE(os::write_file_atomically(*set / "db/praxis.dump.zst.000", part).has_value());
  const auto sums = run_program({"sha256sum", "-c", "SHA256SUMS"}, *set);
  EXPECT_NE(sums.exit_code, 0);
  EXPECT_NE(sums.output.find("db/praxis.dump.zst.000: FAILED"), std::string::npos);
  EXPECT_NE(run_program({"bash", "-o", "pipefail", "-c", "cat db/praxis.dump.zst.[0-9]* | zstd -t"}, *set).exit_code, 0);
}

TEST_F(Outside, RestoreTxtIsReadableTextInTwoLanguages) {
  const auto set = write_set(1, Sealing::kOpen);
  const std::string text = *os::read_file(*set / "RESTORE.txt");
  EXPECT_NE(text.find("UNVOLLSTÄNDIG / INCOMPLETE"), std::string::npos);
  EXPECT_NE(text.find("runuser -u postgres -- pg_restore --create --exit-on-error -d postgres < \"$OUT\"/db/praxis.dump"), std::string::npos);
  EXPECT_NE(text.find("'praxis' (PostgreSQL 15, owner 'arzt', UTF8, de_DE.UTF-8)"), std::string::npos);
  EXPECT_NE(text.find("practice system 23.4"), std::string::npos);
  EXPECT_EQ(text.find('{'), std::string::npos);
}

}  // namespace
}  // namespace verbund::backup
