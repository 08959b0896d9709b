// Two years of nights in an office, hour by hour: what the rotation promises against what really happens (office_model.h).
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "backup/rotation/office_model.h"

namespace verbund::backup {
namespace {

using Kind = Trouble::Kind;
using Outcome = fact::RunEnded::Outcome;

Day date(LocalTime time) { return std::chrono::floor<days>(time); }
hours hour_of(LocalTime time) { return std::chrono::floor<hours>(time - date(time)); }

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed) {
    fortune_ = {chance(2), chance(2), chance(2), chance(2), chance(4), seed % 5 == 0};
    fortune_.tapes = fortune_.tapes && !fortune_.no_media;
    plan_.calendar.state = static_cast<GermanState>(random_() % 16);
    plan_.night_at = minutes{(std::array{0, 90, 180, 1320})[random_() % 4]};
    real_ = since_ = Day{std::chrono::year{2025} / 1 / 2} + days{random_() % 700} + hours{9};
    for (int i = 0; i < 4; ++i) {
      const Day first = date(since_) + days{random_() % 700};
      plan_.calendar.closed.push_back({first, first + days{random_() % 16}, "Betriebsferien"});
    }
    for (int i = 0; i < 12; ++i) {
      const Day first = date(since_) + days{random_() % 720};
      staff_.absences.push_back({chance(2) ? "Anna" : "Jens", first, first + days{random_() % 21}});
    }
    duty_.administrators = {{"Chief", "chief@example.org"}};
    duty_.absences = staff_.absences;
    duty_.given = {{{}, {}, {}, {{"Anna", "a@example.org"}, {"Jens", "j@example.org"}}},
                   {{}, std::chrono::Friday, {}, {{"Jens", "j@example.org"}, {"Anna", "a@example.org"}}}};
    calendar_.emplace(plan_.calendar);
    last_run_ = real_;
    alive_since_ = real_;
    for (const MediumClass medium_class : kClasses) {
      if (fortune_.no_media) break;
      for (int i = 0; i < rule_of(plan_, medium_class).media; ++i) buy(medium_class);
    }
  }

  void live(days span) {
    const LocalTime end = real_ + span;
    while (real_ < end && !::testing::Test::HasFailure()) {
      real_ += hours{1};
      befall();
      if (machine_off_) continue;
      if (people_work()) staff();
      if (!scheduler_dead_ && next_run(plan_, book_, since_, wall()) <= wall()) run();
      check();
    }
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "at " << local_time_text(real_) << ", the clock read " << local_time_text(wall());
  }

  int runs = 0, good = 0, removed = 0, missed = 0, told = 0, refused = 0;

 private:
  bool chance(unsigned one_in) { return random_() % one_in == 0; }
  [[nodiscard]] LocalTime wall() const { return real_ + offset_; }
  [[nodiscard]] bool people_work() const { return calendar_->working_day(date(real_)); }

  void note(Fact fact) {
    const auto entered = book_.enter({book_.next_sequence(), wall(), std::move(fact)});
    ASSERT_TRUE(entered) << entered.error().message;
  }
  void buy(MediumClass medium_class) {
    const auto id = fmt::format("{}-{}", class_name(medium_class), ++bought_);
    note(fact::MediumAdded{id, id, medium_class, fortune_.tapes ? MediumKind::kTape : MediumKind::kDisk});
  }
  [[nodiscard]] const MediumState* any_medium() {
    if (book_.media().empty()) return nullptr;
    const auto at = std::next(book_.media().begin(), static_cast<std::ptrdiff_t>(random_() % book_.media().size()));
    return at->second.in_use() ? &at->second : nullptr;
  }

