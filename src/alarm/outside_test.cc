// Printers and pings: a fake lp, Debian's CUPS with a queue into a file, an HTTP server.
#include <csignal>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alarm/alarm.h"
#include "platform/os/clock.h"
#include "platform/os/descriptor.h"
#include "platform/os/file.h"
#include "platform/os/scratch_directory.h"

namespace verbund::alarm {
namespace {

using ::testing::HasSubstr;

struct Silent final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

/// A program of the name `lp` first in PATH.
class FakeLp {
 public:
  explicit FakeLp(const std::string& script) : before_(std::getenv("PATH")) {
    const auto file = scratch_.path() / "lp";
    if (!os::write_file_atomically(file, "#!/bin/sh\n" + script, 0755)) std::abort();
    setenv("PATH", (scratch_.path().native() + ":" + before_).c_str(), 1);
    setenv("LP_NOTES", scratch_.path().c_str(), 1);
  }
  FakeLp(const FakeLp&) = delete;
  FakeLp& operator=(const FakeLp&) = delete;
  ~FakeLp() { setenv("PATH", before_.c_str(), 1); }
  [[nodiscard]] std::string note(const char* name) const { return os::read_file(scratch_.path() / name).value_or(""); }

 private:
  os::ScratchDirectory scratch_;
  std::string before_;
};

struct Outside : ::testing::Test {
  Alarm open(Config how) {
    how.language = Language::kEnglish;
    how.office = "Praxis";
    return std::move(*Alarm::open(scratch.path() / "alarm", std::move(how), log));
  }
  Config printer(std::string name) {
    Config how;
    how.printer = std::move(name);
    return how;
  }
  os::ScratchDirectory scratch;
  os::SystemClock clock;
  Silent log;
};

TEST_F(Outside, PrintsThroughLp) {
  const FakeLp lp("printf '%s|' \"$@\" > $LP_NOTES/words; eval cat \\\"\\$$#\\\" > $LP_NOTES/paper\n");
  auto alarm = open(printer("Empfang"));
  ASSERT_TRUE(os::write_file_atomically(scratch.path() / "report.pdf", "%PDF"));
  const auto printed = alarm.print(scratch.path() / "report.pdf", "Protokoll 22.11.", clock);
  ASSERT_TRUE(printed) << printed.error().message;
  EXPECT_EQ(lp.note("words"), "-d|Empfang|-t|Protokoll 22.11.|--|" + (scratch.path() / "report.pdf").native() + "|");
  EXPECT_EQ(lp.note("paper"), "%PDF");
}

TEST_F(Outside, PrintsNothingWithoutAPrinter) {
  const FakeLp lp("touch $LP_NOTES/words; exit 1\n");
  EXPECT_TRUE(open({}).print("/nonexistent", "x", clock));
  EXPECT_EQ(lp.note("words"), "");
}

TEST_F(Outside, HasThePrintersWordsWhenItTakesNothing) {
  const FakeLp lp("echo 'lp: The printer or class does not exist.' >&2; exit 1\n");
  const auto printed = open(printer("Keller")).print("/etc/hostname", "x", clock);
  ASSERT_FALSE(printed);
  EXPECT_EQ(printed.error().code, ErrorCode::kProgramFailed);
  EXPECT_THAT(printed.error().message, HasSubstr("print to Keller: lp ends with 1: lp: The printer or class does not exist."));
}

TEST_F(Outside, PutsAlarmsOnPaperWhenNoMailServerIsNamed) {
  const FakeLp lp("eval cat \\\"\\$$#\\\" >> $LP_NOTES/paper\n");
  auto alarm = open(printer("Empfang"));
  ASSERT_TRUE(alarm.hold("backup", {{"a", verbatim("no medium for tonight"), {}, {}}}, clock));
  ASSERT_TRUE(alarm.hold("backup", {{"a", verbatim("no medium for tonight"), {}, {}}}, clock));
  EXPECT_THAT(lp.note("paper"), HasSubstr("no medium for tonight"));
  EXPECT_EQ(lp.note("paper").find("medium"), lp.note("paper").rfind("medium")) << "once";
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path() / "alarm")) EXPECT_NE(entry.path().extension(), ".txt");
}

TEST_F(Outside, APrinterThatTakesNothingIsAState) {
  {
    const FakeLp lp("echo broken >&2; exit 1\n");
    auto alarm = open(printer("Empfang"));
    ASSERT_TRUE(alarm.hold("backup", {{"a", verbatim("no medium"), {}, {}}}, clock));
    ASSERT_EQ(alarm.current("paper").size(), 1U);
    EXPECT_THAT(alarm.current("paper")[0].text.english(), HasSubstr("broken"));
  }
  const FakeLp lp("exit 0\n");
  auto alarm = open(printer("Empfang"));
  ASSERT_TRUE(alarm.hold("backup", {{"b", verbatim("another"), {}, {}}}, clock));
  EXPECT_TRUE(alarm.current("paper").empty()) << "it has printed since";
}

/// Answers each request with `status` and keeps its first line.
class HttpServer {
 public:
  explicit HttpServer(std::string status) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), status_(std::move(status)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_.number(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_.number(), 5) != 0) std::abort();
    ::getsockname(listener_.number(), reinterpret_cast<sockaddr*>(&address), &size);
    url_ = fmt::format("http://127.0.0.1:{}/ping/secret-id", ntohs(address.sin_port));
    thread_ = std::jthread([this] { serve(); });
  }
  ~HttpServer() {
    ::shutdown(listener_.number(), SHUT_RDWR);
    thread_.join();
  }
  [[nodiscard]] const std::string& url() const { return url_; }
  std::vector<std::string> asked;  // read after the answer has come

 private:
  void serve() {
    while (true) {
      const os::Descriptor peer(::accept(listener_.number(), nullptr, nullptr));
      if (!peer) return;
      std::string request(2000, '\0');
      const auto got = ::read(peer.number(), request.data(), request.size());
      asked.push_back(request.substr(0, std::min(request.find(" HTTP"), static_cast<std::size_t>(std::max<ssize_t>(got, 0)))));
      const std::string answer = "HTTP/1.1 " + status_ + "\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
      if (::write(peer.number(), answer.data(), answer.size()) < 0) return;
    }
  }
  os::Descriptor listener_;
  std::string status_, url_;
  std::jthread thread_;
};

TEST_F(Outside, PingsTheDeadMansSwitch) {
  HttpServer server("200 OK");
  Config how;
  how.ping_url = server.url();
  auto alarm = open(how);
  ASSERT_TRUE(alarm.ping(true));
  ASSERT_TRUE(alarm.ping(false));
  EXPECT_EQ(server.asked, (std::vector<std::string>{"GET /ping/secret-id", "GET /ping/secret-id/fail"}));
  EXPECT_EQ(ping_address("https://hc.example/ID/?rid=1", false), "https://hc.example/ID/fail?rid=1");
  EXPECT_TRUE(open({}).ping(true)) << "none is wanted";
}

TEST_F(Outside, SaysWhenThePingDidNotArriveAndKeepsItsAddress) {
  HttpServer server("404 Not Found");
  Config how;
  how.ping_url = server.url();
  const auto refused = open(how).ping(true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotReachable);
  EXPECT_THAT(refused.error().message, HasSubstr("it answers 404"));
  EXPECT_THAT(refused.error().message, ::testing::Not(HasSubstr("secret-id")));
  how.ping_url = "http://127.0.0.1:1/secret-id";
  EXPECT_EQ(open(how).ping(true).error().code, ErrorCode::kNotReachable);
}

}  // namespace
}  // namespace verbund::alarm
