/// verbund backup list, show, verify, prune
#include "cli/backup.h"

#include <boost/json.hpp>

#include "backup/media/drives.h"
#include "backup/retention.h"
#include "backup/verify.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

struct Options {
  std::string target, set, level = "L4", key;
  int keep = 0;
  bool dry_run = false, yes = false;
};

/// A set as it is listed: what its manifest says, and what the journals say of it.
struct Listed {
  backup::Manifest manifest;
  fs::path path;
  backup::Proof proof;
  std::uint64_t stored_bytes = 0;
};
struct Listing {
  fs::path target;
  std::vector<Listed> sets;                                ///< by sequence
  std::vector<std::pair<fs::path, std::string>> ignored;   ///< and why
  std::vector<backup::SetEvent> events;
};

Result<Listing> list_sets(const OfficeAtHand& at_hand, const std::string& given) {
  Listing listing;
  auto target = backup::check_target(at_hand.office, given);
  if (!target) return pass(target);
  listing.target = std::move(*target);
  auto trusted = backup::trusted_keys(at_hand.office.directory);
  if (!trusted) return pass(trusted);
  auto found = backup::find_sets(listing.target, *trusted);
  if (!found) return pass(found);
  listing.ignored = std::move(found->ignored);
  auto events = backup::SetJournal(at_hand.office.directory, listing.target).read();
  if (!events) return pass(events);
  listing.events = std::move(*events);
  const auto proofs = backup::proofs_of(listing.events, "");
  for (auto& set : found->sets) {
    Listed listed{std::move(set.manifest), std::move(set.directory), {}, 0};
    if (const auto proof = proofs.find(listed.manifest.id); proof != proofs.end()) listed.proof = proof->second;
    for (const auto& member : listed.manifest.members) listed.stored_bytes += member.stored_bytes;
    listing.sets.push_back(std::move(listed));
  }
  return listing;
}

json::object to_json(const Listed& set) {
  const auto& manifest = set.manifest;
  json::object object{{"set", manifest.id},         {"path", set.path.string()},
                      {"sequence", std::to_string(manifest.sequence)},
                      {"begun", to_iso8601(manifest.begun)}, {"ended", to_iso8601(manifest.ended)},
                      {"complete", manifest.complete}, {"reasons", json::value_from(manifest.reasons)},
                      {"level", backup::level_name(set.proof.level)}, {"damaged", set.proof.damaged},
                      {"stored_bytes", std::to_string(set.stored_bytes)}};
  if (set.proof.level != backup::Level::kNone || set.proof.damaged) object["verified_at"] = to_iso8601(set.proof.at);
  return object;
}

std::string state_of(const Globals& globals, const Listed& set) {
  if (set.proof.damaged) return translated(globals.language, "DAMAGED");
  return translated(globals.language, set.manifest.complete ? msgid("complete") : msgid("INCOMPLETE"));
}

std::string proof_of(const Globals& globals, const Listed& set) {
  if (set.proof.level == backup::Level::kNone) return translated(globals.language, "not verified");
  return fmt::format("{}  {}", backup::level_name(set.proof.level), local_time(to_iso8601(set.proof.at)));
}

int list(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto listing = list_sets(*at_hand, options.target);
  if (!listing) return report(globals, listing.error());
  if (globals.json) {
    json::array sets, ignored;
    for (const auto& set : listing->sets) sets.push_back(to_json(set));
    for (const auto& [path, why] : listing->ignored) ignored.push_back(json::object{{"path", path.string()}, {"reason", why}});
    fmt::print("{}\n", json::serialize(json::object{{"target", listing->target.string()}, {"sets", sets}, {"ignored", ignored}}));
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& set : listing->sets) {
    rows.push_back({set.manifest.id, local_time(to_iso8601(set.manifest.ended)), state_of(globals, set), proof_of(globals, set), shown_bytes(set.stored_bytes)});
  }
  print_table({text("SET"), text("MADE"), text("STATE"), text("VERIFIED"), text("SIZE")}, rows);
  for (const auto& [path, why] : listing->ignored) fmt::print("{}\n", translated(globals.language, "not a set: {}: {}", path.string(), retold(globals.language, why)));
  for (const auto& event : listing->events) {
    if (event.what == backup::SetEvent::What::kMended) fmt::print("{}\n", translated(globals.language, "the journal of sets was damaged: {}", retold(globals.language, event.detail)));
  }
  return 0;
}

Result<backup::SetReader> open_set(const OfficeAtHand& at_hand, const Options& options) {
  auto path = find_set(at_hand.office, options.target, options.set);
  if (!path) return pass(path);
  auto trusted = backup::trusted_keys(at_hand.office.directory);
  if (!trusted) return pass(trusted);
  return backup::SetReader::open(*path, *trusted);
}

