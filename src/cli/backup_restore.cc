/// verbund backup restore
#include "backup/restore_office.h"

#include "cli/backup.h"
#include "node/command_server.h"
#include "node/restored.h"

namespace verbund::cli {
namespace {

struct Options {
  std::string set, target, into, key;
  std::vector<std::string> only;
  bool in_place = false, dry_run = false, yes = false, drop_old = false;
};

int finish(const Globals& globals, const backup::OfficeRestored& done, const Status& outcome) {
  const bool anything = !done.databases.empty() || !done.folders.empty();
  if (outcome || anything) fmt::print("{}\n", globals.json ? done.to_json() : done.to_text(globals.language));
  if (!outcome) return report(globals, outcome.error());
  return done.services_down.empty() ? 0 : exit_code(ErrorCode::kProgramFailed);
}

/// Nobody may write meanwhile, and a person has agreed.
Result<node::CommandServer> hold_office(const Globals& globals, const OfficeAtHand& at_hand, const Options& options, const std::string& set) {
  auto server = node::CommandServer::open(at_hand.installation, "verbund backup restore");
  if (!server) return server;
  if (server->node_runs()) {
    return fail(ErrorCode::kInUse, phrase("backup restore: a node runs on {}", at_hand.office.directory.string()),
                phrase("Stop it first (systemctl stop verbund): nobody may write while the office is restored."));
  }
  if (options.yes || agreed(translated(globals.language, "Replace the office's present state by set {}? What is there stays under other names. [y/N]", set))) return server;
  return fail(ErrorCode::kCancelled, phrase("backup restore: not agreed to"), phrase("--yes agrees without being asked"));
}

Result<backup::SetReader> open_set(const OfficeAtHand& at_hand, const Options& options, const std::optional<backup::RecipientKey>& key) {
  auto path = find_set(at_hand.office, options.target, options.set);
  if (!path) return pass(path);
  auto trusted = backup::trusted_keys(at_hand.office.directory);
  if (!trusted) return pass(trusted);
  auto set = backup::SetReader::open(*path, *trusted);
  if (!set || !key) return set;
  if (auto unlocked = set->unlock(*key); !unlocked) return pass(unlocked);
  return set;
}

int restore_from(const Globals& globals, const OfficeAtHand& at_hand, const Options& options, const backup::SetReader& set,
                 const std::optional<backup::RecipientKey>& key) {
  const os::SystemClock clock;
  auto programs = backup::Programs::find(at_hand.office.config.programs.empty() ? std::nullopt : std::optional(at_hand.office.config.programs));
  if (!programs) return report(globals, programs.error());
  ProgressLine progress(globals, &interrupted_flag());
  backup::OfficeRestore how;
  how.only = options.only;
  if (!options.into.empty()) how.into = std::filesystem::absolute(options.into).lexically_normal();
  how.dry_run = options.dry_run;
  how.keep_old = !options.drop_old;
  how.own_slot = at_hand.installation.settings().feed_slot;
  how.key = key ? &*key : nullptr;
  how.interrupted = &interrupted_flag();
  how.on_step = [&progress](const Phrase& step) { progress.step(step); };
  how.after_databases = [&](const backup::OfficeSwap& swap) {
    return node::begin_after_exchange(at_hand.installation, at_hand.office.superuser, swap, clock.wall());
  };
  backup::OfficeRestored done;
  auto outcome = backup::restore_office(at_hand.office, set, *programs, how, done, progress, clock, *at_hand.log);
  return finish(globals, done, outcome);
}

int restore_set(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  if (options.in_place == !options.into.empty()) {
    return report(globals, make_error(ErrorCode::kUsage, phrase("backup restore: either --into DIR or --in-place")));
  }
  auto key = key_of(options.key);
  if (!key) return report(globals, key.error());
  auto set = open_set(*at_hand, options, *key);
  if (!set) return report(globals, set.error());
  if (!options.dry_run) {
    if (const auto failed = settle_interrupted(globals, at_hand->office.directory)) return *failed;
  }
  auto lock = backup::lock_runs(at_hand->office.directory, "restore", os::SystemClock());
  if (!lock) return report(globals, lock.error());
  if (!options.in_place || options.dry_run) return restore_from(globals, *at_hand, options, *set, *key);
  auto server = hold_office(globals, *at_hand, options, set->manifest().id);
  if (!server) return report(globals, server.error());
  return restore_from(globals, *at_hand, options, *set, *key);
}

}  // namespace

void add_backup_restore(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = backup.add_subcommand("restore", text("restore the office from a set, or parts of it"));
  command->add_option("--set", options->set, text("its name, its number, its path, or newest"))->required();
  command->add_option("--target", options->target, text("directory that holds the sets; default: config/backup.toml"));
  auto* into = command->add_option("--into", options->into, text("to this directory, for a look; nothing present is touched"));
  command->add_flag("--in-place", options->in_place, text("where it came from; the node must be stopped"))->excludes(into);
  command->add_option("--only", options->only, text("a database, an application, or the path of a file; may be repeated"));
  command->add_option("--key", options->key, text("file with the private key of an encrypted set"));
  command->add_flag("--drop-old", options->drop_old, text("don't keep the former databases under another name"));
  command->add_flag("--dry-run", options->dry_run, text("say what would be done, and do nothing"));
  command->add_flag("--yes", options->yes, text("agree without being asked"));
  command->callback([&globals, run, options] { run([&globals, options] { return restore_set(globals, *options); }); });
}

}  // namespace verbund::cli
