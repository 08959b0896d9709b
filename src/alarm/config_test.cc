#include "alarm/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verbund::alarm {
namespace {

using ::testing::HasSubstr;

Result<Config> read(std::string_view text) {
  auto file = os::ConfigFile::parse_toml(text, "verbund.toml");
  if (!file) return pass(file);
  auto config = read_config(*file, "/installation", "server-1");
  if (!config) return config;
  if (auto known = file->refuse_unknown(); !known) return pass(known);
  return config;
}

TEST(AlarmConfig, SaysNothingByMailWithoutAHost) {
  for (const auto text : {std::string_view(""), default_config()}) {
    const auto config = read(text);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_FALSE(config->smtp);
    EXPECT_EQ(config->office, "server-1");
    EXPECT_EQ(config->language, Language::kGerman);
    EXPECT_TRUE(password_of(*config)->empty());
  }
}

TEST(AlarmConfig, TakesEveryKeyOfTheTemplate) {
  // The template without its comment signs is a configuration.
  std::string text;
  for (std::string_view rest = default_config(); !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    auto line = rest.substr(0, end);
    if (line.starts_with("# ")) line.remove_prefix(2);
    text += std::string(line) + "\n";
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto config = read(text);
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_TRUE(config->smtp);
  EXPECT_EQ(config->smtp->host, "smtp.praxis.example");
  EXPECT_EQ(config->smtp->port, 587);
  EXPECT_EQ(config->password_file, "/installation/secrets/mail");
  EXPECT_EQ(config->administrators, std::vector<std::string>{"Dr. Weber <weber@praxis.example>"});
}

TEST(AlarmConfig, NamesFileLineAndRangeOfWhatIsWrong) {
  const std::string good = "[mail]\nhost = \"h\"\nfrom = \"a@b.example\"\n";
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {"[mail]\nhost = \"h\"\n", "verbund.toml:2: mail.host: `from` is missing"},
           {"[mail]\nhost = \"smtp://h\"\nfrom = \"a@b.example\"\n", "verbund.toml:2: mail.host: 'smtp://h' is no host"},
           {"[mail]\nhost = \"h\"\nfrom = \"nobody\"\n", "verbund.toml:3: mail.from: mail: 'nobody' is no mail address"},
           {good + "administrators = [\"x\"]\n", "verbund.toml:4: mail.administrators"},
           {good + "limit_seconds = 3\n", "verbund.toml:4"},
           {good + "security = \"ssl\"\n", "verbund.toml:4"},
           {good + "pasword_file = \"x\"\n", "pasword_file"},
           {"[alarm]\nping_url = \"ftp://x\"\n", "verbund.toml:2: alarm.ping_url: no http or https URL"},
           {"[alarm]\nlanguage = \"fr\"\n", "verbund.toml:2"}}) {
    const auto config = read(text);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().code, ErrorCode::kBadConfig);
    EXPECT_THAT(config.error().message, HasSubstr(words));
  }
}

TEST(AlarmConfig, TakesThePortThatGoesWithTls) {
  const auto config = read("[mail]\nhost = \"h\"\nfrom = \"a@b.example\"\nsecurity = \"tls\"\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->smtp->port, 465);
}

}  // namespace
}  // namespace verbund::alarm
