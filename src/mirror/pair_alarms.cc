#include "mirror/pair_alarms.h"

#include "base/messages.h"

namespace verbund::mirror {
namespace {

constexpr std::uint64_t kLittleLogLeft = 1ULL << 30U;

std::int64_t in_minutes(nanoseconds span) { return std::chrono::duration_cast<std::chrono::minutes>(span).count(); }

void add_following(const Watched& watched, std::vector<PairAlarm>& alarms) {
  if (watched.slot_lost) {
    alarms.push_back({"slot", phrase("the mirror {} needs a new copy: production no longer has the log that it lacks", watched.other)});
  } else if (watched.safe_bytes && *watched.safe_bytes < kLittleLogLeft) {
    alarms.push_back({"slot", phrase("the mirror {} will soon need a new copy: production keeps its log only for another {} MB", watched.other, *watched.safe_bytes >> 20U)});
  }
  // The mirror's figures say that it is not behind, and it would stay so for ever.
  if (watched.ahead && *watched.ahead >= kAheadTolerated) {
    alarms.push_back({"ahead", phrase("the mirror {} has more of the log than production: production's data are older than they were, as after a restored disk or snapshot. What is missing here may be on the mirror alone: look before anything is copied", watched.other)});
  }
  if (!watched.behind || watched.behind->span < kBehindTolerated + 2 * watched.interval) return;
  alarms.push_back({"behind", phrase("the mirror is {} min behind production", in_minutes(watched.behind->span))});
}

}  // namespace

std::vector<PairAlarm> alarms_of(const Watched& watched) {
  std::vector<PairAlarm> alarms;
  if (watched.took_over) {
    const auto lost = std::chrono::duration_cast<seconds>(*watched.took_over).count();
    alarms.push_back({"took_over", phrase("this machine has taken over by itself, {} did not answer: of its last {} s something may be lost. Mend it, then `verbund mirror rejoin` there lists what", watched.other, lost)});
  }
  if (watched.witness_silent && *watched.witness_silent >= kWitnessSilenceTolerated) {
    alarms.push_back({"witness", phrase("the witness has not answered for {} min: work goes on, but nobody would take over by itself", in_minutes(*watched.witness_silent))});
  }
  if (watched.waits || watched.fenced) {
    if (watched.stands < kSilenceTolerated) return alarms;
    if (watched.fenced) alarms.push_back({"fenced", phrase("this machine may not work, {} is production: `verbund mirror rejoin` makes it the mirror", watched.other)});
    else alarms.push_back({"waits", phrase("this machine waits for a person: {} has not said whether it is production now. `verbund mirror status` says what can be done", watched.other)});
    return alarms;
  }
  const bool silent = watched.silent >= kSilenceTolerated;
  if (silent) {
    alarms.push_back({"silent", watched.production ? phrase("the mirror {} has not been heard for {} min", watched.other, in_minutes(watched.silent))
                                                   : phrase("production {} has not been heard for {} min: does anybody work there?", watched.other, in_minutes(watched.silent))});
  }
  if (!watched.database_error.empty() && watched.database_silent >= kSilenceTolerated) {
    alarms.push_back({"database", phrase("PostgreSQL on the mirror has not answered for {} min: {}", in_minutes(watched.database_silent), verbatim(watched.database_error))});
  }
  if (watched.production && !silent) add_following(watched, alarms);
  for (const auto& finding : watched.findings) {
    const bool backups_of_other = (finding.name == "mirror") == watched.production;
    const bool ours = finding.kind == FindingKind::kBackup ? backups_of_other : watched.production || silent;
    if (ours && finding.severity >= Severity::kWarning) alarms.push_back({key_of(finding), phrase("{}. {}", text_of(finding), hint_of(finding))});
  }
  return alarms;
}

std::vector<PairAlarm> AlarmHold::hold(std::vector<PairAlarm> now_there, TimePoint now) {
  for (auto& alarm : now_there) {
    const auto key = alarm.key;
    held_.insert_or_assign(key, Held{std::move(alarm), now});
  }
  std::erase_if(held_, [now](const auto& each) { return now - each.second.seen >= kCalm; });
  std::vector<PairAlarm> all;
  for (const auto& [key, held] : held_) all.push_back(held.alarm);
  return all;
}

}  // namespace verbund::mirror