  // What befalls the office.
  void befall() {
    if (fortune_.jumps && chance(1500)) leap();
    if (fortune_.breakdowns) break_down();
    if (fortune_.losses && chance(1000)) lose();
    if (fortune_.losses && chance(1500)) damage();
  }
  void leap() {
    constexpr seconds kLeaps[] = {hours{1}, hours{-1}, days{1}, days{-1}, days{730}, days{-730}};
    // Sooner or later somebody sets it right.
    const seconds by = offset_ != seconds{0} && chance(2) ? -offset_ : kLeaps[random_() % 6];
    offset_ += by;
    model_.leaps.push_back({real_, by});
  }
  void break_down() {
    if (real_ >= breakdown_ends_) {
      if (machine_off_ || scheduler_dead_) alive_since_ = on_since_ = real_;
      machine_off_ = scheduler_dead_ = false;
      if (!chance(900)) return;
      (chance(2) ? machine_off_ : scheduler_dead_) = true;
      breakdown_ends_ = real_ + hours{2 + random_() % 100};
    }
    alive_since_ = real_;
  }
  void lose() {
    const auto* medium = any_medium();
    if (!medium) return;
    const auto medium_class = medium->medium_class;
    const auto id = medium->id;
    if (drive_ == id) drive_.clear();
    note(fact::MediumRetired{id, "Anna", "gone", true});
    model_.forget_medium(id);
    buy(medium_class);
  }
  void damage() {
    if (fortune_.no_media) return damage_copy();
    const auto* medium = any_medium();
    if (!medium || medium->sets.empty()) return;
    const auto set = medium->sets[random_() % medium->sets.size()].set;
    note(fact::SetVerified{set, medium->id, Level::kNone, true});
    if (auto* real = model_.find(set)) real->counts = real->good = false;
  }

  void damage_copy() {
    if (book_.copies().empty()) return;
    const auto set = book_.copies()[random_() % book_.copies().size()].set;
    note(fact::SetVerified{set, "", Level::kNone, true});
    std::erase_if(copies_, [&](const RealSet& copy) { return copy.id == set; });
  }

  // What people do. They live by real time.
  void staff() {
    const auto hour = hour_of(real_);
    const bool forgets = fortune_.careless && chance(6);
    const Day today = date(wall());
    if (hour == hours{8} && !forgets && staff_.first_in_line(today) != "Chief") note(fact::Ticked{today, Task::kControl, staff_.first_in_line(today)});
    if (hour == hours{9} && !forgets) change_medium();
    if (hour == hours{11} && chance(20)) note(fact::OffSiteVerified{fmt::format("set-{}", set_number_), "cloud"});
    if (hour == hours{12} && chance(2) && !book_.ticked_by(today, Task::kControl)) note(fact::Ticked{today, Task::kControl, "Jens"});
    if (hour == hours{15} && chance(120)) note(fact::DrillSigned{fmt::format("set-{}", set_number_), "Jens", "laptop", !chance(5)});
  }
  void change_medium() {
    const auto due = schedule(plan_, book_, wall(), 1).front().due;
    if (!due.medium || *due.medium == drive_) return;
    const bool forgotten_at_home = fortune_.careless && book_.find(*due.medium)->place == Place::kOffSite && chance(10);
    if (forgotten_at_home) return;
    if (!drive_.empty() && book_.find(drive_)->in_use() && !(fortune_.careless && chance(5))) note(fact::MediumTaken{drive_, "Anna"});
    if (book_.find(*due.medium)->place == Place::kOffSite) note(fact::MediumBrought{*due.medium, "Anna"});
    drive_ = *due.medium;
  }

