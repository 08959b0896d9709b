// What needs a person now, and who that is by now.
#include <algorithm>

#include "backup/rotation/duty.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using std::chrono::hours;
using Kind = Trouble::Kind;
using Outcome = fact::RunEnded::Outcome;

Day date(LocalTime time) { return std::chrono::floor<days>(time); }

class Look {
 public:
  Look(const PlanRules& plan, const DutyRules& duty, const Book& book, LocalTime since, LocalTime now)
      : plan_(plan), duty_(duty), book_(book), since_(since), now_(now), calendar_(plan.calendar), today_(calendar_.working_day_from(date(now))) {}

  std::vector<Trouble> all() {
    missed();
    last_run();
    last_good();
    damaged();
    tonight();
    clock();
    off_site();
    not_ticked();
    drill();
    not_taken_away();
    std::ranges::stable_sort(found_, {}, &Trouble::kind);
    return std::move(found_);
  }

 private:
  /// When the deputy and the administrators are told.
  struct Told {
    LocalTime deputy, administrators;
  };
  /// `day`: the working day on which it is first somebody's task. `later`: what is a task of that day has time until the afternoon.
  [[nodiscard]] Told told(Day day, hours later) const {
    if (later == hours{0} && book_.ticked_by(day, Task::kControl)) day = calendar_.working_day_from(day + days{1});
    return {day + duty_.tick_until + later, day + duty_.escalate_until + later};
  }

  void tell(std::vector<Person>& to, const Person& person) const {
    if (!person.name.empty() && std::ranges::find(to, person) == to.end()) to.push_back(person);
  }

  /// What begins in days to come was noted by a clock that has been set back since: nobody waits for that day.
  std::vector<Person> people(Task task, Day whose, Day from, hours later = hours{0}) const {
    if (from > calendar_.working_day_from(today_ + days{1})) from = Day{};
    const auto [deputy_at, administrators_at] = told(from, later);
    const Pair pair = on_duty(duty_, std::min(whose, today_), task);
    std::vector<Person> to;
    tell(to, pair.responsible);
    if (whose < today_) tell(to, on_duty(duty_, today_, task).responsible);
    const bool deputy_too = now_ >= deputy_at || to.empty();
    if (deputy_too) tell(to, pair.deputy);
    const bool nobody_in_between = deputy_too && pair.deputy.name.empty();
    if (now_ >= administrators_at || to.empty() || nobody_in_between) {
      for (const Person& administrator : duty_.administrators) tell(to, administrator);
    }
    return to;
  }
  /// `begun` to come: it is old by the entries, though not by the clock; who was to be told by then is unknown.
  std::vector<Person> people_from(Task task, LocalTime begun) const {
    const Day day = calendar_.working_day_from(date(begun));
    return people(task, day, begun > now_ ? Day{} : day);
  }

  void add(Kind kind, std::string key, Phrase text, std::vector<Person> to) {
    found_.push_back({kind, std::move(key), std::move(text), std::move(to)});
  }

  void missed() {
    const auto night = missed_night(plan_, book_, since_, now_);
    if (!night) return;
    const Day controlled = night_of(plan_, *night).controlled_on;
    const auto when = day_text(date(*night));
    add(Kind::kMissed, "missed/" + when, phrase("no backup has run in the night of {}", when), people(Task::kControl, controlled, controlled));
  }

  void last_run() {
    const auto& run = book_.last_run();
    if (!run || run->what.outcome == Outcome::kComplete) return;
    const bool failed = run->what.outcome == Outcome::kFailed;
    const auto of = day_text(run->what.night);
    add(failed ? Kind::kFailed : Kind::kIncomplete, fmt::format("{}/{}/{}", failed ? "failed" : "incomplete", of, run->entry),
        failed ? phrase("the backup of {} has failed", of) : phrase("the backup of {} is incomplete", of), people_from(Task::kControl, run->at));
  }

