#pragma once
/// The monthly mail that somebody has to acknowledge: proof that mails arrive and are read. DIR/backup/reports/test-mail.record.
/// Blocking; one thread.
#include <functional>

#include "alarm/alarm.h"

namespace verbund::backup {

struct TestMail {
  std::string code;          ///< what `verbund backup report ack` wants
  WallTime sent{};
};
/// nullopt: none was sent yet. Errors: kDamaged, kIo.
Result<std::optional<TestMail>> last_test_mail(const std::filesystem::path& installation);

/// Puts a new one into the spool. Errors: those of Alarm::mail, kIo.
Result<TestMail> send_test_mail(const std::filesystem::path& installation, alarm::Alarm& alarm, const std::vector<std::string>& to, const Clock& clock);

/// For the daily round: sends one when it is due, and says what is wrong: not acknowledged in time. `acknowledged` asks the ledger
/// (Book::acknowledged). Nothing is sent and nothing wrong without [mail] or with test_mail_days = 0.
Result<std::vector<alarm::State>> care_for_test_mail(const std::filesystem::path& installation, alarm::Alarm& alarm, const std::vector<std::string>& to,
                                                     const std::function<bool(const std::string&)>& acknowledged, const Clock& clock);

}  // namespace verbund::backup
