/// verbund mirror preflight, switchover, promote, open, fence, rejoin: who is production.
#include <chrono>
#include <thread>

#include "base/ids.h"
#include "base/messages.h"
#include "cli/mirror.h"
#include "cli/mirror_follow.h"
#include "cli/mirror_machines.h"
#include "cli/mirror_patroni.h"
#include "cli/office_progress.h"
#include "cli/offsite_terms.h"
#include "cli/progress.h"
#include "platform/os/clock.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

constexpr seconds kSwitchWithin{60}, kPromoteWithin{180}, kRejoinWithin{6 * 3600};
constexpr milliseconds kLookEvery{100};
constexpr std::uint64_t kMaxSwitchBytes = 64U << 20U;  // mirror/pair_engine.h, PairTuning

struct Options {
  bool dry_run = false, anyway = false, anew = false;
  std::string accept_loss, switched_off, to;
};

std::string say(const Globals& globals, const char* msgid) { return std::string(translate(globals.language, msgid)); }

std::vector<Check> checks_of(const Globals& globals, const json::object& root) {
  const auto is = [&](std::string_view path, std::string_view value) { return at(root, path) == value; };
  const auto behind = parse_u64(at(root, "mirror.behind.bytes"));
  std::vector<Check> checks;
  checks.push_back({msgid("this machine is production and takes writes"), is("role", "production") && is("pair.open", "true"), at(root, "role")});
  checks.push_back({msgid("no other step is under way"), at(root, "pair.doing").empty(), at(root, "pair.doing")});
  checks.push_back({msgid("the record of the pair can be written"), at(root, "pair.trouble").empty(), at(root, "pair.trouble")});
  checks.push_back({msgid("the mirror answers"), is("pair.peer.alive", "true"), at(root, "pair.peer.address")});
  checks.push_back({msgid("the mirror follows in the same term"), is("pair.peer.following", "true") && at(root, "pair.peer.term") == at(root, "pair.term"), at(root, "pair.peer.stage")});
  checks.push_back({msgid("the mirror is near enough"), behind && *behind <= kMaxSwitchBytes, behind ? in_bytes(at(root, "mirror.behind.bytes")) : ""});
  checks.push_back({msgid("production keeps all that the mirror needs"), is("slot.lost", "false"), at(root, "slot.kept_bytes").empty() ? "" : in_bytes(at(root, "slot.kept_bytes"))});
  checks.push_back({msgid("both machines have the same version of verbund"), at(root, "version") == at(root, "pair.peer.version"), fmt::format("{} / {}", at(root, "version"), at(root, "pair.peer.version")), false});
  for (auto& check : machine_checks(globals, root)) checks.push_back(std::move(check));
  return checks;
}

int preflight(const Globals& globals) {
  auto root = mirror_state(globals);
  if (!root) return report(globals, root.error());
  if (at(*root, "pair").empty()) {
    return report(globals, make_error(ErrorCode::kPairRefused, phrase("this machine is in no pair"), phrase("`verbund mirror invite` lets a second machine in.")));
  }
  bool good = true;
  json::array shown;
  for (const auto& check : checks_of(globals, *root)) {
    good = good && (check.good || !check.blocks);
    shown.push_back(json::object{{"what", check.what}, {"good", check.good}, {"blocks", check.blocks}, {"shown", check.shown}});
    if (globals.json) continue;
    fmt::print("{}  {}{}\n", check.good ? "✓" : check.blocks ? "✗" : "!", say(globals, check.what), check.shown.empty() ? "" : fmt::format(": {}", shown_word(globals, check.shown)));
  }
  if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"good", good}, {"checks", shown}}));
  if (!globals.json) fmt::print("{}\n", good ? say(globals, msgid("A switchover can be done: `verbund mirror switchover`.")) : say(globals, msgid("A switchover can't be done now.")));
  return good ? 0 : exit_code(ErrorCode::kPairRefused);
}

/// The steps of a procedure, each with what carries it out.
using Steps = std::vector<std::pair<const char*, std::string>>;

