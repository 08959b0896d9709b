/// verbund backup offsite copy, list, verify, fetch, probe, status: sealed copies outside the house.
#include <boost/json.hpp>

#include "backup/offsite/offsite.h"
#include "cli/backup.h"
#include "cli/offsite_terms.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

struct Options {
  std::string site, set = "newest", target, into;
};

/// What one place has come to, for all subcommands: text is printed by the task, JSON gathered here.
struct Outcome {
  json::object json;
  int exit_code = 0;
};
using Task = Outcome (*)(const Globals&, const Options&, const OfficeAtHand&, const backup::OffSiteTask&);

/// A line for people.
class Say {
 public:
  explicit Say(const Globals& globals) : globals_(globals) {}
  template <typename... Args>
  void operator()(const char* msgid, const Args&... args) const {
    if (!globals_.json) fmt::print("{}\n", translated(globals_.language, msgid, args...));
  }

 private:
  const Globals& globals_;
};

/// An error is told and does not keep the next place from its turn.
Outcome failed(const Globals& globals, const Error& error) {
  if (!globals.json) report(globals, error);
  return {{{"error", {{"code", wire_name(error.code)}, {"message", error.message}, {"hint", error.hint}}}}, exit_code(error.code)};
}

/// Without a name: all places.
Result<std::vector<backup::OffSite>> places(const OfficeAtHand& at_hand, const std::string& name) {
  const auto& sites = at_hand.office.config.off_sites;
  if (name.empty() && !sites.empty()) return sites;
  auto site = backup::off_site_named(at_hand.office.config, name);
  if (!site) return pass(site);
  return std::vector{std::move(*site)};
}

int for_each_place(const Globals& globals, const Options& options, Task task) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto sites = places(*at_hand, options.site);
  if (!sites) return report(globals, sites.error());
  const os::SystemClock clock;
  ProgressLine progress(globals, &interrupted_flag());
  json::array all;
  int worst = 0;
  for (const auto& site : *sites) {
    auto remote = backup::Remote::open(site, at_hand->office.directory);
    auto outcome = !remote ? failed(globals, remote.error())
                           : task(globals, options, *at_hand,
                                  {at_hand->office, *remote, progress, clock, [&progress](const Phrase& step) { progress.step(step); }});
    outcome.json["site"] = site.name;
    outcome.json["exit_code"] = outcome.exit_code;
    all.push_back(std::move(outcome.json));
    worst = std::max(worst, outcome.exit_code);
    if (options.into.empty() || outcome.exit_code != 0) continue;
    worst = 0;  // brought home from one place is enough
    break;
  }
  if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"sites", std::move(all)}, {"exit_code", worst}}));
  return worst;
}

json::array findings_of(const backup::OffSiteCheck& check) {
  constexpr std::pair<backup::Finding::Kind, const char*> kWords[] = {{backup::Finding::Kind::kDamaged, "damaged"}, {backup::Finding::Kind::kMissing, "missing"},
                                                                      {backup::Finding::Kind::kAdditional, "additional"}, {backup::Finding::Kind::kUnreadable, "unreadable"}};
  json::array out;
  for (const auto& finding : check.findings) {
    const auto* word = std::ranges::find(kWords, finding.kind, &std::pair<backup::Finding::Kind, const char*>::first);
    out.push_back(json::object{{"file", finding.file}, {"kind", word->second}, {"cause", finding.cause}});
  }
  return out;
}

void say_check(const Globals& globals, const backup::OffSiteTask& task, const backup::OffSiteCheck& check) {
  const Say say(globals);
  if (check.findings.empty()) return say("{}: {} read back, in order ({})", task.remote.site().name, check.set, shown_bytes(check.bytes));
  for (const auto& finding : check.findings) {
    switch (finding.kind) {
      case backup::Finding::Kind::kMissing: say("{}: DAMAGED: {}/{} is missing", task.remote.site().name, check.place, finding.file); break;
      case backup::Finding::Kind::kAdditional: say("{}: DAMAGED: {}/{} does not belong there", task.remote.site().name, check.place, finding.file); break;
      default: say("{}: DAMAGED: {}/{} is not what was sent {}", task.remote.site().name, check.place, finding.file, finding.cause);
    }
  }
  say("{}: `verbund backup offsite copy` sends what is damaged again", task.remote.site().name);
}

/// The ledger knows what was read back whole: rotation and alarms count it. Nothing: done.
std::optional<Outcome> enter_verified(const Globals& globals, const backup::OffSiteTask& task, const backup::OffSiteCheck& check) {
  if (!check.findings.empty()) return std::nullopt;
  auto entered = enter_fact(task.office, backup::fact::OffSiteVerified{check.set, task.remote.site().name});
  return entered ? std::nullopt : std::optional(failed(globals, entered.error()));
}

