#pragma once
/// testing/smtp_server.py as a child of a test: a real SMTP server (Debian's python3-aiosmtpd), ended with the test.
#include <algorithm>
#include <csignal>
#include <stdexcept>

#include "platform/mail/smtp.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/os/scratch_directory.h"
#include "testing/eventually.h"

namespace verbund::mail {

class SmtpServer {
 public:
  explicit SmtpServer(std::vector<std::string> options = {}) {
    os::Command command;
    command.argv = {"/usr/bin/python3", "testing/smtp_server.py", scratch_.path()};
    command.argv.insert(command.argv.end(), options.begin(), options.end());
    auto child = os::start(command, scratch_.path() / "log");
    if (!child) throw std::runtime_error(child.error().message);
    child_ = *child;
    const bool up = testing::eventually([&] { return std::filesystem::exists(scratch_.path() / "port") || os::exit_code_if_ended(child_).has_value(); });
    if (!up || !std::filesystem::exists(scratch_.path() / "port")) throw std::runtime_error(os::read_file(scratch_.path() / "log").value_or("no log"));
    port_ = static_cast<std::uint16_t>(std::stoi(*os::read_file(scratch_.path() / "port")));
  }
  SmtpServer(const SmtpServer&) = delete;
  SmtpServer& operator=(const SmtpServer&) = delete;
  ~SmtpServer() { stop(); }

  void stop() {
    const os::SystemClock clock;
    if (child_.pid > 0) os::signal_and_wait(child_.pid, SIGKILL, Deadline::in(clock, seconds(10)), clock);
    child_ = {};
  }

  [[nodiscard]] SmtpSettings settings() const {
    SmtpSettings smtp;
    smtp.host = "127.0.0.1";
    smtp.port = port_;
    smtp.security = SmtpSettings::Security::kNone;
    smtp.from = "Verbund <backup@praxis.example>";
    smtp.limit = seconds(20);
    return smtp;
  }
  [[nodiscard]] std::filesystem::path authority() const { return scratch_.path() / "ca.pem"; }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// Texts of the mails that have arrived, oldest first.
  [[nodiscard]] std::vector<std::string> mails() const { return files(".eml"); }
  /// Recipients of the envelopes, a line each.
  [[nodiscard]] std::vector<std::string> envelopes() const { return files(".to"); }

 private:
  std::vector<std::string> files(const char* suffix) const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) {
      if (entry.path().extension() == suffix) found.push_back(entry.path());
    }
    std::ranges::sort(found);
    std::vector<std::string> texts;
    for (const auto& path : found) texts.push_back(os::read_file(path).value());
    return texts;
  }

  os::ScratchDirectory scratch_;
  os::Child child_;
  std::uint16_t port_ = 0;
};

}  // namespace verbund::mail
