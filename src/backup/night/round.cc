#include "backup/night/round.h"

#include <sstream>

#include "backup/media/drives.h"
#include "backup/night/copies.h"
#include "backup/night/maker.h"
#include "backup/report/surroundings.h"
#include "backup/report/test_mail.h"
#include "base/messages.h"
#include "platform/os/clock.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxMissedBytes = 4 * 1024 * 1024;
/// A net that is down for some hours is no alarm: the next attempt may do. In the morning somebody is to know.
constexpr std::chrono::hours kCopyMayTake{6};

/// The maker of a pair's nights leaves it so long to the other machine to tell of one that was missed.
constexpr std::chrono::hours kOtherTells{1};

/// The nights of which people have been told that nothing ran, a line each: DIR/backup/nights.missed.
fs::path missed_file(const fs::path& installation) { return installation / "backup" / "nights.missed"; }

Result<bool> told_of(const fs::path& installation, const std::string& night) {
  auto text = os::read_file(missed_file(installation), kMaxMissedBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return false;
  if (!text) return pass(text);
  return ("\n" + *text).find("\n" + night + "\n") != std::string::npos;
}

Status note_told(const fs::path& installation, const std::string& night) {
  auto file = os::AppendFile::open(missed_file(installation));
  if (!file) return pass(file);
  return file->append(night);
}

class Making {
 public:
  Making(const Office& office, alarm::Alarm& alarm, const Clock& clock, Log& log)
      : office_(office), alarm_(alarm), clock_(clock), log_(log), now_(os::local_time(clock.wall())) {}

  Result<Round> make(Post post) {
    {
      auto lock = lock_journal(office_.directory / "backup" / "round.lock");
      if (!lock) return pass(lock, "backup round");
      if (auto looked = look(); !looked) return pass(looked);
    }
    if (post == Post::kLeft) return std::move(round_);
    // Nobody waits for the round while a server is talked to.
    auto left = alarm_.deliver(clock_);
    note("deliver", left ? Status{} : Status(std::unexpected(left.error())));
    round_.waiting = left.value_or(0);
    return std::move(round_);
  }

 private:
  Status look() {
    auto of = media_office(office_);
    if (!of) return pass(of);
    auto ledger = Ledger::open(office_.directory, of->trusted);
    hold_ledger(ledger);
    if (!ledger) return {};
    if (clock_set_back(ledger->book(), now_)) {
      if (auto entered = ledger->enter(fact::ClockSetBack{}, now_, of->key); !entered) return entered;
    }
    duty_ = duty_now(office_.config.duty, ledger->book());
    auto pair = read_pair_nights(office_.directory, clock_.wall());
    // Without it this machine is as alone: better told twice than by nobody.
    if (!pair) note("pair", std::unexpected(pair.error()));
    if (pair) pair_ = std::move(*pair);
    if (auto nights = look_at_nights(ledger->book()); !nights) return nights;
    hold_off_site();
    if (!other_tells(false)) hold_test_mail(ledger->book());
    return {};
  }

  Status look_at_nights(const Book& book) {
    std::vector<alarm::State> states;
    if (backup_configured(office_.config, book)) {
      auto since = begin_nights(office_.directory, now_);
      if (!since) return pass(since);
      round_.outlook = outlook_of(office_.config, book, *since, now_);
      round_.troubles = troubles(office_.config.plan, duty_, book, *since, now_);
      std::erase_if(round_.troubles, [this](const Trouble& trouble) { return other_tells(trouble.kind == Trouble::Kind::kMissed); });
      for (const auto& trouble : round_.troubles) states.push_back({trouble.key, trouble.text, addresses(trouble.to), {}});
      report_missed(book, *since);
      if (auto state = stand_in()) states.push_back(std::move(*state));
    }
    note("hold", alarm_.hold(kBackupSource, states, clock_));
    return {};
  }

  /// Whether the other machine of the pair tells of it.
  [[nodiscard]] bool other_tells(bool missed) const {
    if (pair_ && pair_->part == PairNights::Part::kNone) return true;
    if (!pair_ || !pair_->heard || pair_->apart) return false;
    if (pair_->part == PairNights::Part::kMirror) return missed;
    return pair_->part == PairNights::Part::kProduction && pair_->makes && !missed;
  }

  std::optional<alarm::State> stand_in() {
    const auto turn = turn_now(office_.directory, round_.outlook, office_.config.plan, now_);
    if (!turn) note("turn", std::unexpected(turn.error()));
    if (!turn || !turn->trouble) return std::nullopt;
    const auto control = on_duty(duty_, std::chrono::floor<std::chrono::days>(now_), Task::kControl);
    return alarm::State{"stand-in", phrase("production makes the backups itself: {}", turn->why), addresses({control.responsible}), {}};
  }

  void report_missed(const Book& book, LocalTime since) {
    // The other one is asked to be first; when it has not told by then it can't.
    auto late = office_.config.plan;
    if (other_tells(true)) late.missed_after += kOtherTells;
    const auto night_at = missed_night(late, book, since, now_);
    if (!night_at) return;
    const auto name = local_time_text(*night_at);
    const auto told = told_of(office_.directory, name);
    if (!told) return note("missed", std::unexpected(told.error()));
    if (*told) return;
    const auto& plan = office_.config.plan;
    const Night night = night_of(plan, *night_at);
    const Due due = book.uses_media() ? due_for(plan, book, night, now_) : Due{.night = night, .medium = std::nullopt, .problem = {}, .retained_until = std::nullopt};
    const auto around = surroundings_of(plan, duty_, book, night, due, "", now_);
    const auto report = missed_report(office_, alarm_.config().office, around, os::wall_time(*night_at), clock_.wall());
    note("missed", publish_report(report, office_.directory, alarm_, around.to, clock_, log_));
    // Also when it could not be sent or printed: again every few minutes would help nobody, and the night is an alarm besides.
    note("missed", note_told(office_.directory, name));
    round_.missed = *night_at;
  }

  /// Without the ledger nobody knows what else holds: that stays as it was.
  void hold_ledger(const Result<Ledger>& ledger) {
    std::vector<alarm::State> states;
    if (!ledger) states.push_back({"ledger/unreadable", phrase("the backup's ledger can't be read: {}", phrase_of(ledger.error())), addresses(duty_.administrators), {}});
    note("hold", alarm_.hold(kLedgerSource, states, clock_));
  }

  void hold_off_site() {
    const auto to = addresses({on_duty(duty_, std::chrono::floor<std::chrono::days>(now_), Task::kTakeAway).responsible});
    std::vector<alarm::State> states;
    for (const auto& site : office_.config.off_sites) {
      auto summary = off_site_summary(office_, site);
      if (!summary) {
        states.push_back({fmt::format("off-site/{}/journal", site.name), phrase("off-site {}: {}", site.name, phrase_of(summary.error())), to, {}});
        continue;
      }
      const auto add = [&](const char* what, Phrase text) { states.push_back({fmt::format("off-site/{}/{}", site.name, what), std::move(text), to, {}}); };
      if (summary->may_overwrite) add("overwrite", phrase("off-site {}: the account may overwrite what it has sent: who takes over this server takes the copies, too", site.name));
      if (summary->may_delete) add("delete", phrase("off-site {}: the account may delete what it has sent: who takes over this server takes the copies, too", site.name));
      for (const auto& id : summary->damaged) add(("damaged/" + id).c_str(), phrase("off-site {}: the copy of {} is damaged", site.name, id));
    }
    add_late_copies(to, states);
    note("hold", alarm_.hold(kOffSiteSource, states, clock_));
  }

  void add_late_copies(const std::vector<std::string>& to, std::vector<alarm::State>& states) {
    const auto open = open_copies(office_);
    if (!open) return note("off-site", std::unexpected(open.error()));
    for (const auto& copy : *open) {
      if (copy.error.empty() || clock_.wall() - copy.since < kCopyMayTake) continue;
      states.push_back({fmt::format("off-site/{}/copy", copy.site),
                        phrase("off-site {}: nothing has arrived since {}: {}", copy.site, os::local_text(copy.since), retold(alarm_.config().language, copy.error)), to, {}});
    }
  }

  void hold_test_mail(const Book& book) {
    const auto pair = on_duty(duty_, std::chrono::floor<std::chrono::days>(now_), Task::kControl);
    auto states = care_for_test_mail(office_.directory, alarm_, addresses({pair.responsible, pair.deputy}),
                                     [&](const std::string& code) { return book.acknowledged(code); }, clock_);
    if (!states) return note("test mail", std::unexpected(states.error()));
    note("hold", alarm_.hold(kTestMailSource, *states, clock_));
  }

  void note(const char* what, const Status& done) {
    if (done) return;
    log_.error("backup.round", {{"what", what}, {"error", done.error().message}});
    if (!round_.untold) round_.untold = done.error();
  }

  const Office& office_;
  alarm::Alarm& alarm_;
  const Clock& clock_;
  Log& log_;
  const LocalTime now_;
  DutyRules duty_ = office_.config.duty;
  std::optional<PairNights> pair_;
  Round round_;
};

}  // namespace

Result<std::vector<std::string>> told_nights(const fs::path& installation, std::size_t most) {
  auto text = os::read_file(missed_file(installation), kMaxMissedBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::vector<std::string>{};
  if (!text) return pass(text);
  std::vector<std::string> nights;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) nights.push_back(std::move(line));
  if (nights.size() > most) nights.erase(nights.begin(), nights.end() - static_cast<std::ptrdiff_t>(most));
  return nights;
}

Status note_told_elsewhere(const fs::path& installation, const std::vector<std::string>& nights) {
  for (const auto& night : nights) {
    if (!parse_local_time(night)) return fail(ErrorCode::kBadMessage, phrase("a night that was missed: '{}' is no time", night));
    const auto told = told_of(installation, night);
    if (!told) return std::unexpected(told.error());
    if (*told) continue;
    if (auto made = os::make_directories(missed_file(installation).parent_path(), 0700); !made) return made;
    if (auto noted = note_told(installation, night); !noted) return noted;
  }
  return {};
}

Result<Round> make_round(const Office& office, alarm::Alarm& alarm, Post post, const Clock& clock, Log& log) {
  return Making(office, alarm, clock, log).make(post);
}

}  // namespace verbund::backup