  // A run, as the node does it.
  void run() {
    runs += 1;
    const auto at = wall();
    const auto due = due_on(plan_, book_, at);
    if (fortune_.no_media) return run_to_directory(due.night.of);
    check_due(due, at);
    Presented presented{.id = drive_, .label = drive_};
    if (chance(300)) presented = {.id = "", .label = "", .mounted = chance(2)};
    if (!may_write(plan_, book_, presented, at)) {
      refused += 1;
      return end_run(due.night.of, "", Outcome::kFailed, Level::kNone);
    }
    check_written(presented.id, due.night);
    if (book_.find(presented.id)->kind == MediumKind::kTape) {
      while (!book_.find(presented.id)->sets.empty()) remove(book_.find(presented.id)->sets.front().set, presented.id);
    }
    const auto luck = random_() % 100;
    const auto outcome = luck < 4 ? Outcome::kFailed : luck < 8 ? Outcome::kIncomplete : Outcome::kComplete;
    end_run(due.night.of, presented.id, outcome, luck < 12 ? Level::kReadable : Level::kRestored);
    for (const auto& set : removable(plan_, book_, presented.id, wall())) remove(set, presented.id);
  }
  /// The directory holds what it can; somebody prunes now and then.
  void run_to_directory(Day night) {
    const auto luck = random_() % 100;
    const auto outcome = luck < 6 ? Outcome::kFailed : luck < 12 ? Outcome::kIncomplete : Outcome::kComplete;
    const bool proven = outcome == Outcome::kComplete && luck >= 16;
    last_run_ = real_;
    const auto id = outcome == Outcome::kFailed ? std::string() : fmt::format("set-{}", ++set_number_);
    note(fact::RunEnded{id, static_cast<std::uint64_t>(set_number_), outcome, proven ? Level::kRestored : Level::kReadable, "", night});
    if (proven) copies_.push_back({id, "", real_, {}, night, true, true, set_number_});
    good += proven ? 1 : 0;
    if (copies_.size() <= 30) return;
    removed += 1;
    note(fact::SetRemoved{copies_.front().id, ""});
    copies_.erase(copies_.begin());
  }
  void end_run(Day night, const std::string& medium, Outcome outcome, Level level) {
    if (!last_night_ || *last_night_ != night) night_began_ = real_;
    last_night_ = night;
    last_run_ = real_;
    const bool made = !medium.empty() && outcome != Outcome::kFailed;
    const auto id = made ? fmt::format("set-{}", ++set_number_) : std::string();
    note(fact::RunEnded{id, static_cast<std::uint64_t>(set_number_), outcome, level, medium, night});
    if (!made) return;
    const bool proven = outcome == Outcome::kComplete && level == Level::kRestored;
    good += proven ? 1 : 0;
    model_.sets.push_back({id, medium, night_began_, rule_of(plan_, book_.find(medium)->medium_class).keep, night, true, proven, set_number_});
  }

  // The laws.
  void check_due(const Due& due, LocalTime at) {
    if (due.medium) {
      const auto& label = book_.find(*due.medium)->label;
      const auto may = may_write(plan_, book_, {.id = *due.medium, .label = label}, at);
      EXPECT_TRUE(may) << "LAW due: " << may.error().message;
    }
    const bool enough = !fortune_.jumps && !fortune_.losses && !fortune_.tapes;
    EXPECT_TRUE(due.medium || !enough) << "LAW due: " << due.problem.english();
  }
  /// A different medium for each working day, and none that holds what is promised to be kept.
  void check_written(const std::string& medium, const Night& night) {
    for (const RealSet& set : model_.sets) {
      if (set.medium != medium || set.night == night.of) continue;
      EXPECT_FALSE(model_.promised(set, real_)) << "LAW retention: " << medium << " is written over, " << set.id << " of " << day_text(set.night);
      EXPECT_FALSE(model_.last_good(set)) << "LAW floor: " << medium << " is written over, it holds " << set.id;
    }
  }
  void remove(const std::string& id, const std::string& medium) {
    removed += 1;
    if (const auto* set = model_.find(id)) {
      EXPECT_TRUE(!model_.promised(*set, real_) || model_.replaced(*set)) << "LAW retention: " << id << " of " << day_text(set->night) << " goes";
      EXPECT_FALSE(model_.last_good(*set)) << "LAW floor: " << id << " goes";
      std::erase_if(model_.sets, [&](const RealSet& other) { return other.id == id; });
    }
    note(fact::SetRemoved{id, medium});
  }

