#include "backup/night/maker.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::string_view kParts[] = {"production", "mirror", "none"};

fs::path pair_file(const fs::path& installation) { return installation / "backup" / "pair.json"; }
fs::path stood_in_file(const fs::path& installation) { return installation / "backup" / "nights.stood-in"; }

std::unexpected<Error> holds_nothing(const fs::path& file) {
  return fail(ErrorCode::kDamaged, phrase("{}: it can't be read", file.native()), phrase("Remove it: the node writes it anew."));
}

Result<std::optional<LocalTime>> read_stood_in(const fs::path& installation) {
  auto text = os::read_file(stood_in_file(installation), 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<LocalTime>();
  if (!text) return pass(text);
  const auto night = parse_local_time(std::string_view(*text).substr(0, text->find('\n')));
  if (!night) return holds_nothing(stood_in_file(installation));
  return std::optional(*night);
}

/// "2026-11-24 01:30"
std::string night_text(LocalTime night) {
  auto text = local_time_text(night).substr(0, 16);
  std::ranges::replace(text, 'T', ' ');
  return text;
}

}  // namespace

std::string_view turn_name(Turn turn) {
  constexpr std::string_view kNames[] = {"ours", "stands in", "others", "nobodys"};
  return kNames[static_cast<std::size_t>(turn)];
}

Result<std::optional<PairNights>> read_pair_nights(const fs::path& installation, WallTime now) {
  const auto file = pair_file(installation);
  auto text = os::read_file(file, 64 * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<PairNights>();
  if (!text) return pass(text);
  boost::system::error_code failed;
  const auto value = json::parse(*text, failed);
  const auto* object = failed ? nullptr : value.if_object();
  if (object == nullptr) return holds_nothing(file);
  const auto word = [&](std::string_view name) {
    const auto* member = object->if_contains(name);
    return member != nullptr && member->is_string() ? std::optional(std::string(member->get_string())) : std::nullopt;
  };
  const auto flag = [&](std::string_view name) {
    const auto* member = object->if_contains(name);
    return member != nullptr && member->is_bool() ? std::optional(member->get_bool()) : std::nullopt;
  };
  const auto part = word("part"), other = word("other"), at = word("at");
  const auto heard = flag("heard"), makes = flag("makes"), busy = flag("busy"), apart = flag("apart");
  if (!part || !other || !at || !heard || !makes || !busy || !apart) return holds_nothing(file);
  const auto which = std::ranges::find(kParts, *part);
  const auto noted = from_iso8601(*at);
  if (which == std::end(kParts) || !noted) return holds_nothing(file);
  PairNights pair{static_cast<PairNights::Part>(which - kParts), *other, *heard, *makes, *busy, *apart};
  // A clock that was set back has noted it in the future.
  if (now - *noted > kPairNoted || *noted - now > kPairNoted) pair.heard = false;
  return std::optional(std::move(pair));
}

Status write_pair_nights(const fs::path& installation, const std::optional<PairNights>& pair, WallTime now) {
  const auto file = pair_file(installation);
  if (!pair) {
    std::error_code failed;
    fs::remove(file, failed);
    return failed ? Status(fail(ErrorCode::kIo, phrase("remove {}: {}", file.native(), failed.message()))) : Status{};
  }
  if (auto made = os::make_directories(file.parent_path(), 0700); !made) return made;
  const json::object object{{"part", kParts[static_cast<std::size_t>(pair->part)]}, {"other", pair->other}, {"heard", pair->heard}, {"makes", pair->makes}, {"busy", pair->busy}, {"apart", pair->apart},
                            {"at", to_iso8601(now)}};
  return os::write_file_atomically(file, json::serialize(object) + "\n", 0600);
}

NightTurn turn_of(const std::optional<PairNights>& pair, const Outlook& outlook, const PlanRules& plan, LocalTime since, std::optional<LocalTime> stood_in, LocalTime now) {
  const bool night_has_come = outlook.configured && outlook.next <= now;
  if (!pair) return {Turn::kOurs, night_has_come, false, {}};
  if (pair->part == PairNights::Part::kMirror) return {Turn::kOurs, night_has_come, false, phrase("this machine makes the backups: it is the mirror of {}", pair->other)};
  if (pair->part == PairNights::Part::kNone) return {Turn::kNobodys, false, false, {}};
  if (pair->apart) return {Turn::kOurs, night_has_come, false, {}};
  if (!pair->heard) return {Turn::kStandsIn, night_has_come, true, phrase("the mirror {} is not heard", pair->other)};
  if (!pair->makes) return {Turn::kStandsIn, night_has_come, true, phrase("the mirror {} makes no backups: its config/backup.toml has neither target nor media, or its scheduler is off", pair->other)};
  const NightTurn theirs{Turn::kOthers, false, false, phrase("the mirror {} makes the backups", pair->other)};
  const auto night = last_night(plan, now - kMirrorMayTake);
  if (!outlook.configured || night <= since) return theirs;
  if (stood_in && *stood_in >= night) return {Turn::kOthers, false, true, phrase("the mirror {} has made no backup of the night of {}: production has stood in", pair->other, night_text(*stood_in))};
  if (pair->busy || (outlook.last_set && *outlook.last_set >= night)) return theirs;
  return {Turn::kStandsIn, true, true, phrase("the mirror {} has made no backup of the night of {}", pair->other, night_text(night))};
}

Result<NightTurn> turn_now(const fs::path& installation, const Outlook& outlook, const PlanRules& plan, LocalTime now) {
  auto pair = read_pair_nights(installation, os::wall_time(now));
  if (!pair) return pass(pair);
  auto since = nights_since(installation);
  if (!since) return pass(since);
  auto stood_in = read_stood_in(installation);
  if (!stood_in) return pass(stood_in);
  return turn_of(*pair, outlook, plan, since->value_or(now), *stood_in, now);
}

Status note_stood_in(const fs::path& installation, const PlanRules& plan, LocalTime now) {
  return os::write_file_atomically(stood_in_file(installation), local_time_text(last_night(plan, now)) + "\n", 0600);
}

}  // namespace verbund::backup
