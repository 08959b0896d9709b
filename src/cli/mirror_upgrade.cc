/// verbund mirror upgrade: which step of an update comes next. Changes nothing.
#include "base/messages.h"
#include "cli/mirror.h"
#include "cli/mirror_machines.h"
#include "mirror/upgrade.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;
using mirror::UpgradeStep;

struct Pair {
  std::string production, mirror;  ///< names
  mirror::Versions old, other;     ///< production's, the mirror's
};

Pair pair_of(const json::object& root) {
  Pair pair;
  const auto machine = [&](const char* which, std::string& name, mirror::Versions& versions) {
    name = at(root, fmt::format("machines.{}.name", which));
    versions = {at(root, fmt::format("machines.{}.version", which)), at(root, fmt::format("machines.{}.postgres", which))};
  };
  machine("production", pair.production, pair.old);
  machine("mirror", pair.mirror, pair.other);
  return pair;
}

/// What to do now, and what comes then.
std::vector<std::string> advice(const Globals& globals, UpgradeStep step, const Pair& pair) {
  const auto say = [&](const char* msgid, const auto&... args) { return translated(globals.language, msgid, args...); };
  switch (step) {
    case UpgradeStep::kNothing:
      return {say("Both machines have the same versions. A newer one comes to {} first, which is the mirror: install its packages there and start its node anew.", pair.mirror),
              say("Then `verbund mirror upgrade` says what comes next.")};
    case UpgradeStep::kUpdateMirror:
      return {say("{} is the mirror, and older: install production's versions there and start its node anew (systemctl restart verbund).", pair.mirror),
              say("Production goes on meanwhile. When both are equal the update is done.")};
    case UpgradeStep::kSwitchOver:
      return {say("{} is the mirror, and newer: on {} `verbund mirror preflight`, then `verbund mirror switchover`.", pair.mirror, pair.production),
              say("Then {} is the mirror: install the same versions there and start its node anew. It need not be switched back.", pair.production)};
    case UpgradeStep::kUnknown: break;
  }
  return {say("One of the machines has not said which versions it has: `verbund mirror status` says which one does not answer.")};
}

int upgrade(const Globals& globals) {
  auto root = mirror_state(globals);
  if (!root) return report(globals, root.error());
  if (at(*root, "pair").empty()) {
    return report(globals, make_error(ErrorCode::kPairRefused, phrase("this machine is in no pair"), phrase("`verbund mirror invite` lets a second machine in.")));
  }
  const auto pair = pair_of(*root);
  const auto step = next_step(pair.old, pair.other);
  if (globals.json) {
    const auto shown = [](const std::string& name, const mirror::Versions& versions) {
      return json::object{{"name", name}, {"version", versions.program}, {"postgres", versions.postgres}};
    };
    fmt::print("{}\n", json::serialize(json::object{{"step", mirror::to_string(step)}, {"production", shown(pair.production, pair.old)}, {"mirror", shown(pair.mirror, pair.other)}}));
    return 0;
  }
  std::vector<std::pair<std::string, std::string>> fields;
  const auto known = [&](const std::string& text) { return text.empty() ? std::string(translate(globals.language, msgid("not known"))) : text; };
  fields.emplace_back(translate(globals.language, msgid("production")), fmt::format("{}: verbund {}, PostgreSQL {}", known(pair.production), known(pair.old.program), known(pair.old.postgres)));
  fields.emplace_back(translate(globals.language, msgid("mirror")), fmt::format("{}: verbund {}, PostgreSQL {}", known(pair.mirror), known(pair.other.program), known(pair.other.postgres)));
  print_fields(fields);
  for (const auto& line : advice(globals, step, pair)) fmt::print("{}\n", line);
  return 0;
}

}  // namespace

void add_mirror_upgrade(CLI::App& mirror, Globals& globals, const Runner& run) {
  auto* upgrading = mirror.add_subcommand("upgrade", std::string(translate(globals.language, msgid("which step of an update to a newer version comes next; changes nothing"))));
  upgrading->callback([&globals, run] { run([&globals] { return upgrade(globals); }); });
}

}  // namespace verbund::cli