  void last_good() {
    const auto good = book_.last_good();
    const Day base = std::min(good ? good->what.night : date(since_), today_);
    const Day second = calendar_.working_day_from(calendar_.working_day_from(base + days{1}) + days{1});
    // The night that holds the second working day, and the time that its run is given.
    const auto night = second + plan_.night_at + (plan_.night_at < hours{12} ? days{1} : days{0});
    const LocalTime limit = night + plan_.missed_after;
    if (now_ < limit) return;
    add(Kind::kLastGoodOld, "last-good/" + (good ? good->what.set : std::string("none")),
        good ? phrase("the newest backup that is complete and proven is that of {}", day_text(good->what.night))
             : phrase("there is no backup that is complete and proven"),
        people_from(Task::kControl, limit));
  }

  void damaged() {
    // Those in a directory don't stand in for a medium: what is damaged there is told as long as there is no newer good one.
    for (const SetOnMedium& set : book_.copies()) {
      if (!set.damaged || book_.uses_media() || newer_copy(set)) continue;
      add(Kind::kDamaged, fmt::format("damaged/{}", set.set), phrase("the backup of {} is damaged", day_text(set.night)), people_from(Task::kControl, set.damaged_at));
    }
    for (const auto& [id, medium] : book_.media()) {
      if (!medium.in_use()) continue;
      for (const SetOnMedium& set : medium.sets) {
        if (!set.damaged) continue;
        add(Kind::kDamaged, fmt::format("damaged/{}/{}", id, set.set), phrase("the backup of {} on {} is damaged", day_text(set.night), medium.label),
            people_from(Task::kControl, set.damaged_at));
      }
    }
  }

  [[nodiscard]] bool newer_copy(const SetOnMedium& set) const {
    return std::ranges::any_of(book_.copies(), [&](const SetOnMedium& other) { return other.good() && other.entered > set.entered; });
  }

  /// The medium of the coming night: from the time of the control on it is somebody's task. An office without media has its sets in a
  /// directory; that they have to leave the house is told by off_site().
  void tonight() {
    if (!book_.uses_media()) return;
    const LocalTime next = next_run(plan_, book_, since_, now_);
    const Night night = night_of(plan_, next);
    if (now_ < night.of + duty_.tick_until) return;
    const auto due = due_for(plan_, book_, night, now_);
    const auto of = day_text(night.of);
    const auto to = [&] { return people(Task::kChange, night.of, night.of, duty_.escalate_until - duty_.tick_until); };
    if (!due.problem.msgid.empty()) add(Kind::kNoMedium, "no-medium/" + of, phrase("the night of {}: {}", of, due.problem), to());
    const auto* medium = due.medium ? book_.find(*due.medium) : nullptr;
    if (!medium || medium->place == Place::kInHouse || medium->kind == MediumKind::kCloud) return;
    add(Kind::kMediumOverdue, fmt::format("not-brought/{}/{}", medium->id, of),
        phrase("{} is due tonight and has not been brought ({} took it)", medium->label, medium->moved_by), to());
  }

  void clock() {
    const auto& leap = book_.leap();
    const auto& newest = book_.newest_at();
    const bool back = clock_set_back(book_, now_);
    if (!back && !leap && !(newest && now_ > *newest + kLeapAhead)) return;
    const LocalTime from = leap && !back ? leap->from : *newest;
    const LocalTime to = leap && !back ? leap->to : now_;
    add(Kind::kClock, "clock/" + local_time_text(from),
        phrase("the clock reads {} after the journal's {}: which is right?", local_time_text(to), local_time_text(from)),
        people_from(Task::kControl, to));
  }

  /// Longer ago than `limit`, by the clock or by the entries: in doubt it is old.
  [[nodiscard]] bool old(LocalTime at, seconds witnessed, days limit) const {
    return now_ - at > limit || book_.witnessed(now_) - witnessed > limit;
  }

  /// What the dates say of an age is true: no clock was set back since by more than a day.
  [[nodiscard]] bool dated(LocalTime at, seconds witnessed) const {
    return at <= now_ && book_.witnessed(now_) - witnessed <= now_ - at + days{1};
  }