  void check() {
    if (clock_set_back(book_, wall())) note(fact::ClockSetBack{});
    const auto now = troubles(plan_, duty_, book_, since_, wall());
    check_silence(now);
    check_ticks(now);
    if (fortune_.no_media) check_copies(now);
    std::set<std::string> keys;
    for (const Trouble& trouble : now) {
      EXPECT_TRUE(keys.insert(trouble.key).second) << "LAW storm: twice " << trouble.key;
      EXPECT_FALSE(trouble.to.empty()) << "LAW line: nobody is told of " << trouble.key;
      if (!active_.contains(trouble.key)) begin(trouble);
      check_line(trouble);
    }
    std::erase_if(active_, [&](const auto& row) { return !keys.contains(row.first); });
  }
  void begin(const Trouble& trouble) {
    active_[trouble.key] = real_;
    told += 1;
    missed += trouble.kind == Kind::kMissed ? 1 : 0;
    if (told_on_ != date(real_)) told_today_ = 0;
    told_on_ = date(real_);
    EXPECT_LE(++told_today_, 16) << "LAW storm: " << trouble.key;
    const bool lasting = trouble.kind == Kind::kOffSiteOld || trouble.kind == Kind::kDrillOverdue || trouble.kind == Kind::kLastGoodOld;
    const int times = ++begun_[trouble.key];
    EXPECT_TRUE(lasting || fortune_.jumps || times <= 2) << "LAW storm: " << trouble.key << " begins again and again";
  }
  /// A night that nobody speaks of is spoken of: at the latest thirty hours after the last run has ended. After a leap of the clock nobody
  /// can tell which nights there were: from there on, or from when the machine is on again, it is thirty hours and a day.
  void check_silence(const std::vector<Trouble>& now) {
    const auto leaps = std::ranges::count_if(model_.leaps, [&](const Leap& leap) { return leap.at >= last_run_; });
    hours patience = hours{30} + days{leaps};
    if (fortune_.tapes) {
      for (Day day = date(last_run_) - days{1}; day <= date(real_); day += days{1}) patience += calendar_->working_day(day) ? days{0} : days{1};
      if (fortune_.jumps) return;  // what day the tape's night is depends on the clock
    }
    const bool said = std::ranges::any_of(now, [](const Trouble& trouble) { return trouble.kind == Kind::kMissed; });
    const LocalTime silent_since = leaps > 0 ? std::max({last_run_, model_.leaps.back().at, on_since_}) : last_run_;
    EXPECT_TRUE(said || real_ - silent_since <= patience) << "LAW missed: silent since " << local_time_text(last_run_);
    EXPECT_FALSE(said && !fortune_.jumps && real_ - last_run_ < hours{5}) << "LAW missed: a run has just ended";
    const bool should_run = real_ - std::max(last_run_, alive_since_) > hours{26} + days{leaps} && !fortune_.tapes;
    EXPECT_FALSE(should_run) << "LAW runs: none since " << local_time_text(last_run_);
  }
  /// Without media nobody is sent for one, and a good copy that is young is not called old; one that is old is.
  void check_copies(const std::vector<Trouble>& now) {
    bool old = false;
    for (const Trouble& trouble : now) {
      const bool of_a_medium = trouble.kind == Kind::kNoMedium || trouble.kind == Kind::kMediumOverdue || trouble.kind == Kind::kNotTakenAway;
      EXPECT_FALSE(of_a_medium) << "LAW copies: " << trouble.key;
      old = old || trouble.kind == Kind::kLastGoodOld;
    }
    if (!model_.leaps.empty()) return;  // what day a set is of depends on the clock
    const LocalTime newest = copies_.empty() ? since_ : copies_.back().night_began;
    EXPECT_FALSE(old && real_ - newest < hours{24}) << "LAW copies: the newest is of " << local_time_text(newest);
    int working_days = 0;
    for (Day day = date(newest) + days{1}; day < date(real_); day += days{1}) working_days += calendar_->working_day(day) ? 1 : 0;
    EXPECT_TRUE(old || working_days < 4) << "LAW copies: nobody is told that the newest is of " << local_time_text(newest);
  }
  /// The line of duty for an unticked control, counted anew.
  void check_ticks(const std::vector<Trouble>& now) {
    const Day day = date(wall());
    if (fortune_.jumps || !calendar_->working_day(day) || day <= date(since_) || hour_of(wall()) < hours{10} || book_.ticked_by(day, Task::kControl)) return;
    const auto found = std::ranges::find(now, "not-ticked/" + day_text(day), &Trouble::key);
    ASSERT_NE(found, now.end()) << "LAW line: the control of " << day_text(day) << " is not ticked off and nobody is told";
    const auto is_told = [&](const std::string& name) { return std::ranges::find(found->to, name, &Person::name) != found->to.end(); };
    EXPECT_TRUE(is_told(staff_.first_in_line(day))) << "LAW line: responsible";
    for (const auto* name : {"Anna", "Jens"}) EXPECT_TRUE(staff_.away(name, day) || is_told(name)) << "LAW line: deputy";
    EXPECT_TRUE(hour_of(wall()) < hours{14} || is_told("Chief")) << "LAW line: administrators";
  }
  /// Whatever lasts into the evening of the second working day is known to all.
  void check_line(const Trouble& trouble) {
    if (std::ranges::any_of(model_.leaps, [&](const Leap& leap) { return leap.at >= active_[trouble.key]; })) return;
    const LocalTime begun = active_[trouble.key] + offset_;
    const Day second = calendar_->working_day_from(calendar_->working_day_from(date(begun) + days{1}) + days{1});
    const bool all = std::ranges::find(trouble.to, "Chief", &Person::name) != trouble.to.end();
    EXPECT_TRUE(all || wall() < second + hours{18}) << "LAW line: administrators don't know of " << trouble.key;
    const bool one_of_two = std::ranges::any_of(trouble.to, [](const Person& person) { return person.name == "Anna" || person.name == "Jens"; });
    EXPECT_TRUE(one_of_two || all) << "LAW line: " << trouble.key;
  }