int show(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto set = open_set(*at_hand, options);
  if (!set) return report(globals, set.error());
  const auto& manifest = set->manifest();
  if (globals.json) {
    fmt::print("{}\n", backup::manifest_json(manifest));
    return 0;
  }
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  manifest.complete ? say("Set {}: complete.", manifest.id) : say("Set {}: INCOMPLETE.", manifest.id);
  for (const auto& reason : manifest.reasons) fmt::print("  {}\n", retold(globals.language, reason));
  say("  made {} on {} by version {}; {}", local_time(to_iso8601(manifest.ended)), manifest.host, manifest.program_version, retold(globals.language, manifest.barrier));
  for (const auto& database : manifest.databases) {
    const auto* member = manifest.member(database.member);
    say("  database {} ({} tables, {})", database.name, database.tables.size(), shown_bytes(member ? member->stored_bytes : 0));
  }
  for (const auto& folder : manifest.folders) {
    const auto application = folder.version.empty() ? folder.application : folder.application + " " + folder.version;
    say("  {}: {} ({} files, {})", application, folder.root, folder.files, shown_bytes(folder.bytes));
  }
  auto events = backup::SetJournal(at_hand->office.directory, set->directory().parent_path()).read();
  if (!events) return report(globals, events.error());
  for (const auto& event : *events) {
    if (event.set != manifest.id || event.what == backup::SetEvent::What::kBegun || event.what == backup::SetEvent::What::kPublished) continue;
    const bool verified = event.what == backup::SetEvent::What::kVerified;
    verified ? say("  {}  verified up to {} {}", local_time(to_iso8601(event.at)), backup::level_name(event.level), retold(globals.language, event.detail))
             : say("  {}  damaged or removed: {}", local_time(to_iso8601(event.at)), retold(globals.language, event.detail));
  }
  return 0;
}

/// What a verification has come to stands in the journals, whatever it was.
Status note(const OfficeAtHand& at_hand, const backup::SetReader& set, const Result<backup::VerifyOutcome>& outcome, const Clock& clock) {
  if (!outcome && outcome.error().code != ErrorCode::kDamaged) return {};
  backup::SetEvent event;
  event.at = clock.wall();
  event.what = outcome ? backup::SetEvent::What::kVerified : backup::SetEvent::What::kDamaged;
  event.installation = set.manifest().installation;
  event.set = set.manifest().id;
  event.sequence = set.manifest().sequence;
  event.level = outcome ? outcome->reached : backup::Level::kNone;
  event.detail = outcome ? outcome->not_higher.english() : outcome.error().message;
  // A set may lie on a medium that can't be written to.
  const auto place = set.directory().parent_path();
  if (auto noted = backup::SetJournal(at_hand.office.directory, place).append(event, true); !noted) return noted;
  return backup::note_on_medium(
      at_hand.office, place, [&](const std::string& medium) { return backup::Fact(backup::fact::SetVerified{event.set, medium, event.level, !outcome}); },
      os::local_time(event.at));
}

/// A set that can't even be opened is not proven either.
int refused(const Globals& globals, const OfficeAtHand& at_hand, const Options& options, const Error& error) {
  auto path = find_set(at_hand.office, options.target, options.set);
  report(globals, error);
  const bool of_the_set = error.code == ErrorCode::kDamaged || error.code == ErrorCode::kForbidden || error.code == ErrorCode::kNotFound;
  if (!path || !of_the_set) return exit_code(error.code);
  backup::SetEvent event;
  event.at = os::SystemClock().wall();
  event.what = backup::SetEvent::What::kDamaged;
  event.installation = backup::installation_id(at_hand.office.directory).value_or("");
  event.set = path->filename().string();
  event.detail = error.message;
  if (auto noted = backup::SetJournal(at_hand.office.directory, path->parent_path()).append(event, true); !noted) return report(globals, noted.error());
  const auto damaged = [&](const std::string& medium) { return backup::Fact(backup::fact::SetVerified{event.set, medium, backup::Level::kNone, true}); };
  if (auto noted = backup::note_on_medium(at_hand.office, path->parent_path(), damaged, os::local_time(event.at)); !noted) return report(globals, noted.error());
  return exit_code(ErrorCode::kDamaged);
}

int verify(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto level = backup::parse_level(options.level);
  if (!level) return report(globals, level.error());
  auto key = key_of(options.key);
  if (!key) return report(globals, key.error());
  auto set = open_set(*at_hand, options);
  if (!set) return refused(globals, *at_hand, options, set.error());
  if (*key) {
    if (auto unlocked = set->unlock(**key); !unlocked) return report(globals, unlocked.error());
  }
  auto programs = backup::Programs::find(at_hand->office.config.programs.empty() ? std::nullopt : std::optional(at_hand->office.config.programs));
  if (!programs) return report(globals, programs.error());
  if (options.dry_run) {
    fmt::print("{}\n", translated(globals.language, "would verify {} up to {}", set->directory().string(), backup::level_name(*level)));
    return 0;
  }
  const os::SystemClock clock;
  // Two of them would share the scratch server.
  auto lock = backup::lock_runs(at_hand->office.directory, "verify", clock);
  if (!lock) return report(globals, lock.error());
  ProgressLine progress(globals, &interrupted_flag());
  backup::VerifyOptions how;
  how.level = *level;
  how.key = *key ? &**key : nullptr;
  how.scratch = at_hand->office.directory / "scratch";
  how.interrupted = &interrupted_flag();
  auto outcome = backup::verify_set(*set, *programs, how, progress, clock, *at_hand->log);
  if (auto noted = note(*at_hand, *set, outcome, clock); !noted) return report(globals, noted.error());
  if (!outcome) {
    report(globals, outcome.error());
    return outcome.error().code == ErrorCode::kMediumGone ? exit_code(ErrorCode::kMediumGone) : exit_code(ErrorCode::kDamaged);
  }
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"set", set->manifest().id}, {"level", backup::level_name(outcome->reached)},
                                                    {"not_higher", outcome->not_higher.english()}}));
  } else {
    fmt::print("{}\n", translated(globals.language, "{}: in order, verified up to {}", set->manifest().id, backup::level_name(outcome->reached)));
    if (!outcome->not_higher.msgid.empty()) fmt::print("{}\n", translated(globals.language, "  not higher: {}", said(globals.language, outcome->not_higher)));
  }
  return outcome->reached < *level ? exit_code(ErrorCode::kIncomplete) : 0;
}

