#include "backup/config_rotation.h"

#include <algorithm>

#include "base/messages.h"
#include "platform/os/read_setting.h"

namespace verbund::backup {
namespace {

using std::chrono::days;
using std::chrono::hours;

const std::vector<std::string> kWeekdays = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

std::unexpected<Error> refuse(os::ConfigFile& file, const std::string& key, const Error& why) {
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: {}", file.name(), file.line(key), key, phrase_of(why)), why.hint_phrase);
}

Status read_class(os::ConfigFile& file, const std::string& name, ClassRule& rule) {
  VERBUND_READ(rule.media, file.integer("plan." + name + ".media", rule.media, 0, 100));
  std::int64_t keep = 0;
  VERBUND_READ(keep, file.integer("plan." + name + ".keep_days", rule.keep.count(), 1, 36'500));
  rule.keep = days{keep};
  return {};
}

Status read_night_at(os::ConfigFile& file, PlanRules& plan) {
  std::string text;
  VERBUND_READ(text, file.text("plan.night_at", "01:30"));
  const auto time = parse_local_time("2000-01-01T" + text + ":00");
  if (text.size() == 5 && time) {
    plan.night_at = std::chrono::duration_cast<std::chrono::minutes>(*time - std::chrono::floor<days>(*time));
    return {};
  }
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: plan.night_at = {}: no time of day", file.name(), file.line("plan.night_at"), text),
              phrase("00:00 to 23:59; a night before noon holds the day before."));
}

Status read_scheduler(os::ConfigFile& file, Config& config) {
  std::string name;
  VERBUND_READ(name, file.text("plan.scheduler", "node"));
  for (const auto& [word, scheduler] : {std::pair<const char*, Scheduler>{"node", Scheduler::kNode}, {"timer", Scheduler::kTimer}, {"off", Scheduler::kOff}}) {
    if (name != word) continue;
    config.scheduler = scheduler;
    return {};
  }
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: plan.scheduler = {}: unknown", file.name(), file.line("plan.scheduler"), name), phrase("One of {}.", "node, timer, off"));
}

Status read_plan(os::ConfigFile& file, Config& config) {
  PlanRules& plan = config.plan;
  if (auto read = read_scheduler(file, config); !read) return read;
  if (auto read = read_night_at(file, plan); !read) return read;
  std::int64_t missed = 0, oldest = 0, drill = 0;
  VERBUND_READ(missed, file.integer("plan.missed_after_hours", plan.missed_after.count(), 1, 20));
  VERBUND_READ(plan.floor, file.integer("plan.floor", plan.floor, 1, 20));
  VERBUND_READ(plan.take_away, file.boolean("plan.take_away", plan.take_away));
  VERBUND_READ(oldest, file.integer("plan.off_site_days", plan.off_site_oldest.count(), 1, 366));
  VERBUND_READ(plan.off_site_least, file.integer("plan.off_site_least", plan.off_site_least, 0, 100));
  VERBUND_READ(drill, file.integer("plan.drill_days", plan.drill_every.count(), 1, 3660));
  plan.missed_after = hours{missed};
  plan.off_site_oldest = days{oldest};
  plan.drill_every = days{drill};
  for (const auto& [name, rule] : {std::pair<const char*, ClassRule*>{"daily", &plan.daily}, {"friday", &plan.friday}, {"month_end", &plan.month_end},
                                   {"quarter_end", &plan.quarter_end}, {"year", &plan.year}}) {
    if (auto read = read_class(file, name, *rule); !read) return read;
  }
  if (plan.daily.media > 0) return {};
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: plan.daily.media = 0: out of range", file.name(), file.line("plan.daily.media")),
              phrase("At least one; a different one each working day takes five."));
}

Status read_closing_days(os::ConfigFile& file, CalendarRules& calendar) {
  for (std::size_t i = 0; i < file.count("calendar.closed"); ++i) {
    const auto at = fmt::format("calendar.closed.{}.", i);
    std::string first, last, name;
    VERBUND_READ(first, file.text(at + "first", ""));
    VERBUND_READ(last, file.text(at + "last", first));
    VERBUND_READ(name, file.text(at + "name", "geschlossen"));
    const auto from = parse_day(first), until = parse_day(last);
    if (!from) return refuse(file, at + "first", from.error());
    if (!until) return refuse(file, at + "last", until.error());
    if (*until < *from) return refuse(file, at + "last", make_error(ErrorCode::kBadConfig, phrase("{} is before {}", last, first)));
    calendar.closed.push_back({*from, *until, name});
  }
  return {};
}

Status read_calendar(os::ConfigFile& file, CalendarRules& calendar) {
  std::string state;
  VERBUND_READ(state, file.text("calendar.state", ""));
  if (!state.empty()) {
    const auto known = parse_state(state);
    if (!known) return refuse(file, "calendar.state", known.error());
    calendar.state = *known;
  }
  VERBUND_READ(calendar.assumption, file.boolean("calendar.assumption", calendar.assumption));
  VERBUND_READ(calendar.corpus_christi, file.boolean("calendar.corpus_christi", calendar.corpus_christi));
  VERBUND_READ(calendar.christmas_eve, file.boolean("calendar.christmas_eve", calendar.christmas_eve));
  std::vector<std::string> open;
  VERBUND_READ(open, file.list("calendar.open", {"monday", "tuesday", "wednesday", "thursday", "friday"}));
  calendar.open.clear();
  for (const auto& name : open) {
    const auto found = std::ranges::find(kWeekdays, name);
    if (found == kWeekdays.end()) {
      return refuse(file, "calendar.open", make_error(ErrorCode::kBadConfig, phrase("'{}' is no day of the week", name), phrase("monday to sunday")));
    }
    calendar.open.emplace_back(static_cast<unsigned>(found - kWeekdays.begin()));
  }
  if (calendar.open.empty()) return refuse(file, "calendar.open", make_error(ErrorCode::kBadConfig, phrase("the office is never open"), phrase("monday to sunday")));
  return read_closing_days(file, calendar);
}

Status read_person(os::ConfigFile& file, const std::string& key, Person& into) {
  std::string text;
  VERBUND_READ(text, file.text(key, ""));
  if (text.empty()) return {};
  auto person = parse_person(text);
  if (!person) return refuse(file, key, person.error());
  into = std::move(*person);
  return {};
}

Status read_duty(os::ConfigFile& file, DutyRules& duty) {
  Pair pair;
  if (auto read = read_person(file, "duty.responsible", pair.responsible); !read) return read;
  if (auto read = read_person(file, "duty.deputy", pair.deputy); !read) return read;
  if (!pair.responsible.name.empty() || !pair.deputy.name.empty()) duty.given.push_back({std::nullopt, std::nullopt, std::nullopt, pair});
  std::vector<std::string> administrators;
  VERBUND_READ(administrators, file.list("duty.administrators", {}));
  for (const auto& text : administrators) {
    auto person = parse_person(text);
    if (!person) return refuse(file, "duty.administrators", person.error());
    duty.administrators.push_back(std::move(*person));
  }
  std::int64_t tick = 0, escalate = 0;
  VERBUND_READ(tick, file.integer("duty.tick_until", duty.tick_until.count(), 1, 22));
  VERBUND_READ(escalate, file.integer("duty.escalate_until", std::max<std::int64_t>(duty.escalate_until.count(), tick + 1), tick + 1, 23));
  duty.tick_until = hours{tick};
  duty.escalate_until = hours{escalate};
  return {};
}

}  // namespace

Status read_rotation(os::ConfigFile& file, Config& config) {
  if (auto read = read_plan(file, config); !read) return read;
  if (auto read = read_calendar(file, config.plan.calendar); !read) return read;
  return read_duty(file, config.duty);
}

std::string default_rotation() {
  return R"toml(# When, and on which medium: docs/operations/backup-nights.md
[plan]
# scheduler = "node"             # "node": the running node starts the nights; "timer": units of systemd do; "off": nobody
# night_at = "01:30"             # 00:00 … 23:59, every day; before noon it holds the day before
# missed_after_hours = 5         # 1 … 20: a run that has not ended so long after is MISSED
# floor = 2                      # 1 … 20: media with the newest proven sets are never written over
# take_away = true               # media leave the house after their night; false: the off-site copies are enough
# off_site_days = 7              # 1 … 366: older proven sets outside the house don't count …
# off_site_least = 1             # 0 … 100: … and so many are wanted
# drill_days = 183               # 1 … 3660: a restore on another system is overdue after

# Per class: how many media (0 … 100; 0: not used), and how long they are kept (1 … 36 500 days) before they may be written over
# daily = { media = 5, keep_days = 6 }
# friday = { media = 2, keep_days = 11 }          # last working day of a week
# month_end = { media = 17, keep_days = 731 }
# quarter_end = { media = 9, keep_days = 731 }
# year = { media = 0, keep_days = 3653 }

[calendar]
# state = ""                     # BW BY BE BB HB HH HE MV NI NW RP SL SN ST SH TH: its holidays; "": those of all states
# assumption = false             # BY: Mariä Himmelfahrt is kept here
# corpus_christi = false         # SN, TH: Fronleichnam is kept here
# christmas_eve = true           # closed on 24 and 31 December
# open = ["monday", "tuesday", "wednesday", "thursday", "friday"]
# closed = [{ first = "2027-08-02", last = "2027-08-20", name = "Betriebsferien" }]

[duty]
# responsible = ""               # "Anna Müller <anna@example.org>"; `verbund backup duty set` stands over it
# deputy = ""
# administrators = []            # told when neither has acted
# tick_until = 10                # 1 … 22 o'clock: the control is ticked off by then, or the deputy is told …
# escalate_until = 14            # … up to 23: and then the administrators

)toml";
}

}  // namespace verbund::backup
