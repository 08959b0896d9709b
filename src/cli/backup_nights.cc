#include "cli/backup_nights.h"

namespace verbund::cli {

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

std::string_view weekday_word(std::chrono::weekday weekday) {
  constexpr std::string_view kWords[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
  return kWords[weekday.c_encoding()];
}

std::string short_weekday(const Globals& globals, backup::Day day) {
  const char* const words[] = {msgid("Su"), msgid("Mo"), msgid("Tu"), msgid("We"), msgid("Th"), msgid("Fr"), msgid("Sa")};
  return std::string(translate(globals.language, words[std::chrono::weekday{day}.c_encoding()]));
}

}  // namespace verbund::cli
