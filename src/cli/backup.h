#pragma once
/// What the subcommands of `backup` share. Main thread.
#include <atomic>

#include "backup/office.h"
#include "backup/set_journal.h"
#include "cli/command.h"
#include "cli/office_progress.h"
#include "cli/progress.h"
#include "node/installation.h"
#include "node/office_backup.h"
#include "platform/os/clock.h"
#include "platform/os/log_sink.h"

namespace verbund::cli {

/// The installation that a backup command works on.
struct OfficeAtHand {
  node::Installation installation;
  backup::Office office;
  std::unique_ptr<Log> log;
};
Result<OfficeAtHand> office_at_hand(const Globals& globals);

/// A set by its id on the target, by its number, by its path, or "newest".
Result<std::filesystem::path> find_set(const backup::Office& office, const std::string& target, const std::string& name);

/// The private key of a file, when one is named. Errors: those of RecipientKey::load.
Result<std::optional<backup::RecipientKey>> key_of(const std::string& file);

/// Whose set it is: `signer` (a public key, or a file that holds it), or the key that lies in it, which a person compares with the
/// recovery sheet unless `yes`. Errors: kForbidden (nobody has said).
Result<backup::PublicKey> signer_of(const Globals& globals, const std::filesystem::path& set, const std::string& signer, bool yes);

/// Enters a fact into the installation's ledger, now. Errors: those of Ledger::open and Ledger::enter.
Status enter_fact(const backup::Office& office, backup::Fact fact);

/// The node's feed over REST; without a node there is nothing to hold.
class RestFeedGate final : public backup::FeedGate {
 public:
  RestFeedGate(const Globals& globals, std::string no_node) : globals_(globals), no_node_(std::move(no_node)) {}
  Held hold(Deadline deadline, seconds span) override;
  bool release() override;

 private:
  const Globals& globals_;
  std::string no_node_;  ///< why there is none; empty: one runs
};

/// SIGINT and SIGTERM set a flag instead of ending the program: services have to be started first.
const std::atomic<bool>& interrupted_flag();

/// The installation of a drill runs no nights and tells nobody: said, and the exit code; nothing: it is none.
std::optional<int> said_of_drill(const Globals& globals);

/// A restore that was interrupted is ended first, and people are told. The exit code when that fails.
std::optional<int> settle_interrupted(const Globals& globals, const std::filesystem::path& directory);

// Subcommands of `backup`.
void add_backup_run(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_night(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_check(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_sets(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_restore(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_media(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_duty(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_schedule(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_report(CLI::App& backup, Globals& globals, const Runner& run);
void add_report_ack(CLI::App& reports, Globals& globals, const Runner& run);  ///< subcommand of `backup report`
void add_backup_key(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_offsite(CLI::App& backup, Globals& globals, const Runner& run);
void add_backup_drill(CLI::App& backup, Globals& globals, const Runner& run);

}  // namespace verbund::cli
