#include "backup/report/test_mail.h"

#include <boost/json.hpp>

#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

fs::path file_of(const fs::path& installation) { return installation / "backup" / "reports" / "test-mail.record"; }

/// Read out over the telephone if need be: eight hex digits.
constexpr std::size_t kCodeBytes = 4;

}  // namespace

Result<std::optional<TestMail>> last_test_mail(const fs::path& installation) {
  auto text = os::read_file(file_of(installation), 64 * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!text) return pass(text);
  boost::system::error_code error;
  const auto value = json::parse(*text, error);
  const auto* object = error ? nullptr : value.if_object();
  const auto* code = object ? object->if_contains("code") : nullptr;
  const auto* sent = object ? object->if_contains("sent") : nullptr;
  const auto at = sent && sent->is_string() ? from_iso8601(std::string_view(sent->as_string())) : std::nullopt;
  if (!code || !code->is_string() || !at) return fail(ErrorCode::kDamaged, phrase("test mail: {} is none", file_of(installation).native()));
  return std::optional(TestMail{std::string(code->as_string()), *at});
}

Result<TestMail> send_test_mail(const fs::path& installation, alarm::Alarm& alarm, const std::vector<std::string>& to, const Clock& clock) {
  const auto& config = alarm.config();
  TestMail test{os::random_hex(kCodeBytes), clock.wall()};
  mail::Mail mail;
  mail.to = to;
  mail.subject = fmt::format("{}: {}", config.office, translated(config.language, "test mail, please acknowledge"));
  mail.text = translated(config.language, "Mails of the backup arrive. So that the backup knows it, too, please acknowledge on the server:") + "\n\n  verbund backup report ack " +
              test.code + "\n\n" + translated(config.language, "Without it this becomes an alarm after {} days.", config.acknowledged_within.count()) + "\n";
  if (auto made = os::make_directories(file_of(installation).parent_path(), 0700); !made) return pass(made);
  if (auto put = alarm.mail(std::move(mail), clock); !put) return pass(put);
  const json::object record{{"code", test.code}, {"sent", to_iso8601(test.sent)}};
  if (auto written = os::write_file_atomically(file_of(installation), json::serialize(record) + "\n", 0600); !written) return pass(written);
  return test;
}

Result<std::vector<alarm::State>> care_for_test_mail(const fs::path& installation, alarm::Alarm& alarm, const std::vector<std::string>& to,
                                                     const std::function<bool(const std::string&)>& acknowledged, const Clock& clock) {
  const auto& config = alarm.config();
  std::vector<alarm::State> states;
  if (!config.smtp || config.test_mail_every.count() == 0) return states;
  auto last = last_test_mail(installation);
  if (!last) return pass(last);
  const auto now = clock.wall();
  const bool open = last->has_value() && !acknowledged((*last)->code);
  // One that is still open is not hidden behind a new one.
  if (open && now - (*last)->sent >= config.acknowledged_within) {
    states.push_back({"mail/unacknowledged",
                      phrase("the test mail of {} has not been acknowledged: are mails read? verbund backup report ack {}", os::local_text((*last)->sent), (*last)->code), {}, {}});
  }
  const bool due = !last->has_value() || now < (*last)->sent || now - (*last)->sent >= config.test_mail_every;
  if (due && !open) {
    if (auto sent = send_test_mail(installation, alarm, to, clock); !sent) return pass(sent);
  }
  return states;
}

}  // namespace verbund::backup