Outcome copy(const Globals& globals, const Options& options, const OfficeAtHand& at_hand, const backup::OffSiteTask& task) {
  const Say say(globals);
  const auto own = own_term(globals, at_hand);
  if (!own) return failed(globals, own.error());
  if (auto met = *own ? meet_terms(globals, **own, task) : Status{}; !met) return failed(globals, met.error());
  auto set = find_set(at_hand.office, options.target, options.set);
  if (!set) return failed(globals, set.error());
  auto done = backup::copy_off_site(task, *set);
  if (!done) return failed(globals, done.error());
  say("{}: {} sent in {} ({} files, {}; {} files were there)", task.remote.site().name, done->set, shown_time(std::chrono::duration_cast<seconds>(done->took)),
      done->sent_files, shown_bytes(done->sent_bytes), done->files - done->sent_files);
  say_check(globals, task, done->check);
  if (auto not_entered = enter_verified(globals, task, done->check)) return std::move(*not_entered);
  return {{{"set", done->set}, {"place", done->place}, {"sealed_here", done->sealed_here}, {"files", done->files}, {"bytes", std::to_string(done->bytes)},
           {"sent_files", done->sent_files}, {"sent_bytes", std::to_string(done->sent_bytes)}, {"verified", done->check.findings.empty()},
           {"findings", findings_of(done->check)}, {"took_ms", done->took.count()}},
          done->check.findings.empty() ? 0 : exit_code(ErrorCode::kDamaged)};
}

Outcome list(const Globals& globals, const Options&, const OfficeAtHand&, const backup::OffSiteTask& task) {
  auto listing = backup::list_off_site(task);
  if (!listing) return failed(globals, listing.error());
  json::array sets, ignored;
  std::vector<std::vector<std::string>> rows;
  for (const auto& set : listing->sets) {
    const auto verified = set.copy.verified ? to_iso8601(*set.copy.verified) : std::string();
    sets.push_back(json::object{{"set", set.manifest.id}, {"place", set.place}, {"sequence", std::to_string(set.manifest.sequence)},
                                {"complete", set.manifest.complete}, {"bytes", std::to_string(set.bytes)}, {"verified", verified},
                                {"damaged", set.copy.damaged}});
    const auto* state = set.copy.damaged ? msgid("DAMAGED") : verified.empty() ? msgid("never read back") : "";
    rows.push_back({set.manifest.id, local_time(to_iso8601(set.manifest.ended)), *state ? std::string(translate(globals.language, state)) : local_time(verified),
                    shown_bytes(set.bytes)});
  }
  for (const auto& [place, why] : listing->ignored) ignored.push_back(json::object{{"place", place}, {"reason", why}});
  if (!globals.json) {
    fmt::print("{}\n", task.remote.shown());
    const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
    print_table({text("SET"), text("MADE"), text("READ BACK"), text("SIZE")}, rows);
    const Say say(globals);
    for (const auto& [place, why] : listing->ignored) say("not a set: {}: {}", place, why);
  }
  return {{{"sets", std::move(sets)}, {"ignored", std::move(ignored)}}, 0};
}

/// A set there by its name, its number, or "newest".
Result<std::vector<std::string>> chosen(const backup::OffSiteTask& task, const std::string& name, int newest) {
  auto listing = backup::list_off_site(task);
  if (!listing) return pass(listing);
  std::vector<std::string> ids;
  const auto number = parse_u64(name);
  for (const auto& set : listing->sets) {
    if (name == "newest" || set.manifest.id == name || set.place == name || (number && set.manifest.sequence == *number)) ids.push_back(set.manifest.id);
  }
  if (ids.empty() && name != "newest") return std::vector{name};  // half a set can be looked at, too
  if (ids.empty()) return fail(ErrorCode::kNotFound, phrase("off-site {}: there is no set", task.remote.shown()), phrase("verbund backup offsite copy"));
  if (std::cmp_greater(ids.size(), newest)) ids.erase(ids.begin(), ids.end() - newest);
  return ids;
}

Outcome verify(const Globals& globals, const Options& options, const OfficeAtHand&, const backup::OffSiteTask& task) {
  auto ids = chosen(task, options.set, task.remote.site().keep);
  if (!ids) return failed(globals, ids.error());
  json::array sets;
  int worst = 0;
  for (const auto& id : *ids) {
    auto check = backup::verify_off_site(task, id);
    if (!check) return failed(globals, check.error());
    say_check(globals, task, *check);
    if (auto not_entered = enter_verified(globals, task, *check)) return std::move(*not_entered);
    sets.push_back(json::object{{"set", id}, {"place", check->place}, {"files", check->files}, {"bytes", std::to_string(check->bytes)},
                                {"verified", check->findings.empty()}, {"findings", findings_of(*check)}});
    if (!check->findings.empty()) worst = exit_code(ErrorCode::kDamaged);
  }
  return {{{"sets", std::move(sets)}}, worst};
}

