#pragma once
/// What plan, ledger and clock say of the nights; nothing is changed by looking. Blocking; any thread.
#include <filesystem>
#include <optional>
#include <string>

#include "backup/office.h"
#include "backup/rotation/plan.h"

namespace verbund::backup {

struct Outlook {
  bool configured = false;             ///< false: neither a target nor media. Then nothing is due, and all below is empty
  bool copies_only = false;            ///< sets go to a directory: copies, no backup (C7)
  LocalTime now{};
  LocalTime next{};                    ///< when the next run is due; not after `now`: it is
  std::string next_medium;             ///< its label; empty: a directory, or none is free
  Phrase next_problem;                 ///< of its medium; msgid empty: none
  std::optional<Event<SetOnMedium>> last_good;
  std::optional<Event<fact::RunEnded>> last_run;
  std::optional<LocalTime> last_set{};   ///< when the newest run ended that has left a set, complete or not, and not found damaged
  [[nodiscard]] bool due() const { return configured && next <= now; }
};

/// A target to write to, or media in use.
bool backup_configured(const Config& config, const Book& book);
/// The installation's first day: before it nothing was due. DIR/backup/nights.since; nullopt: it has not begun. Errors: kDamaged, kIo.
Result<std::optional<LocalTime>> nights_since(const std::filesystem::path& installation);
/// The same; written when there is none, never again. For whoever looks at an office that has a backup configured.
Result<LocalTime> begin_nights(const std::filesystem::path& installation, LocalTime now);

Outlook outlook_of(const Config& config, const Book& book, LocalTime since, LocalTime now);
/// By the office's own ledger. Errors: those of Ledger::open and nights_since.
Result<Outlook> outlook_of(const Office& office, LocalTime now);

}  // namespace verbund::backup
