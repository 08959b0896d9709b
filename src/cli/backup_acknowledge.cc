/// verbund backup report ack
#include <pwd.h>
#include <unistd.h>

#include "backup/media/ledger.h"
#include "backup/report/test_mail.h"
#include "cli/backup_publish.h"

namespace verbund::cli {
namespace {

struct Options {
  std::string code, by;
};

std::string own_name() {
  const passwd* entry = ::getpwuid(::getuid());
  return entry ? entry->pw_name : std::to_string(::getuid());
}

int acknowledge(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  const auto& dir = at_hand->office.directory;
  auto last = backup::last_test_mail(dir);
  if (!last) return report(globals, last.error());
  if (!*last || (*last)->code != options.code) {
    return report(globals, make_error(ErrorCode::kNotFound, phrase("acknowledge: {} is not the code of the last test mail", options.code)));
  }
  auto trusted = backup::trusted_keys(dir);
  if (!trusted) return report(globals, trusted.error());
  auto key = backup::signing_key(dir);
  if (!key) return report(globals, key.error());
  auto ledger = backup::Ledger::open(dir, *trusted);
  if (!ledger) return report(globals, ledger.error());
  if (!ledger->book().acknowledged(options.code)) {
    const auto by = options.by.empty() ? own_name() : options.by;
    const auto now = os::local_time(os::SystemClock().wall());
    if (auto entered = ledger->enter(backup::fact::MailAcknowledged{options.code, by}, now, *key); !entered) return report(globals, entered.error());
  }
  fmt::print("{}\n", globals.json ? "{\"acknowledged\":true}" : translate(globals.language, "acknowledged, thank you"));
  return 0;
}

}  // namespace

void add_report_ack(CLI::App& reports, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = reports.add_subcommand("ack", text("acknowledge a test mail"));
  command->add_option("code", options->code, text("code of the mail"))->required();
  command->add_option("--by", options->by, text("who acknowledges; default: the user of this machine"));
  command->callback([&globals, run, options] { run([&globals, options] { return acknowledge(globals, *options); }); });
}

}  // namespace verbund::cli