int print_steps(const Globals& globals, const Steps& steps) {
  json::array shown;
  std::size_t number = 0;
  for (const auto& [what, command] : steps) {
    shown.push_back(json::object{{"step", what}, {"command", command}});
    if (!globals.json) fmt::print("{}. {}\n     {}\n", ++number, say(globals, what), command);
  }
  if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"steps", shown}}));
  return 0;
}

Steps switchover_steps(const json::object& root) {
  const auto other = at(root, "pair.peer.name");
  return {{msgid("write everything to disk, so that stopping is short"), "CHECKPOINT"},
          {msgid("wait for long transactions, 5 s at most"), "SELECT … FROM pg_stat_activity WHERE xact_start …"},
          {msgid("end this machine's work and its PostgreSQL"), "kill -INT POSTMASTER"},
          {msgid("the mirror has everything: it offers to take over"), fmt::format("{}: agent/pair", other)},
          {msgid("hand over, on disk, before the mirror begins its term"), "agent/pair"},
          {msgid("the mirror takes over"), fmt::format("{}: SELECT pg_promote()", other)},
          {msgid("this machine follows it"), "standby.signal, primary_conninfo, postgres -D …/data"}};
}

struct Awaited {
  std::function<bool(const json::object&)> done;    ///< it has come about
  std::string procedure;                            ///< "told" of a failure
};

/// Until it has come about, or the engine says why not. The node may be away for a moment: it becomes something else.
Result<json::object> await(const Globals& globals, const Awaited& awaited, seconds within) {
  const os::SystemClock clock;
  const auto until = Deadline::in(clock, within);
  ProgressLine progress(globals);
  std::string doing;
  while (true) {
    auto root = mirror_state(globals);
    if (root && awaited.done(*root)) return root;
    if (root && at(*root, "pair.told") == awaited.procedure && !at(*root, "pair.told_reason").empty()) {
      return fail(ErrorCode::kPairRefused, phrase("{}: {}", verbatim(awaited.procedure), Phrase{at(*root, "pair.told_reason")}));
    }
    if (root && at(*root, "pair.doing") != doing) {
      doing = at(*root, "pair.doing");
      if (!doing.empty()) progress.step(Phrase{doing});
    }
    if (until.passed(clock)) return fail(ErrorCode::kTimedOut, phrase("{}: it has not come about in {} s", verbatim(awaited.procedure), within.count()), phrase("`verbund mirror status` shows where it stands."));
    std::this_thread::sleep_for(kLookEvery);
  }
}

int finish(const Globals& globals, const Result<json::object>& outcome, const char* msgid, std::chrono::steady_clock::time_point began) {
  if (!outcome) return report(globals, outcome.error());
  const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began).count();
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"done", true}, {"milliseconds", took}, {"role", at(*outcome, "role")}, {"term", at(*outcome, "term")}}));
  } else {
    fmt::print("{}\n", translated(globals.language, msgid, in_seconds(std::to_string(took)), at(*outcome, "pair.peer.name")));
  }
  return 0;
}

int switchover(const Globals& globals, const Options& options) {
  if (on_patroni(globals)) return switch_over_on_patroni(globals, options.to, options.dry_run);
  auto root = mirror_state(globals);
  if (!root) return report(globals, root.error());
  if (options.dry_run) return print_steps(globals, switchover_steps(*root));
  if (const auto safe = options.anyway ? Status{} : refuse_dangers(*root); !safe) return report(globals, safe.error());
  const auto began = std::chrono::steady_clock::now();
  if (auto asked = ask_pair(globals, {{"do", "switchover"}}); !asked) return report(globals, asked.error());
  const Awaited awaited{[](const json::object& now) { return at(now, "pair.stage") == "following" && at(now, "pair.peer.open") == "true"; }, "switchover"};
  return finish(globals, await(globals, awaited, kSwitchWithin), msgid("Done in {}: {} is production now, this machine follows it."), began);
}

/// A person's word that the other machine is off: its name, typed.
Result<bool> claimed_off(const json::object& root, const Options& options) {
  if (options.switched_off.empty()) return false;
  const auto name = at(root, "pair.peer.name");
  if (options.switched_off == name) return true;
  return fail(ErrorCode::kUsage, phrase("--switched-off {}: the other machine is called {}", options.switched_off, name));
}

