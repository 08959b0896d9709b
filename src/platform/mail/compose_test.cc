// Texts of mails, read back by Python's parser (testing/parse_mail.py).
#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/mail/mime.h"
#include "platform/mail/smtp.h"
#include "platform/os/clock.h"
#include "platform/os/process.h"

namespace verbund::mail {
namespace {

namespace json = boost::json;

const WallTime kNow = *from_iso8601("2026-11-22T01:30:05.000000Z");

SmtpSettings settings() {
  SmtpSettings smtp;
  smtp.from = "Praxis Müller <backup@praxis.example>";
  return smtp;
}

Mail sample() {
  Mail mail;
  mail.to = {"Jürgen Groß <gross@praxis.example>", "\"Weber, Dr.\" <weber@praxis.example>", "plain@praxis.example"};
  mail.subject = "UNVOLLSTÄNDIG";
  mail.text = "Zwei Dateien fehlen.\n";
  mail.message_id = "20261122@praxis.example";
  return mail;
}

json::object parsed(const std::string& text) {
  const os::SystemClock clock;
  os::Command command;
  command.argv = {"/usr/bin/python3", "testing/parse_mail.py"};
  command.stdin_text = text;
  auto outcome = os::run(command, Deadline::in(clock, seconds(60)), clock);
  EXPECT_TRUE(outcome && outcome->exit_code == 0) << (outcome ? outcome->errors : outcome.error().message);
  return outcome && outcome->exit_code == 0 ? json::parse(outcome->output).as_object() : json::object();
}

json::object composed(const Mail& mail) {
  auto text = compose(mail, settings(), kNow);
  EXPECT_TRUE(text) << text.error().message;
  return text ? parsed(*text) : json::object();
}

TEST(Compose, IsReadBackByAnotherProgramAsItWasMeant) {
  const auto mail = composed(sample());
  EXPECT_EQ(mail.at("subject"), "UNVOLLSTÄNDIG");
  EXPECT_EQ(mail.at("text"), "Zwei Dateien fehlen.\n");
  EXPECT_EQ(mail.at("from"), "Praxis Müller <backup@praxis.example>");
  EXPECT_EQ(json::serialize(mail.at("to")),
            R"([["Jürgen Groß","gross@praxis.example"],["Weber, Dr.","weber@praxis.example"],["","plain@praxis.example"]])");
  EXPECT_EQ(mail.at("date"), "Sun, 22 Nov 2026 01:30:05 +0000");
  EXPECT_EQ(mail.at("message_id"), "<20261122@praxis.example>");
  EXPECT_EQ(json::serialize(mail.at("defects")), "[]");
  EXPECT_TRUE(mail.at("only_crlf").as_bool());
  EXPECT_LE(mail.at("longest_line").as_int64(), 78);
}

TEST(Compose, KeepsTextsOfEveryShape) {
  std::string long_line;
  for (int i = 0; i < 300; ++i) long_line += i % 7 ? "ü" : ". ";
  std::vector<std::string> texts = {"", "\n", "a", ".\n.\n..x\n", "trailing blank \nand tab\t\n", "=3D is no umlaut\n", "ends without", "Ä\nÖ\nÜ ß € 𝄞\n", "From the start\n"};
  for (const auto& line : {std::string(1000, 'x'), std::string(500, ' '), long_line}) texts.push_back(line + "\n");
  for (const auto& text : texts) {
    auto mail = sample();
    mail.text = text;
    const auto read = composed(mail);
    const std::string end = text.empty() || text.ends_with('\n') ? "" : "\n";
    EXPECT_EQ(read.at("text").as_string(), text + end);
    EXPECT_LE(read.at("longest_line").as_int64(), 78);
  }
}

TEST(Compose, KeepsSubjectsOfEveryLength) {
  for (std::size_t length = 1; length <= 200; length += 9) {
    for (const std::string_view unit : {"a", "ä", "𝄞", "ab ", "x€"}) {
      auto mail = sample();
      mail.subject.clear();
      while (mail.subject.size() < length) mail.subject += unit;
      while (mail.subject.ends_with(' ')) mail.subject.pop_back();
      const auto text = compose(mail, settings(), kNow);
      ASSERT_TRUE(text);
      if (length % 27 != 1) continue;  // each reading starts a Python
      EXPECT_EQ(parsed(*text).at("subject").as_string(), mail.subject);
    }
  }
}

TEST(Compose, DoesNotTakeWhatLooksEncodedForEncoded) {
  auto mail = sample();
  mail.subject = "=?UTF-8?B?SGVsbG8=?=";
  EXPECT_EQ(composed(mail).at("subject"), "=?UTF-8?B?SGVsbG8=?=");
}

TEST(Compose, CarriesAttachments) {
  auto mail = sample();
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += static_cast<char>(i % 256);
  mail.attachments = {{"Protokoll für Größe \"1\".pdf", "application/pdf", bytes}, {"plain.txt", "text/plain; charset=UTF-8", "--=_verbund_part--\r\n"}};
  const auto read = composed(mail);
  EXPECT_EQ(read.at("text"), "Zwei Dateien fehlen.\n");
  const auto& parts = read.at("attachments").as_array();
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].at(0), "Protokoll für Größe \"1\".pdf");
  EXPECT_EQ(parts[0].at(1), "application/pdf");
  EXPECT_EQ(parts[0].at(2).as_string().size(), 2000U);
  EXPECT_TRUE(std::string(parts[0].at(2).as_string()).starts_with("000102030405"));
  EXPECT_EQ(parts[1].at(0), "plain.txt");
  EXPECT_EQ(json::serialize(read.at("defects")), "[]");
}

