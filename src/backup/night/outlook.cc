#include "backup/night/outlook.h"

#include "backup/media/ledger.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

fs::path since_file(const fs::path& installation) { return installation / "backup" / "nights.since"; }

}  // namespace

bool backup_configured(const Config& config, const Book& book) { return !config.target.empty() || book.uses_media(); }

Result<std::optional<LocalTime>> nights_since(const fs::path& installation) {
  auto text = os::read_file(since_file(installation), 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<LocalTime>();
  if (!text) return pass(text, "backup nights");
  const auto since = parse_local_time(std::string_view(*text).substr(0, text->find('\n')));
  if (since) return std::optional(*since);
  return fail(ErrorCode::kDamaged, phrase("{}: holds no time", since_file(installation).native()), phrase("Remove it: the nights are counted from now on then."));
}

Result<LocalTime> begin_nights(const fs::path& installation, LocalTime now) {
  auto since = nights_since(installation);
  if (!since) return pass(since);
  if (*since) return **since;
  if (auto made = os::make_directories(since_file(installation).parent_path(), 0700); !made) return pass(made);
  if (auto written = os::write_file_atomically(since_file(installation), local_time_text(now) + "\n", 0600); !written) return pass(written);
  return now;
}

Outlook outlook_of(const Config& config, const Book& book, LocalTime since, LocalTime now) {
  Outlook out;
  out.configured = backup_configured(config, book);
  out.now = now;
  if (!out.configured) return out;
  out.copies_only = !book.uses_media();
  out.next = next_run(config.plan, book, since, now);
  out.last_good = book.last_good();
  out.last_run = book.last_run();
  const auto see = [&out](const std::vector<SetOnMedium>& sets) {
    for (const auto& set : sets) {
      if (set.counts() && (!out.last_set || *out.last_set < set.at)) out.last_set = set.at;
    }
  };
  see(book.copies());
  for (const auto& [id, medium] : book.media()) see(medium.sets);
  if (out.copies_only) return out;
  const auto due = due_on(config.plan, book, out.next);
  if (due.medium) out.next_medium = book.find(*due.medium)->label;
  out.next_problem = due.problem;
  return out;
}

Result<Outlook> outlook_of(const Office& office, LocalTime now) {
  // Whoever only looks makes nothing where there is nothing.
  std::error_code error;
  if (office.config.target.empty() && !fs::exists(office.directory / "backup" / "ledger.jsonl", error)) {
    Outlook nothing;
    nothing.now = now;
    return nothing;
  }
  auto trusted = trusted_keys(office.directory);
  if (!trusted) return pass(trusted);
  auto ledger = Ledger::open(office.directory, *trusted);
  if (!ledger) return pass(ledger);
  auto since = nights_since(office.directory);
  if (!since) return pass(since);
  return outlook_of(office.config, ledger->book(), since->value_or(now), now);
}

}  // namespace verbund::backup