void show_loss(const Globals& globals, const json::object& root) {
  const auto kind = at(root, "pair.loss.kind");
  const auto bytes = in_bytes(at(root, "pair.loss.bytes"));
  const auto commits = at(root, "pair.loss.commits").empty() ? say(globals, msgid("not known")) : at(root, "pair.loss.commits");
  if (kind == "none") fmt::print("{}\n", say(globals, msgid("Nothing is lost: production has stopped, and everything it wrote is here.")));
  if (kind == "bounded") fmt::print("{}\n", translated(globals.language, "Production has stopped. Lost would be {} of its log, at most {} commits.", bytes, commits));
  if (kind == "within") {
    fmt::print("{}\n", translated(globals.language, "Production has stopped acknowledging. Lost would be at least {} of its log (of what was heard of at most {} commits), and what it wrote until then.", bytes, commits));
  }
  if (kind == "unknown") {
    fmt::print("{}\n", translated(globals.language, "Lost would be at least {} of production's log (of what was heard of at most {} commits), and what it wrote since it was heard last{}.", bytes, commits,
                                  waited_words(globals, at(root, "loss.waited_ms"))));
  }
  fmt::print("{}\n", translated(globals.language, "Production's last moments that this concerns: {}.", in_seconds(at(root, "pair.loss.span_ms"))));
}

int promote(const Globals& globals, const Options& options) {
  auto root = mirror_state(globals);
  if (!root) return report(globals, root.error());
  const auto off = claimed_off(*root, options);
  if (!off) return report(globals, off.error());
  if (options.dry_run) {
    return print_steps(globals, {{msgid("on disk: this machine takes over, in a term of its own"), "agent/pair"},
                                 {msgid("receive no more"), "primary_conninfo = ''; SELECT pg_reload_conf()"},
                                 {msgid("leave recovery"), "SELECT pg_promote()"},
                                 {msgid("let the other machine follow one day"), "CREATE ROLE verbund_mirror_…, pg_create_physical_replication_slot(…)"},
                                 {msgid("take in workstations; they reclaim their locks, the feed compares"), "verbund node"}});
  }
  if (options.accept_loss.empty()) {
    if (globals.json) {
      json::value loss = root->at("pair").is_object() ? root->at("pair").as_object().at("loss") : json::value(nullptr);
      // What production promised of commits that wait is heard with its heartbeat, not with the pair's messages.
      if (loss.is_object() && !at(*root, "loss.waited_ms").empty()) loss.as_object()["waited_ms"] = root->at("loss").as_object().at("waited_ms");
      fmt::print("{}\n", json::serialize(loss));
      return 0;
    }
    if (at(*root, "role") != "mirror") return report(globals, make_error(ErrorCode::kPairRefused, phrase("promote: {}", phrase("this machine is no mirror"))));
    show_loss(globals, *root);
    fmt::print("{}\n  verbund {}mirror promote --accept-loss {}\n", say(globals, msgid("Whoever accepts this makes this machine production with:")),
               globals.dir.empty() ? "" : fmt::format("--dir {} ", globals.dir), at(*root, "pair.loss.token"));
    return 0;
  }
  const auto began = std::chrono::steady_clock::now();
  if (auto asked = ask_pair(globals, {{"do", "promote"}, {"token", options.accept_loss}, {"peer_is_off", *off}}); !asked) return report(globals, asked.error());
  const Awaited awaited{[](const json::object& now) { return at(now, "role") == "production" && at(now, "pair.open") == "true"; }, "promote"};
  return finish(globals, await(globals, awaited, kPromoteWithin), msgid("Done in {}: this machine is production now. {} must not work any more; `mirror rejoin` makes it the mirror."), began);
}

int open(const Globals& globals, const Options& options) {
  auto root = mirror_state(globals);
  if (!root) return report(globals, root.error());
  const auto off = claimed_off(*root, options);
  if (!off) return report(globals, off.error());
  if (const auto may = *off ? may_open(globals, *root) : Status{}; !may) return report(globals, may.error());
  const auto began = std::chrono::steady_clock::now();
  if (auto asked = ask_pair(globals, {{"do", "open"}, {"peer_is_off", *off}}); !asked) return report(globals, asked.error());
  const Awaited awaited{[](const json::object& now) { return at(now, "role") == "production" && at(now, "pair.open") == "true"; }, "open"};
  return finish(globals, await(globals, awaited, kPromoteWithin), msgid("Done in {}: this machine works."), began);
}