Result<std::vector<std::string>> plan(const OfficeAtHand& at_hand, const Listing& listing, int keep, const Clock& clock) {
  auto own = backup::installation_id(at_hand.office.directory);
  if (!own) return pass(own);
  backup::PruneRequest request{keep == 0 ? at_hand.office.config.keep : keep, at_hand.office.config.keep, 0, clock.wall()};
  for (const auto& event : listing.events) {
    // The entry names the newest set of that time.
    if (event.what == backup::SetEvent::What::kPruned && event.believed && event.installation == *own) request.last_pruned_at = std::max(request.last_pruned_at, event.sequence);
  }
  std::vector<backup::KeptSet> sets;
  for (const auto& set : listing.sets) {
    if (set.manifest.installation != *own) continue;  // somebody else's on the same medium
    const auto proven = set.proof.damaged ? backup::Level::kNone : set.proof.level;
    sets.push_back({set.manifest.id, set.manifest.sequence, set.manifest.ended, set.manifest.complete, proven});
  }
  return backup::plan_prune(std::move(sets), request);
}

int prune(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  const os::SystemClock clock;
  auto lock = backup::lock_runs(at_hand->office.directory, "prune", clock);
  if (!lock) return report(globals, lock.error());
  auto listing = list_sets(*at_hand, options.target);
  if (!listing) return report(globals, listing.error());
  auto gone = plan(*at_hand, *listing, options.keep, clock);
  if (!gone) return report(globals, gone.error());
  for (const auto& id : *gone) {
    if (options.dry_run) break;
    backup::SetEvent event;
    event.at = clock.wall();
    event.what = backup::SetEvent::What::kPruned;
    event.installation = backup::installation_id(at_hand->office.directory).value_or("");
    event.set = id;
    event.sequence = listing->sets.back().manifest.sequence;
    // Noted first: what is gone without a word would look like a theft.
    if (auto noted = backup::SetJournal(at_hand->office.directory, listing->target).append(event); !noted) return report(globals, noted.error());
    const auto removed_from = [&](const std::string& medium) { return backup::Fact(backup::fact::SetRemoved{id, medium}); };
    if (auto noted = backup::note_on_medium(at_hand->office, listing->target, removed_from, os::local_time(event.at)); !noted) return report(globals, noted.error());
    if (auto removed = backup::remove_set(listing->target, id); !removed) return report(globals, removed.error());
  }
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"removed", json::value_from(*gone)}, {"dry_run", options.dry_run}}));
    return 0;
  }
  for (const auto& id : *gone) fmt::print("{}\n", translated(globals.language, options.dry_run ? msgid("would remove {}") : msgid("removed {}"), id));
  if (gone->empty()) fmt::print("{}\n", translated(globals.language, "nothing to remove"));
  return 0;
}

}  // namespace

void add_backup_sets(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, std::string what, int (*task)(const Globals&, const Options&)) {
    auto* command = backup.add_subcommand(name, std::move(what));
    command->add_option("--target", options->target, text("directory that holds the sets; default: config/backup.toml"));
    command->callback([&globals, run, options, task] { run([&globals, options, task] { return task(globals, *options); }); });
    return command;
  };
  add("list", text("sets on the target, and how far each is proven"), list);
  auto* one = add("show", text("what a set holds"), show);
  auto* check = add("verify", text("prove a set: L1 hashes, L2 readable, L3 from the medium, L4 restored"), verify);
  for (auto* command : {one, check}) {
    command->add_option("set", options->set, text("its name, its number, its path, or newest"))->required();
  }
  check->add_option("--level", options->level, text("L1, L2, L3 or L4"))->capture_default_str();
  check->add_option("--key", options->key, text("file with the private key of an encrypted set"));
  auto* old = add("prune", text("remove old sets; only after a new one has been proven"), prune);
  old->add_option("--keep", options->keep, text("complete, proven sets that stay; not below config/backup.toml"))->check(in_range(globals, 1, 10'000));
  for (auto* command : {check, old}) command->add_flag("--dry-run", options->dry_run, text("say what would be done, and do nothing"));
}

}  // namespace verbund::cli
