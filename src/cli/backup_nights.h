#pragma once
/// What `backup duty` and `schedule` share: the ledger with the rules of config/backup.toml; and the next night as `status`, `backup night`
/// and `check` show it. Main thread.
#include <boost/json/object.hpp>

#include "backup/media/ledger.h"
#include "backup/night/maker.h"
#include "backup/rotation/duty.h"
#include "cli/backup.h"

namespace verbund::cli {

struct NightsAtHand {
  OfficeAtHand at_hand;
  backup::Ledger ledger;
  backup::DutyRules duty;              ///< as it is now: configured, and given out by command
  backup::LocalTime now;
  [[nodiscard]] const backup::PlanRules& plan() const { return at_hand.office.config.plan; }
  [[nodiscard]] const backup::Book& book() const { return ledger.book(); }
  /// Signed, into the ledger; `duty` is renewed.
  Status enter(backup::Fact fact);
};
Result<NightsAtHand> nights_at_hand(const Globals& globals);

/// Next run, newest good set, what is no backup: label and text, for people.
std::vector<std::pair<std::string, std::string>> night_fields(const Globals& globals, const backup::Outlook& outlook);
/// The same for programs.
boost::json::object night_json(const backup::Outlook& outlook);
/// Whose the nights of a pair are: "turn", "why".
void put_turn(boost::json::object& to, const backup::NightTurn& turn);
/// "Mo 2026-11-23 01:30"
std::string shown_moment(const Globals& globals, backup::LocalTime time);

/// "monday"
std::string_view weekday_word(std::chrono::weekday weekday);
/// "Mo", "Tu" …; German "Mo", "Di" …
std::string short_weekday(const Globals& globals, backup::Day day);

}  // namespace verbund::cli
