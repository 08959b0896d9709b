// Against a real SMTP server (testing/smtp_server.py).
#include <sys/socket.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "platform/mail/smtp_server_fixture.h"
#include "platform/os/descriptor.h"

namespace verbund::mail {
namespace {

using ::testing::HasSubstr;
using Security = SmtpSettings::Security;

const WallTime kNow = *from_iso8601("2026-11-22T01:30:05.000000Z");

Mail mail_to(std::vector<std::string> to) {
  Mail mail;
  mail.to = std::move(to);
  mail.subject = "Sicherung";
  mail.text = ".\nGrüße\n";
  mail.message_id = "1@praxis.example";
  return mail;
}

/// ErrorCode of a failure; fails the test when there is none.
Error failure(const Status& status) {
  EXPECT_FALSE(status);
  return status ? Error{} : status.error();
}

TEST(Smtp, DeliversInTheClear) {
  SmtpServer server;
  const auto sent = send(mail_to({"Dr. Weber <weber@praxis.example>", "gross@praxis.example"}), server.settings(), kNow);
  ASSERT_TRUE(sent) << sent.error().message;
  ASSERT_EQ(server.mails().size(), 1U);
  EXPECT_EQ(server.envelopes()[0], "weber@praxis.example\ngross@praxis.example");
  EXPECT_THAT(server.mails()[0], HasSubstr("Subject: Sicherung\r\n"));
  EXPECT_THAT(server.mails()[0], HasSubstr("Gr=C3=BC=C3=9Fe\r\n"));
}

TEST(Smtp, TakesTheWayThroughTls) {
  for (const auto& [option, security] : {std::pair{"starttls", Security::kStartTls}, {"tls", Security::kTls}}) {
    SmtpServer server({"--tls", option});
    auto settings = server.settings();
    settings.security = security;
    settings.ca_file = server.authority();
    const auto sent = send(mail_to({"weber@praxis.example"}), settings, kNow);
    ASSERT_TRUE(sent) << option << ": " << sent.error().message;
    EXPECT_EQ(server.mails().size(), 1U);

    settings.ca_file.clear();  // the system does not know the authority
    EXPECT_EQ(failure(send(mail_to({"weber@praxis.example"}), settings, kNow)).code, ErrorCode::kUntrusted) << option;
    EXPECT_EQ(server.mails().size(), 1U);
  }
}

TEST(Smtp, GoesNotOnInTheClearWhenTheServerHasNoStartTls) {
  SmtpServer server;
  auto settings = server.settings();
  settings.security = Security::kStartTls;
  EXPECT_EQ(failure(send(mail_to({"weber@praxis.example"}), settings, kNow)).code, ErrorCode::kUntrusted);
  EXPECT_TRUE(server.mails().empty());
}

TEST(Smtp, LogsIn) {
  SmtpServer server({"--tls", "starttls", "--user", "praxis", "--password", "geheim ü"});
  auto settings = server.settings();
  settings.security = Security::kStartTls;
  settings.ca_file = server.authority();
  settings.user = "praxis";
  settings.password = "geheim ü";
  const auto sent = send(mail_to({"weber@praxis.example"}), settings, kNow);
  ASSERT_TRUE(sent) << sent.error().message;

  settings.password = "falsch-0815";
  const auto refused = failure(send(mail_to({"weber@praxis.example"}), settings, kNow));
  EXPECT_EQ(refused.code, ErrorCode::kUnauthenticated);
  EXPECT_EQ((refused.message + refused.hint).find("falsch-0815"), std::string::npos);
  EXPECT_EQ(server.mails().size(), 1U);
}

TEST(Smtp, KeepsThePasswordFromAnUnprotectedLine) {
  SmtpSettings settings;
  settings.host = "mail.praxis.example";
  settings.security = Security::kNone;
  settings.user = "praxis";
  settings.password = "geheim";
  settings.from = "a@praxis.example";
  EXPECT_EQ(failure(send(mail_to({"weber@praxis.example"}), settings, kNow)).code, ErrorCode::kPlaintextRefused);
}

TEST(Smtp, TellsForGoodFromNotNow) {
  SmtpServer server;
  const auto refused = failure(send(mail_to({"refuse@praxis.example"}), server.settings(), kNow));
  EXPECT_EQ(refused.code, ErrorCode::kNotDelivered);
  EXPECT_THAT(refused.message, HasSubstr("no such user here"));
  const auto full = failure(send(mail_to({"full@praxis.example"}), server.settings(), kNow));
  EXPECT_EQ(full.code, ErrorCode::kNotDelivered);
  EXPECT_THAT(full.message, HasSubstr("mailbox full"));
  const auto later = failure(send(mail_to({"later@praxis.example"}), server.settings(), kNow));
  EXPECT_EQ(later.code, ErrorCode::kNotReachable);
  EXPECT_THAT(later.message, HasSubstr("greylisted"));
}

TEST(Smtp, LeavesAServerThatHangsAfterItsLimit) {
  SmtpServer server;
  auto settings = server.settings();
  settings.limit = seconds(1);
  EXPECT_EQ(failure(send(mail_to({"hang@praxis.example"}), settings, kNow)).code, ErrorCode::kNotReachable);
}

TEST(Smtp, MayTryAgainAfterTheServerDied) {
  SmtpServer server;
  auto mail = mail_to({"die@praxis.example"});
  mail.text = std::string(2'000'000, 'x');
  EXPECT_EQ(failure(send(mail, server.settings(), kNow)).code, ErrorCode::kNotReachable);
  const auto settings = server.settings();
  server.stop();
  EXPECT_EQ(failure(send(mail_to({"weber@praxis.example"}), settings, kNow)).code, ErrorCode::kNotReachable);
}

TEST(Smtp, SendsNothingWithABadAddress) {
  SmtpServer server;
  EXPECT_EQ(failure(send(mail_to({"weber@praxis.example", "nobody"}), server.settings(), kNow)).code, ErrorCode::kUsage);
  EXPECT_TRUE(server.mails().empty());
}

/// Listens, and takes no connection.
TEST(Smtp, LeavesAServerThatNeverGreets) {
  const os::Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.number(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.number(), 1), 0);
  ::getsockname(listener.number(), reinterpret_cast<sockaddr*>(&address), &size);
  SmtpSettings settings;
  settings.host = "127.0.0.1";
  settings.port = ntohs(address.sin_port);
  settings.security = Security::kNone;
  settings.from = "a@praxis.example";
  settings.limit = seconds(1);
  EXPECT_EQ(failure(send(mail_to({"weber@praxis.example"}), settings, kNow)).code, ErrorCode::kNotReachable);
}

}  // namespace
}  // namespace verbund::mail