  void off_site() {
    std::map<std::string, LocalTime> young, known;  // sets outside the house, by id
    bool all_dated = true;
    const auto count = [&](const std::string& set, LocalTime at, seconds witnessed, bool was_young) {
      all_dated = all_dated && dated(at, witnessed);
      if (at <= now_ && was_young) known[set] = std::max(known[set], at);
      if (!old(at, witnessed, plan_.off_site_oldest)) young.try_emplace(set, at);
    };
    for (const auto& [key, verified] : book_.off_site()) count(verified.what.set, verified.at, verified.witnessed, true);
    for (const auto& [id, medium] : book_.media()) {
      if (!medium.in_use() || medium.place != Place::kOffSite) continue;
      for (const SetOnMedium& set : medium.sets) {
        // What was old already when it left the house ended nothing.
        if (set.good()) count(set.set, set.at, set.witnessed, medium.moved_at - set.at <= plan_.off_site_oldest);
      }
    }
    if (static_cast<int>(young.size()) >= plan_.off_site_least || !old(since_, seconds{0}, plan_.off_site_oldest)) return;
    const LocalTime begun = too_few_since(known) + plan_.off_site_oldest;
    add(Kind::kOffSiteOld, "off-site",
        phrase("{} proven backups outside the house are younger than {} days; {} are wanted", young.size(), plan_.off_site_oldest.count(), plan_.off_site_least),
        all_dated ? people_from(Task::kTakeAway, begun) : people(Task::kTakeAway, today_, Day{}));
  }
  /// The time of the set whose growing old left too few: one more that is young, but not enough, ends nothing.
  [[nodiscard]] LocalTime too_few_since(const std::map<std::string, LocalTime>& known) const {
    std::vector<LocalTime> times;
    for (const auto& [set, at] : known) times.push_back(at);
    std::ranges::sort(times, std::greater{});
    const auto wanted = static_cast<std::size_t>(std::max(plan_.off_site_least, 1));
    return times.size() < wanted ? since_ : std::max(since_, times[wanted - 1]);
  }

  /// The last control that should have been ticked off by now. On the first day there was nothing to control.
  void not_ticked() {
    Day day = calendar_.working_day_from(date(now_));
    if (day > date(now_) || now_ < day + duty_.tick_until) day = calendar_.working_day_before(date(now_));
    if (day <= date(since_) || book_.ticked_by(day, Task::kControl)) return;
    add(Kind::kNotTicked, "not-ticked/" + day_text(day), phrase("the run report of {} has not been ticked off", day_text(day)),
        people(Task::kControl, day, day));
  }

  void drill() {
    const auto& last = book_.last_drill();
    const LocalTime at = last ? last->at : since_;
    const seconds witnessed = last ? last->witnessed : seconds{0};
    if (!old(at, witnessed, plan_.drill_every)) return;
    const auto days_ago = plan_.drill_every.count();
    add(Kind::kDrillOverdue, "drill", phrase("no backup has been restored on another system for {} days", days_ago),
        dated(at, witnessed) ? people_from(Task::kControl, at + plan_.drill_every) : people(Task::kControl, today_, Day{}));
  }

  void not_taken_away() {
    if (!plan_.take_away) return;
    const auto tonights = due_on(plan_, book_, now_).medium;
    for (const auto& [id, medium] : book_.media()) {
      const bool stays = !medium.in_use() || medium.place == Place::kOffSite || medium.kind == MediumKind::kCloud || medium.last_taken > medium.last_written;
      if (stays || medium.sets.empty() || tonights == id || !kept_until(plan_, book_, id, now_)) continue;
      const Day night = medium.sets.back().night;
      const Day day = calendar_.working_day_from(night + days{1});
      if (now_ < day + duty_.escalate_until) continue;
      add(Kind::kNotTakenAway, fmt::format("not-taken/{}/{}", id, day_text(night)),
          phrase("{} holds the backup of {} and is still in the house", medium.label, day_text(night)),
          people(Task::kTakeAway, day, calendar_.working_day_from(day + days{1})));
    }
  }

  const PlanRules& plan_;
  const DutyRules& duty_;
  const Book& book_;
  LocalTime since_, now_;
  Calendar calendar_;
  Day today_;                          ///< the working day that is, or comes next
  std::vector<Trouble> found_;
};

}  // namespace

std::vector<Trouble> troubles(const PlanRules& plan, const DutyRules& duty, const Book& book, LocalTime since, LocalTime now) {
  return Look(plan, duty, book, since, now).all();
}

}  // namespace verbund::backup