Outcome fetch(const Globals& globals, const Options& options, const OfficeAtHand&, const backup::OffSiteTask& task) {
  const Say say(globals);
  auto ids = chosen(task, options.set, 1);
  if (!ids) return failed(globals, ids.error());
  auto home = backup::fetch_off_site(task, ids->front(), fs::absolute(options.into).lexically_normal());
  if (!home) return failed(globals, home.error());
  say("{}: every file compared with its signed sum. Restore it: verbund backup restore --set {} --key FILE", home->string(), home->string());
  return {{{"set", ids->front()}, {"path", home->string()}}, 0};
}

Outcome probe(const Globals& globals, const Options&, const OfficeAtHand&, const backup::OffSiteTask& task) {
  const Say say(globals);
  auto probed = backup::probe_off_site(task);
  if (!probed) return failed(globals, probed.error());
  const auto& name = task.remote.site().name;
  if (probed->may_overwrite) say("{}: WARNING: this account may overwrite what it has sent", name);
  if (probed->may_delete) say("{}: WARNING: this account may delete what it has sent", name);
  const bool good = !probed->may_overwrite && !probed->may_delete;
  good ? say("{}: this account can neither overwrite nor delete", name)
       : say("{}: whoever takes over this server could take the copies, too. An account that can only add: docs/operations/backup-offsite.md", name);
  return {{{"may_overwrite", probed->may_overwrite}, {"may_delete", probed->may_delete}}, good ? 0 : exit_code(ErrorCode::kIncomplete)};
}

void say_summary(const Globals& globals, const backup::OffSite& site, const backup::OffSiteSummary& summary) {
  const Say say(globals);
  if (summary.newest_verified) {
    say("{}: {} sets read back; the newest is {}, read back {}", site.name, summary.verified, summary.newest, local_time(to_iso8601(*summary.newest_verified)));
  } else {
    say("{}: no set there was ever read back", site.name);
  }
  if (summary.verified < site.keep) say("{}: WARNING: {} are to be there", site.name, site.keep);
  for (const auto& id : summary.damaged) say("{}: DAMAGED: {}", site.name, id);
  if (!summary.probed) say("{}: nobody knows whether this account may delete: verbund backup offsite probe", site.name);
  if (summary.may_overwrite) say("{}: WARNING: this account may overwrite what it has sent", site.name);
  if (summary.may_delete) say("{}: WARNING: this account may delete what it has sent", site.name);
}

/// From our journals; nobody is asked.
int status(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto sites = places(*at_hand, options.site);
  if (!sites) return report(globals, sites.error());
  json::array all;
  bool good = true;
  for (const auto& site : *sites) {
    auto summary = backup::off_site_summary(at_hand->office, site);
    if (!summary) return report(globals, summary.error());
    say_summary(globals, site, *summary);
    good = good && summary->verified >= site.keep && summary->damaged.empty() && summary->probed && !summary->may_overwrite && !summary->may_delete;
    all.push_back(json::object{{"site", site.name}, {"verified", summary->verified}, {"wanted", site.keep}, {"newest", summary->newest},
                               {"newest_verified", summary->newest_verified ? to_iso8601(*summary->newest_verified) : ""},
                               {"damaged", json::value_from(summary->damaged)}, {"probed", summary->probed ? to_iso8601(*summary->probed) : ""},
                               {"may_overwrite", summary->may_overwrite}, {"may_delete", summary->may_delete}});
  }
  if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"sites", std::move(all)}, {"good", good}}));
  return good ? 0 : exit_code(ErrorCode::kIncomplete);
}

}  // namespace

void add_backup_offsite(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* offsite = backup.add_subcommand("offsite", text("sealed copies outside the house, through rclone"));
  offsite->require_subcommand(1);
  const auto add = [&](const char* name, std::string what, Task task) {
    auto* command = offsite->add_subcommand(name, std::move(what));
    command->callback([&globals, run, options, task] { run([&globals, options, task] { return for_each_place(globals, *options, task); }); });
    return command;
  };
  auto* sent = add("copy", text("send a set, sealed; what is there already is not sent again; then read it back"), copy);
  auto* listed = add("list", text("sets on the remote"), list);
  auto* checked = add("verify", text("read sets back and compare them with their signed sums; without a name: the newest, as many as `keep`"), verify);
  auto* fetched = add("fetch", text("bring a set home"), fetch);
  auto* probed = add("probe", text("whether the account may overwrite or delete; it should not"), probe);
  auto* shown = offsite->add_subcommand("status", text("how many sets there were read back, and when; asks nobody"));
  shown->callback([&globals, run, options] { run([&globals, options] { return status(globals, *options); }); });
  for (auto* command : {listed, probed, shown}) command->add_option("place", options->site, text("a place of [[offsite]]; default: all"));
  for (auto* command : {sent, checked, fetched}) command->add_option("--at", options->site, text("a place of [[offsite]]; default: all"));
  for (auto* command : {sent, checked, fetched}) command->add_option("set", options->set, text("its name, its number, or newest"))->capture_default_str();
  sent->add_option("--target", options->target, text("directory that holds the sets; default: config/backup.toml"));
  fetched->add_option("--into", options->into, text("directory that the set is put into"))->required();
}

}  // namespace verbund::cli