int fence(const Globals& globals, const Options&) {
  auto asked = ask_pair(globals, {{"do", "fence"}});
  if (!asked) return report(globals, asked.error());
  if (globals.json) {
    fmt::print("{}\n", *asked);
    return 0;
  }
  fmt::print("{}\n", say(globals, msgid("Said: production takes no writes as soon as it hears this. `verbund mirror status` shows when it has stopped.")));
  return 0;
}

int rejoin(const Globals& globals, const Options& options) {
  if (options.dry_run && options.anew) {
    return print_steps(globals, {{msgid("end this machine's PostgreSQL"), "kill -INT POSTMASTER"},
                                 {msgid("set the old data aside"), "mv …/data …/data.TERM"},
                                 {msgid("copy anew and verify the copy; until then there is nothing to promote"), "pg_basebackup; pg_verifybackup"},
                                 {msgid("follow"), "standby.signal, postgres -D …/data"}});
  }
  if (options.dry_run) {
    return print_steps(globals, {{msgid("list what is given up, into mirror/lost-TERM.json"), "pg_waldump -s FORK"},
                                 {msgid("take over the other machine's history"), "pg_rewind --source-server=…"},
                                 {msgid("where that can't be done: copy anew, the old data stay beside"), "pg_basebackup; pg_verifybackup"},
                                 {msgid("follow"), "standby.signal, postgres -D …/data"}});
  }
  const auto began = std::chrono::steady_clock::now();
  if (auto asked = ask_pair(globals, {{"do", "rejoin"}, {"anew", options.anew}}); !asked) return report(globals, asked.error());
  const Awaited awaited{[](const json::object& now) { return at(now, "pair.stage") == "following" && at(now, "pair.running") == "true"; }, "rejoin"};
  return finish(globals, await(globals, awaited, kRejoinWithin), msgid("Done in {}: this machine follows {}."), began);
}

}  // namespace

void add_mirror_roles(CLI::App& mirror, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* what, int (*command)(const Globals&, const Options&)) {
    auto* added = mirror.add_subcommand(name, text(what));
    added->callback([&globals, run, options, command] { run([&globals, options, command] { return command(globals, *options); }); });
    return added;
  };
  const auto dry = [&](CLI::App* command) { command->add_flag("--dry-run", options->dry_run, text("print the steps with their commands, do nothing")); };
  const auto off = [&](CLI::App* command) { command->add_option("--switched-off", options->switched_off, text("NAME of the other machine: your word that it is switched off and stays so")); };
  add("preflight", msgid("every condition of a switchover, and whether it holds"), [](const Globals& all, const Options&) { return preflight(all); });
  auto* switching = add("switchover", msgid("on production: the mirror takes over, this machine follows it; on any failed step production goes on"), switchover);
  switching->add_option("--to", options->to, text("on a Patroni cluster: which member becomes the leader; default: the one that is nearest"));
  switching->add_flag("--anyway", options->anyway, text("even if the mirror lacks something that it needs as production (✗ in `mirror status`)"));
  dry(switching);
  auto* promoting = add("promote", msgid("on the mirror, when production is gone: what would be lost; with its token: become production"), promote);
  promoting->add_option("--accept-loss", options->accept_loss, text("token of the report that was shown: its loss is accepted"));
  off(promoting);
  dry(promoting);
  off(add("open", msgid("on a production that waits or is fenced: let it work again"), open));
  add("fence", msgid("on the mirror: production shall take no more writes"), fence);
  auto* rejoining = add("rejoin", msgid("on a fenced machine: list what is given up, then become the other one's mirror"), rejoin);
  rejoining->add_flag("--anew", options->anew, text("also on a mirror that can't follow any more: its data are set aside and copied anew"));
  dry(rejoining);
}

}  // namespace verbund::cli
