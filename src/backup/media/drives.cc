#include "backup/media/drives.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

void take_label(Drive& drive, const MediaOffice& of, Result<Label> label) {
  if (!label) {
    if (label.error().code == ErrorCode::kNotFound) return;
    drive.presented.another_installation = label.error().code == ErrorCode::kForbidden;
    drive.problem = std::move(label.error());
    return;
  }
  drive.presented.id = label->id;
  drive.presented.label = label->label;
  drive.presented.another_installation = label->installation != of.installation;
  if (!drive.presented.another_installation) drive.label = std::move(*label);
}

Phrase right_one(const Book& book, const Due& due) {
  if (!due.medium) return due.problem;
  const auto medium = book.media().find(*due.medium);
  if (medium == book.media().end()) return due.problem;
  if (medium->second.place == Place::kOffSite) return phrase("The right one is {}; {} has it.", medium->second.label, medium->second.moved_by);
  return phrase("The right one is {}.", medium->second.label);
}

/// Whether the fact is about a set that a run has written to a directory.
bool knows_copy(const Book& book, const Fact& fact) {
  const auto* removed = std::get_if<fact::SetRemoved>(&fact);
  const auto* verified = std::get_if<fact::SetVerified>(&fact);
  const std::string* set = removed ? &removed->set : verified ? &verified->set : nullptr;
  return set && std::ranges::find(book.copies(), *set, &SetOnMedium::set) != book.copies().end();
}

}  // namespace

Result<MediaOffice> media_office(const Office& office) {
  auto installation = installation_id(office.directory);
  if (!installation) return pass(installation);
  auto trusted = trusted_keys(office.directory);
  if (!trusted) return pass(trusted);
  auto key = signing_key(office.directory);
  if (!key) return pass(key);
  return MediaOffice{office, std::move(*installation), std::move(*trusted), std::move(*key)};
}

Drive look_at(const MediaOffice& of, const fs::path& place, const Machine& machine) {
  Drive drive;
  drive.place = place;
  drive.presented.mounted = false;
  auto ground = ground_of(place, of.office.directory, machine);
  if (!ground) {
    drive.problem = std::move(ground.error());
    return drive;
  }
  drive.presented.mounted = ground->mounted;
  drive.ground = std::move(*ground);
  // Under a mount point may lie anything, also a label that was copied there: it is no medium.
  if (drive.presented.mounted) take_label(drive, of, read_label(place, of.trusted));
  return drive;
}

Tape tape_of(const MediaOffice& of, const fs::path& device) { return Tape(device, of.office.directory / "backup" / "tape"); }

Drive look_at_tape(const MediaOffice& of, const fs::path& device) {
  Drive drive;
  drive.place = device;
  drive.kind = MediumKind::kTape;
  SilentProgress progress;
  auto label = tape_of(of, device).read_label(of.trusted, progress);
  drive.presented.mounted = label || label.error().code != ErrorCode::kMediumGone;
  take_label(drive, of, std::move(label));
  return drive;
}

std::vector<Drive> look_at_drives(const MediaOffice& of, const Machine& machine) {
  auto places = of.office.config.media.places;
  if (places.empty() && !of.office.config.target.empty()) places.push_back(of.office.config.target);
  std::vector<Drive> drives;
  for (const auto& place : places) drives.push_back(look_at(of, place, machine));
  if (!of.office.config.media.tape.empty()) drives.push_back(look_at_tape(of, of.office.config.media.tape));
  if (!of.office.config.media.hot_swap) return drives;
  for (auto& drive : drives) {
    if (drive.ground && drive.ground->kind == Ground::Kind::kFixedDisk) drive.ground->kind = Ground::Kind::kExchangeable;
  }
  return drives;
}

Result<Ledger> ledger_with(const MediaOffice& of, const std::vector<Drive>& drives, std::vector<Phrase>& said) {
  std::vector<fs::path> targets;
  for (const auto& drive : drives) {
    if (drive.label && drive.kind == MediumKind::kDisk) targets.push_back(drive.place);
  }
  auto ledger = Ledger::open(of.office.directory, of.trusted);
  if (!ledger && (ledger.error().code == ErrorCode::kDamaged || ledger.error().code == ErrorCode::kForbidden)) {
    said.push_back(phrase_of(ledger.error()));
    ledger = Ledger::rebuild(of.office.directory, of.trusted, targets);
  }
  if (!ledger) return ledger;
  if (ledger->mended()) said.push_back(*ledger->mended());
  for (const auto& target : targets) {
    auto exchanged = ledger->exchange_with(target, of.key);
    // A medium that can't be written to is found by whoever writes to it.
    if (!exchanged) said.push_back(phrase_of(exchanged.error()));
    else if (!exchanged->said.msgid.empty()) said.push_back(exchanged->said);
  }
  return ledger;
}

Result<const Drive*> choose(const PlanRules& rules, const Book& book, const std::vector<Drive>& drives, LocalTime now) {
  const auto due = due_on(rules, book, now);
  std::vector<const Drive*> order;
  for (const auto& drive : drives) order.push_back(&drive);
  // The due one first; then what has a label, so that a refusal speaks of it and not of an empty drive.
  std::ranges::stable_sort(order, {}, [&](const Drive* drive) {
    if (due.medium && drive->presented.id == *due.medium) return 0;
    if (drive->label) return 1;
    return drive->presented.mounted ? 2 : 3;
  });
  std::optional<Error> refused;
  for (const auto* drive : order) {
    if (drive->problem && drive->problem->code == ErrorCode::kDamaged && !refused) refused = drive->problem;
    auto may = may_write(rules, book, drive->presented, now);
    if (may) return drive;
    may.error() = std::move(may.error()).in(phrase("{}", drive->place.native()));
    if (!refused) refused = std::move(may.error());
  }
  if (!refused) {
    refused = make_error(ErrorCode::kMediumGone, phrase("backup: no place is configured at which media are mounted"), phrase("config/backup.toml, [media] places = [\"/media/backup\"]"));
  } else if (refused->hint.empty()) {
    refused->advise(right_one(book, due));
  }
  return std::unexpected(std::move(*refused));
}

Status note_on_medium(const Office& office, const fs::path& place, const std::function<Fact(const std::string& medium)>& fact, LocalTime now) {
  auto of = media_office(office);
  if (!of) return pass(of);
  const auto drive = look_at(*of, place);
  std::error_code gone;
  const bool target = !office.config.target.empty() && fs::equivalent(place, office.config.target, gone);
  if (!drive.label && !target) return {};
  auto ledger = Ledger::open(office.directory, of->trusted);
  if (!ledger) return pass(ledger);
  if (!drive.label) {
    Fact of_copy = fact("");
    return knows_copy(ledger->book(), of_copy) ? ledger->enter(std::move(of_copy), now, of->key) : Status{};
  }
  const auto* medium = ledger->book().find(drive.label->id);
  return medium && medium->in_use() ? ledger->enter(fact(medium->id), now, of->key) : Status{};
}

}  // namespace verbund::backup
