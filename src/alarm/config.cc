#include "alarm/config.h"

#include <sys/stat.h>

#include "platform/mail/ping.h"
#include "platform/os/file.h"
#include "platform/os/read_setting.h"

namespace verbund::alarm {
namespace {

constexpr std::string_view kDefault = R"toml(
[mail]                          # run reports and alarms by mail; without a host nobody is told by mail
# host = "smtp.praxis.example"
# port = 587                     # 465 goes with security = "tls"
# security = "starttls"          # "starttls", "tls", or "none" (on this machine only, when there is a user)
# user = ""                      # "" = no login
# password_file = ""             # default: secrets/mail of the installation, 0600: its first line is the password
# ca_file = ""                   # PEM; "" = the authorities that the system trusts
# from = "Verbund <backup@praxis.example>"
# limit_seconds = 60             # 5 … 600: for one mail
# administrators = ["Dr. Weber <weber@praxis.example>"]   # who is told when nobody else is named

[alarm]
# office = ""                    # name of the practice in subjects; default: node.name
# language = "de"                # "de" or "en": of mails and of what is printed
# printer = ""                   # queue of lp; "" = nothing is printed
# mail_reports = "always"        # of which runs the report is sent: "always", "trouble" (not complete and proven), "never"
# print_reports = "trouble"      # and printed
# test_mail_days = 30            # 0 … 366: so often a mail goes out that somebody has to acknowledge; 0 = none
# acknowledge_days = 7           # 1 … 60: not acknowledged after so long is an alarm
# ping_url = ""                  # a dead man's switch (Healthchecks): asked for after each good run, URL/fail after others
)toml";

std::unexpected<Error> bad(const os::ConfigFile& file, const char* key, const Error& why) {
  return std::unexpected(Error(why).in(phrase("{}:{}: {}", file.name(), file.line(key), key)));
}

/// The same complaint as for any other value.
Status check_address(const os::ConfigFile& file, const char* key, const std::string& address) {
  if (auto fine = mail::bare_address(address); !fine) {
    auto error = std::move(fine.error());
    error.code = ErrorCode::kBadConfig;
    return bad(file, key, error);
  }
  return {};
}

Status read_smtp(os::ConfigFile& file, mail::SmtpSettings& smtp) {
  using Security = mail::SmtpSettings::Security;
  std::string security;
  VERBUND_READ(smtp.host, file.text("mail.host", ""));
  VERBUND_READ(security, file.choice("mail.security", "starttls", {"starttls", "tls", "none"}));
  smtp.security = security == "tls" ? Security::kTls : security == "none" ? Security::kNone : Security::kStartTls;
  VERBUND_READ(smtp.port, file.integer("mail.port", smtp.security == Security::kTls ? 465 : 587, 1, 65535));
  VERBUND_READ(smtp.user, file.text("mail.user", ""));
  VERBUND_READ(smtp.ca_file, file.text("mail.ca_file", ""));
  VERBUND_READ(smtp.from, file.text("mail.from", ""));
  std::int64_t limit = 0;
  VERBUND_READ(limit, file.integer("mail.limit_seconds", 60, 5, 600));
  smtp.limit = seconds(limit);
  if (smtp.host.empty()) return {};
  if (smtp.host.find_first_of("/@ \t") != std::string::npos) {
    return bad(file, "mail.host", make_error(ErrorCode::kBadConfig, phrase("'{}' is no host", smtp.host), phrase("a name or an address, without a port")));
  }
  if (smtp.from.empty()) {
    return bad(file, "mail.host", make_error(ErrorCode::kBadConfig, phrase("`from` is missing"), phrase("from = \"Verbund <backup@praxis.example>\" in [mail]")));
  }
  return check_address(file, "mail.from", smtp.from);
}

Result<Reports> read_reports(os::ConfigFile& file, const char* key, const char* otherwise) {
  auto word = file.choice(key, otherwise, {"always", "trouble", "never"});
  if (!word) return pass(word);
  return *word == "always" ? Reports::kAlways : *word == "trouble" ? Reports::kTrouble : Reports::kNever;
}

Status read_alarm(os::ConfigFile& file, const std::string& name, Config& config) {
  VERBUND_READ(config.mail_reports, read_reports(file, "alarm.mail_reports", "always"));
  VERBUND_READ(config.print_reports, read_reports(file, "alarm.print_reports", "trouble"));
  std::int64_t days = 0;
  VERBUND_READ(days, file.integer("alarm.test_mail_days", 30, 0, 366));
  config.test_mail_every = std::chrono::days(days);
  VERBUND_READ(days, file.integer("alarm.acknowledge_days", 7, 1, 60));
  config.acknowledged_within = std::chrono::days(days);
  VERBUND_READ(config.office, file.text("alarm.office", ""));
  if (config.office.empty()) config.office = name;
  std::string language;
  VERBUND_READ(language, file.choice("alarm.language", "de", {"de", "en"}));
  config.language = language == "de" ? Language::kGerman : Language::kEnglish;
  VERBUND_READ(config.printer, file.text("alarm.printer", ""));
  VERBUND_READ(config.ping_url, file.text("alarm.ping_url", ""));
  if (!config.ping_url.empty() && mail::host_of(config.ping_url).empty()) {
    return bad(file, "alarm.ping_url", make_error(ErrorCode::kBadConfig, phrase("no http or https URL")));
  }
  return {};
}

}  // namespace

Result<Config> read_config(os::ConfigFile& file, const std::filesystem::path& installation, const std::string& name) {
  Config config;
  mail::SmtpSettings smtp;
  if (auto read = read_smtp(file, smtp); !read) return pass(read);
  if (!smtp.host.empty()) config.smtp = std::move(smtp);
  auto password_file = file.text("mail.password_file", "");
  if (!password_file) return pass(password_file);
  // A relative path is one inside the installation; "" is not one.
  config.password_file = installation / (password_file->empty() ? "secrets/mail" : *password_file);
  auto administrators = file.list("mail.administrators", {});
  if (!administrators) return pass(administrators);
  config.administrators = std::move(*administrators);
  for (const auto& each : config.administrators) {
    if (auto fine = check_address(file, "mail.administrators", each); !fine) return pass(fine);
  }
  if (auto read = read_alarm(file, name, config); !read) return pass(read);
  return config;
}

Result<std::string> password_of(const Config& config) {
  if (!config.smtp || config.smtp->user.empty()) return std::string();
  const auto& path = config.password_file;
  auto text = os::read_file(path, 4096);
  if (!text) return pass(text, "mail: password");
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0) {
    return fail(ErrorCode::kBadConfig, phrase("mail: password: others than its owner may read {}", path.native()), phrase("chmod 600 {}", path.native()));
  }
  text->resize(std::min(text->find_first_of("\r\n"), text->size()));
  if (text->empty()) return fail(ErrorCode::kBadConfig, phrase("mail: password: {} is empty", path.native()));
  return text;
}

std::string_view default_config() { return kDefault; }

}  // namespace verbund::alarm
