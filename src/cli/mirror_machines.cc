/// What `mirror status` and `mirror preflight` show of the two machines: versions, disks, backups, and what of the two is unequal.
#include "base/ids.h"
#include "base/messages.h"
#include "cli/mirror.h"
#include "cli/mirror_machines.h"
#include "cli/progress.h"
#include "node/mirror/machine_report.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

constexpr const char* kMachines[] = {"production", "mirror"};

std::string say(const Globals& globals, const char* msgid) { return std::string(translate(globals.language, msgid)); }

/// "5 min", "11 h", "12 d" of seconds in decimal.
std::string about(const Globals& globals, const std::string& seconds) {
  const auto number = parse_u64(seconds).value_or(0);
  if (number < 2 * 3600) return translated(globals.language, "{} min", number / 60);
  if (number < 3 * 86'400) return translated(globals.language, "{} h", number / 3600);
  return translated(globals.language, "{} days", number / 86'400);
}

std::string shown_disk(const Globals& globals, const json::object& root, const std::string& path) {
  const auto free = parse_u64(at(root, path + ".disk.free_bytes")), total = parse_u64(at(root, path + ".disk.total_bytes"));
  if (!free || !total || *total == 0) return say(globals, msgid("not known"));
  auto shown = translated(globals.language, "{} free of {} ({} %)", shown_bytes(*free), shown_bytes(*total), *free * 100 / *total);
  const auto lasts = at(root, path + ".disk.lasts_s");
  return lasts.empty() ? shown : shown + "; " + translated(globals.language, "enough for {} as it fills now", about(globals, lasts));
}

std::string shown_backup(const Globals& globals, const json::object& root) {
  std::string best;
  const char* where = nullptr;
  for (const char* machine : kMachines) {
    const auto age = at(root, fmt::format("machines.{}.backup.good_age_s", machine));
    const auto number = parse_u64(age);
    if (!number || (!best.empty() && *number >= *parse_u64(best))) continue;
    best = age;
    where = machine;
  }
  if (where == nullptr) return say(globals, msgid("none is known"));
  return translated(globals.language, "{} old, made by {}", about(globals, best), at(root, fmt::format("machines.{}.name", where)));
}

const json::array* findings_in(const json::object& root) {
  const auto* findings = root.if_contains("findings");
  return findings != nullptr ? findings->if_array() : nullptr;
}

const char* mark(const std::string& severity) { return severity == "danger" ? "✗" : severity == "warning" ? "!" : "·"; }

/// The findings of some kinds as one check: the severest decides.
Check check_of(const Globals& globals, const json::object& root, const char* what, std::initializer_list<std::string_view> kinds) {
  Check check{what, true, "", true};
  const auto* findings = findings_in(root);
  bool danger = false;
  for (const auto& each : findings != nullptr ? *findings : json::array{}) {
    const auto* finding = each.if_object();
    if (finding == nullptr || at(*finding, "severity") == "notice" || std::ranges::find(kinds, at(*finding, "kind")) == kinds.end()) continue;
    check.good = false;
    danger = danger || at(*finding, "severity") == "danger";
    if (!check.shown.empty()) check.shown += "; ";
    check.shown += retold(globals.language, at(*finding, "text"));
  }
  check.blocks = danger;
  return check;
}

}  // namespace

void add_machine_fields(const Globals& globals, const json::object& root, std::vector<std::pair<std::string, std::string>>& fields) {
  const auto promote = at(root, "promote_ms").empty() ? at(root, "mirror.promote_ms") : at(root, "promote_ms");
  if (!promote.empty()) fields.emplace_back(say(globals, msgid("a promotion would take")), translated(globals.language, "about {}", in_seconds(promote)));
  if (at(root, "machines").empty()) return;
  const auto both = [&](const char* member) {
    const auto one = at(root, fmt::format("machines.production.{}", member)), other = at(root, fmt::format("machines.mirror.{}", member));
    return one == other ? one : fmt::format("{} / {}", one.empty() ? "?" : one, other.empty() ? "?" : other);
  };
  fields.emplace_back(say(globals, msgid("programs (production / mirror)")), fmt::format("verbund {}, PostgreSQL {}", both("version"), both("postgres")));
  fields.emplace_back(say(globals, msgid("production's disk")), shown_disk(globals, root, "machines.production"));
  fields.emplace_back(say(globals, msgid("the mirror's disk")), shown_disk(globals, root, "machines.mirror"));
  fields.emplace_back(say(globals, msgid("last good backup")), shown_backup(globals, root));
}

void print_findings(const Globals& globals, const json::object& root) {
  const auto* findings = findings_in(root);
  if (findings == nullptr || findings->empty()) return;
  fmt::print("\n{}\n", say(globals, msgid("Unequal, scarce or old (✗ speaks against a switchover, ! is an alarm, · may be meant so):")));
  for (const auto& each : *findings) {
    const auto* finding = each.if_object();
    if (finding == nullptr) continue;
    fmt::print("{} {}\n", mark(at(*finding, "severity")), retold(globals.language, at(*finding, "text")));
    if (at(*finding, "severity") != "notice") fmt::print("    {}\n", retold(globals.language, at(*finding, "hint")));
  }
}

Status refuse_dangers(const json::object& root) {
  const auto* findings = findings_in(root);
  for (const auto& each : findings != nullptr ? *findings : json::array{}) {
    const auto* object = each.if_object();
    const auto finding = object != nullptr ? node::finding_from(*object) : std::nullopt;
    if (!finding || finding->severity != mirror::Severity::kDanger) continue;
    return fail(ErrorCode::kPairRefused, phrase("switchover: {}", text_of(*finding)), phrase("{} `--anyway` does it all the same.", hint_of(*finding)));
  }
  return {};
}

std::vector<Check> machine_checks(const Globals& globals, const json::object& root) {
  const auto check = [&](const char* what, std::initializer_list<std::string_view> kinds) { return check_of(globals, root, what, kinds); };
  Check known{msgid("both machines have said what they are"), !at(root, "machines.production.postgres").empty() && !at(root, "machines.mirror.postgres").empty(), "", false};
  return {known,
          check(msgid("both machines have the same version of PostgreSQL"), {"postgres"}),
          check(msgid("both machines sort alike, with the versions that the indexes were built with"), {"collation"}),
          check(msgid("the mirror has the files of all extensions"), {"extension"}),
          check(msgid("PostgreSQL and the office's configuration are set alike"), {"setting", "option"}),
          check(msgid("both disks have room"), {"disk"}),
          check(msgid("both clocks agree, the backup is not overdue"), {"clock", "backup"})};
}

}  // namespace verbund::cli
