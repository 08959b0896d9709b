#include "cli/backup_nights.h"

#include <boost/json.hpp>

namespace verbund::cli {
namespace {

namespace json = boost::json;

}  // namespace

Result<NightsAtHand> nights_at_hand(const Globals& globals) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return pass(at_hand);
  auto trusted = backup::trusted_keys(at_hand->office.directory);
  if (!trusted) return pass(trusted);
  auto ledger = backup::Ledger::open(at_hand->office.directory, *trusted);
  if (!ledger) return pass(ledger);
  if (ledger->mended()) fmt::print(stderr, "{}\n", said(globals.language, *ledger->mended()));
  auto duty = backup::duty_now(at_hand->office.config.duty, ledger->book());
  return NightsAtHand{std::move(*at_hand), std::move(*ledger), std::move(duty), os::local_time(os::SystemClock().wall())};
}

Status NightsAtHand::enter(backup::Fact fact) {
  auto key = backup::signing_key(at_hand.office.directory);
  if (!key) return pass(key);
  if (auto entered = ledger.enter(std::move(fact), now, *key); !entered) return entered;
  duty = backup::duty_now(at_hand.office.config.duty, ledger.book());
  return {};
}

std::string shown_moment(const Globals& globals, backup::LocalTime time) {
  return fmt::format("{} {}", short_weekday(globals, std::chrono::floor<std::chrono::days>(time)), backup::local_time_text(time).replace(10, 1, " ").substr(0, 16));
}

std::vector<std::pair<std::string, std::string>> night_fields(const Globals& globals, const backup::Outlook& outlook) {
  const auto text = [&](const char* msgid, const auto&... args) { return translated(globals.language, msgid, args...); };
  if (!outlook.configured) return {{text("backup"), text("no backup is configured: config/backup.toml, or verbund backup media label")}};
  const auto at = shown_moment(globals, outlook.next);
  std::string next = outlook.due() ? text("due now") : outlook.next_medium.empty() ? at : text("{}, on medium {}", at, outlook.next_medium);
  if (!outlook.next_problem.msgid.empty()) next += " (" + said(globals.language, outlook.next_problem) + ")";
  std::string last = text("none yet");
  if (outlook.last_good) {
    const auto& good = *outlook.last_good;
    last = text("{}, the data of {}, proven up to {}", shown_moment(globals, good.at), backup::day_text(good.what.night), backup::level_name(good.what.level));
  }
  std::vector<std::pair<std::string, std::string>> fields = {{text("next backup"), next}, {text("last good backup"), last}};
  if (outlook.copies_only) fields.emplace_back(text("backup medium"), text("none: sets in a directory are copies, not a backup"));
  return fields;
}

json::object night_json(const backup::Outlook& outlook) {
  json::object object{{"configured", outlook.configured}};
  if (!outlook.configured) return object;
  object["next"] = backup::local_time_text(outlook.next);
  object["due"] = outlook.due();
  object["medium"] = outlook.next_medium;
  object["problem"] = outlook.next_problem.english();
  object["copies_only"] = outlook.copies_only;
  if (outlook.last_good) {
    const auto& good = *outlook.last_good;
    object["last_good"] = {{"set", good.what.set}, {"at", backup::local_time_text(good.at)}, {"night", backup::day_text(good.what.night)}, {"level", backup::level_name(good.what.level)}};
  }
  return object;
}

void put_turn(json::object& to, const backup::NightTurn& turn) {
  to["turn"] = backup::turn_name(turn.turn);
  to["why"] = turn.why.english();
}

std::string_view weekday_word(std::chrono::weekday weekday) {
  constexpr std::string_view kWords[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
  return kWords[weekday.c_encoding()];
}

std::string short_weekday(const Globals& globals, backup::Day day) {
  const char* const words[] = {msgid("Su"), msgid("Mo"), msgid("Tu"), msgid("We"), msgid("Th"), msgid("Fr"), msgid("Sa")};
  return std::string(translate(globals.language, words[std::chrono::weekday{day}.c_encoding()]));
}

}  // namespace verbund::cli