TEST(Compose, RefusesLineBreaksInHeaders) {
  for (const std::string_view end : std::vector<std::string_view>{"\r\n", "\n", "\r", std::string_view("\0", 1)}) {
    const std::string injected = "Backup" + std::string(end) + "Bcc: thief@elsewhere.example";
    auto mail = sample();
    mail.subject = injected;
    EXPECT_EQ(compose(mail, settings(), kNow).error().code, ErrorCode::kUsage);
    mail = sample();
    mail.to = {"a@b.example" + std::string(end) + "Bcc: thief@elsewhere.example"};
    EXPECT_EQ(compose(mail, settings(), kNow).error().code, ErrorCode::kUsage);
    mail = sample();
    mail.attachments = {{injected, "application/pdf", "x"}};
    EXPECT_EQ(compose(mail, settings(), kNow).error().code, ErrorCode::kUsage);
    mail = sample();
    mail.message_id = "a@b" + std::string(end);
    EXPECT_EQ(compose(mail, settings(), kNow).error().code, ErrorCode::kUsage);
    auto from = settings();
    from.from = "Name" + std::string(end) + "X: y <a@b.example>";
    EXPECT_EQ(compose(sample(), from, kNow).error().code, ErrorCode::kUsage);
  }
}

TEST(Compose, RefusesWhatIsNoAddress) {
  for (const auto* text : {"", "weber", "@b", "a@", "a@b@c", "a b@c.example", "<a@b.example", "a@b.example>", "N <a@b.example> x", "a@b.example, c@d.example",
                           "weber@praxis.example>\"", "wéber@praxis.example", "Name <a@b.example><c@d.example"}) {
    const auto address = bare_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kUsage);
  }
  EXPECT_EQ(bare_address("Dr. Weber <weber@praxis.example>").value(), "weber@praxis.example");
  EXPECT_EQ(bare_address(" weber@praxis.example ").value(), "weber@praxis.example");
}

TEST(Compose, ShowsBytesThatAreNoUtf8AsReplacementCharacters) {
  auto mail = sample();
  mail.subject = "M\xFCller";
  mail.text = "M\xFCller\n";
  const auto read = composed(mail);
  EXPECT_EQ(read.at("subject"), "M\uFFFDller");
  EXPECT_EQ(read.at("text"), "M\uFFFDller\n");
}

TEST(Compose, HasALimit) {
  auto mail = sample();
  mail.attachments = {{"x", "text/plain", std::string(kMaxMailBytes, 'x')}};
  EXPECT_EQ(compose(mail, settings(), kNow).error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace verbund::mail
