#pragma once
/// [mail] and [alarm] of config/verbund.toml. docs/operations/backup-report.md explains every key. Values; any thread.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/messages.h"
#include "platform/mail/smtp.h"
#include "platform/os/config_file.h"

namespace verbund::alarm {

/// Of which runs the report is sent or printed.
enum class Reports { kAlways, kTrouble, kNever };  ///< kTrouble: of those that were not complete and proven

struct Config {
  std::optional<mail::SmtpSettings> smtp;    ///< absent: nobody is told by mail, and `status` says so. Its password stands in password_file
  std::filesystem::path password_file;       ///< 0600; read anew for each delivery; asked for only when there is a user
  std::vector<std::string> administrators;   ///< who is told when nobody else is named
  std::string printer;                       ///< queue of `lp`; empty: nothing is printed
  std::string office;                        ///< name of the practice, in subjects
  std::string ping_url;                      ///< dead man's switch: asked for after each good run (…/fail after others); empty: none
  Reports mail_reports = Reports::kAlways, print_reports = Reports::kTrouble;
  std::chrono::days test_mail_every{30};     ///< a mail that somebody has to acknowledge; 0: none
  std::chrono::days acknowledged_within{7};  ///< later it is an alarm
  Language language = Language::kGerman;
};

/// `installation`: where secrets/mail stands; `name` stands for an office without a name of its own. The password is not read.
/// Errors: kBadConfig "FILE:LINE: KEY = VALUE: …".
Result<Config> read_config(os::ConfigFile& file, const std::filesystem::path& installation, const std::string& name);

/// The password, "" when there is no user. Errors: kBadConfig (others may read it, it is empty), kNotFound, kIo.
Result<std::string> password_of(const Config& config);

/// What stands in a new config/verbund.toml: every key with its default, in comments.
std::string_view default_config();

}  // namespace verbund::alarm