  std::mt19937_64 random_;
  Fortune fortune_;
  PlanRules plan_;
  DutyRules duty_;
  std::optional<Calendar> calendar_;
  Staff staff_;
  Book book_;
  OfficeModel model_;
  std::vector<RealSet> copies_;        // in the directory, good ones, oldest first
  LocalTime real_, since_, last_run_, alive_since_, on_since_{}, breakdown_ends_{}, night_began_{};
  std::optional<Day> last_night_;
  seconds offset_{0};
  bool machine_off_ = false, scheduler_dead_ = false;
  std::string drive_;
  int bought_ = 0, set_number_ = 0, told_today_ = 0;
  Day told_on_{};
  std::map<std::string, LocalTime> active_;
  std::map<std::string, int> begun_;
};

TEST(RotationSimulation, TwoYearsOfNightsKeepWhatIsPromised) {
  const char* given = std::getenv("VERBUND_SEED");
  const char* limit = std::getenv("VERBUND_SIM_SECONDS");
  const auto first = given ? std::strtoull(given, nullptr, 10) : 1;
  const auto end = std::chrono::steady_clock::now() + seconds{limit ? std::atoi(limit) : 20};
  int offices = 0, runs = 0, good = 0, removed = 0, missed = 0, told = 0, refused = 0;
  for (auto seed = first; seed == first || (!given && std::chrono::steady_clock::now() < end); ++seed) {
    SCOPED_TRACE("VERBUND_SEED=" + std::to_string(seed));
    Simulation office(seed);
    office.live(days{731});
    if (::testing::Test::HasFailure()) FAIL() << "seed " << seed;
    offices += 1, runs += office.runs, good += office.good, removed += office.removed;
    missed += office.missed, told += office.told, refused += office.refused;
  }
  fmt::print("{} offices from seed {}: {} runs, {} good, {} refused, {} sets removed, {} nights missed, {} troubles told\n", offices, first, runs, good, refused,
             removed, missed, told);
  if (given) return;
  EXPECT_GT(good, offices * 300) << "hardly any backups";
  EXPECT_GT(missed, offices) << "hardly any silent nights";
}

}  // namespace
}  // namespace verbund::backup
