#include "cli/mirror_patroni.h"

#include <thread>

#include <boost/json.hpp>

#include "base/messages.h"
#include "cli/progress.h"
#include "node/installation.h"
#include "node/patroni/rest.h"
#include "platform/os/clock.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

/// Patroni has answered; the new leader is shown a moment later.
constexpr seconds kSettles{60};
constexpr milliseconds kLookEvery{250};

Result<node::Installation> installation_of(const Globals& globals) {
  return node::Installation::load(node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir)));
}

std::string text_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return {};
  return value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
}

const json::object& object_of(const json::object& object, std::string_view name) {
  static const json::object none;
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_object() ? value->as_object() : none;
}

/// Until `to` leads, runs, and nobody else does.
Result<mirror::PatroniView> wait_for_leader(node::PatroniRest& rest, const std::string& to) {
  const os::SystemClock clock;
  const auto ends = clock.now() + kSettles;
  while (true) {
    auto view = rest.cluster();
    if (view && view->leader() != nullptr && view->leader()->name == to && view->leader()->runs()) return view;
    if (clock.now() >= ends || Interrupt::came()) {
      return fail(ErrorCode::kTimedOut, phrase("switch over: Patroni has agreed, but {} does not lead yet", to), phrase("See `verbund mirror status` and `patronictl list`."));
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

/// The steps, as Patroni and the nodes will take them.
std::vector<Phrase> steps(const std::string& from, const std::string& to) {
  return {phrase("Patroni stops {} in order (checkpoint, everything sent to {})", from, to), phrase("Patroni promotes {}; {} follows it", to, from),
          phrase("The node goes to {} with a new term: workstations reconnect by themselves and reclaim their locks", to),
          phrase("The feed makes its slot on {} and compares; nothing is told twice", to)};
}

void print_plan(const Globals& globals, const std::string& from, const mirror::PatroniMember& to, bool done) {
  const auto lag = to.lag_bytes ? std::to_string(*to.lag_bytes) : "";
  if (globals.json) {
    json::object plan{{"from", from}, {"to", to.name}, {"lag_bytes", lag.empty() ? json::value(nullptr) : json::value(lag)}, {"switched", done}};
    if (!done) {
      json::array all;
      for (const auto& step : steps(from, to.name)) all.emplace_back(said(Language::kEnglish, step));
      plan["steps"] = std::move(all);
    }
    fmt::print("{}\n", json::serialize(plan));
    return;
  }
  if (done) {
    fmt::print("{}\n", translated(globals.language, "{} leads the cluster now; {} follows.", to.name, from));
    return;
  }
  fmt::print("{}\n", translated(globals.language, "Switchover from {} to {} ({} bytes behind); nothing has been done:", from, to.name, lag.empty() ? "?" : lag));
  int number = 0;
  for (const auto& step : steps(from, to.name)) fmt::print("  {}. {}\n", ++number, said(globals.language, step));
}

Result<std::pair<std::string, mirror::PatroniMember>> switch_over(const node::PatroniSettings& settings, const std::string& to, bool dry_run) {
  auto rest = node::PatroniRest::open(settings);
  if (!rest) return pass(rest);
  auto view = rest->cluster();
  if (!view) return pass(view);
  if (view->paused) {
    return fail(ErrorCode::kUnavailable, phrase("switch over: Patroni is paused"), phrase("`patronictl resume` ends the pause."));
  }
  if (!view->scheduled.empty()) {
    return fail(ErrorCode::kInUse, phrase("switch over: Patroni has one planned already: {}", view->scheduled), phrase("`patronictl flush` takes it back."));
  }
  auto target = mirror::switchover_target(*view, to);
  if (!target) return std::unexpected(target.error());
  std::pair planned{view->leader()->name, **target};
  if (dry_run) return planned;
  if (auto said = rest->switch_over(planned.first, planned.second.name); !said) return pass(said);
  if (auto settled = wait_for_leader(*rest, planned.second.name); !settled) return pass(settled);
  return planned;
}

}  // namespace

bool on_patroni(const Globals& globals) {
  const auto installation = installation_of(globals);
  return installation && installation->settings().patroni.used;
}

int switch_over_on_patroni(const Globals& globals, const std::string& to, bool dry_run) {
  auto installation = installation_of(globals);
  if (!installation) return report(globals, installation.error());
  const Interrupt caught;
  auto outcome = switch_over(installation->settings().patroni, to, dry_run);
  if (!outcome) return report(globals, outcome.error());
  print_plan(globals, outcome->first, outcome->second, !dry_run);
  return 0;
}

std::vector<std::pair<std::string, std::string>> patroni_fields(const Globals& globals, const json::object& root) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::pair<std::string, std::string>> fields;
  const auto& seat = object_of(root, "seat");
  const auto& cluster = object_of(root, "cluster");
  if (!text_of(seat, "holder").empty()) {
    fields.emplace_back(label(msgid("work goes on at")), fmt::format("{} ({})", text_of(seat, "holder"), text_of(seat, "address")));
  }
  if (const auto error = text_of(seat, "error"); !error.empty()) fields.emplace_back(label(msgid("PostgreSQL")), retold(globals.language, error));
  if (const auto* waiting = seat.if_contains("waiting"); waiting && waiting->is_array()) {
    for (const auto& node : waiting->as_array()) {
      if (!node.is_object()) continue;
      fields.emplace_back(label(msgid("would take over")), translated(globals.language, "{} ({}), heard {} s ago", text_of(node.as_object(), "name"),
                                                                      text_of(node.as_object(), "address"), text_of(node.as_object(), "seen_seconds_ago")));
    }
  }
  fields.emplace_back(label(msgid("Patroni cluster")), text_of(cluster, "scope"));
  if (const auto error = text_of(cluster, "error"); !error.empty()) fields.emplace_back(label(msgid("Patroni does not answer")), retold(globals.language, error));
  if (text_of(cluster, "paused") == "true") fields.emplace_back(label(msgid("Patroni is paused")), label(msgid("yes")));
  if (const auto planned = text_of(cluster, "scheduled"); !planned.empty()) fields.emplace_back(label(msgid("planned switchover")), planned);
  if (text_of(cluster, "leader").empty()) fields.emplace_back(label(msgid("leader")), label(msgid("none")));
  const auto* members = cluster.if_contains("members");
  if (members == nullptr || !members->is_array()) return fields;
  for (const auto& value : members->as_array()) {
    if (!value.is_object()) continue;
    const auto& member = value.as_object();
    const auto lag = text_of(member, "lag_bytes");
    const bool leads = text_of(member, "leads") == "true";
    auto shown = translated(globals.language, "{}, {}, timeline {}", text_of(member, "role"), text_of(member, "state"), text_of(member, "timeline"));
    if (!leads) shown += ", " + (lag.empty() ? label(msgid("lag not known")) : translated(globals.language, "{} bytes behind", lag));
    fields.emplace_back(fmt::format("{} {}", leads ? label(msgid("leader")) : label(msgid("member")), text_of(member, "name")), shown);
  }
  return fields;
}

}  // namespace verbund::cli
