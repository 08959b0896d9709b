/// verbund backup night: what schedulers call, as often as they like: the night's run when it is due, its copies outside the house, a round.
#include <csignal>
#include <sys/prctl.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "backup/night/copies.h"
#include "backup/night/maker.h"
#include "backup/night/round.h"
#include "cli/backup_nights.h"
#include "cli/backup_publish.h"
#include "cli/backup_run.h"
#include "cli/offsite_terms.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

struct Options {
  int parent = 0;  ///< pid of the node that has called; 0: a person or a timer
};

/// What this call has come to.
struct Night {
  bool ran = false;
  std::string busy;                    ///< who is at work instead; empty: nobody
  backup::NightTurn turn;              ///< of a pair
  int run_code = 0;
  std::vector<backup::CopyOut> copies;
};

/// With the node goes what it has called: in order, so that services are started. Whether it is still there.
bool ends_with(int parent) {
  if (parent == 0) return true;
  ::prctl(PR_SET_PDEATHSIG, SIGINT);
  return ::getppid() == parent;
}

/// The next night must not wait for a copy of this one: it is cut then, and taken up afterwards.
class CopyProgress final : public backup::Progress {
 public:
  CopyProgress(const Globals& globals, backup::LocalTime until) : line_(globals, &interrupted_flag()), until_(until) {}
  void moved(std::string_view what, std::uint64_t done, std::uint64_t total) override { line_.moved(what, done, total); }
  void expected(std::string_view what, std::uint64_t total) override { line_.expected(what, total); }
  [[nodiscard]] bool cancelled() const override { return line_.cancelled() || os::local_time(os::SystemClock().wall()) >= until_; }
  void step(const Phrase& what) { line_.step(what); }

 private:
  ProgressLine line_;
  const backup::LocalTime until_;
};

Result<backup::Outlook> outlook(const backup::Office& office) {
  const auto now = os::local_time(os::SystemClock().wall());
  auto seen = backup::outlook_of(office, now);
  if (!seen || !seen->configured) return seen;
  if (auto begun = backup::begin_nights(office.directory, now); !begun) return pass(begun);
  return seen;
}

int round(const Globals& globals, const OfficeAtHand& at_hand, backup::Post post);

/// The run, when it is due. One at a time: two timers, or a timer and the node, make one night.
Result<Night> run_if_due(const Globals& globals, const OfficeAtHand& at_hand, std::filesystem::path& set) {
  Night night;
  if (auto made = os::make_directories(at_hand.office.directory / "backup", 0700); !made) return pass(made);
  auto lock = os::FileLock::acquire(at_hand.office.directory / "backup" / "night.lock", fmt::format("verbund backup night, pid {}", ::getpid()));
  if (!lock && lock.error().code == ErrorCode::kInUse) {
    night.busy = message_in(globals.language, lock.error());
    return night;
  }
  if (!lock) return pass(lock);
  auto ahead = outlook(at_hand.office);
  if (!ahead) return pass(ahead);
  const auto now = [] { return os::local_time(os::SystemClock().wall()); };
  const auto& office = at_hand.office;
  auto turn = backup::turn_now(office.directory, *ahead, office.config.plan, now());
  if (!turn) return pass(turn);
  night.turn = std::move(*turn);
  if (!night.turn.due) return night;
  const auto began = now();
  // A night that was slept through is told of before it is made up for. What can't be told keeps no run from its time.
  static_cast<void>(round(globals, at_hand, backup::Post::kLeft));
  auto ran = run_now(globals, at_hand, {}, CalledOff::kStillDue);
  if (ran.busy) {
    night.busy = message_in(globals.language, *ran.busy);
    return night;
  }
  night.ran = true;
  // Whatever has come of it: the reports say that.
  if (night.turn.turn == backup::Turn::kStandsIn) {
    if (auto noted = backup::note_stood_in(office.directory, office.config.plan, began); !noted) return pass(noted);
  }
  night.run_code = ran.exit_code;
  set = std::move(ran.set);
  return night;
}

void copy_outside(const Globals& globals, const backup::Office& office, const std::filesystem::path& set, Night& night) {
  if (office.config.off_sites.empty() || interrupted_flag().load()) return;
  const auto open = backup::open_copies(office);
  if (set.empty() && open && open->empty()) return;
  const auto ahead = outlook(office);
  CopyProgress progress(globals, ahead && ahead->configured && !ahead->due() ? ahead->next : backup::LocalTime::max());
  night.copies = backup::copy_out(office, set, progress, os::SystemClock(), [&progress](const Phrase& step) { progress.step(step); });
}

bool copies_failed(const Night& night) {
  return std::ranges::any_of(night.copies, [](const auto& copy) { return copy.error && copy.error->code != ErrorCode::kInUse; });
}

void print_copies(const Globals& globals, const Night& night) {
  for (const auto& copy : night.copies) {
    if (copy.report) {
      fmt::print("{}\n", translated(globals.language, "{}: {} is outside the house and read back", copy.site, copy.set));
      continue;
    }
    fmt::print(stderr, "{}\n", translated(globals.language, "{}: {} is not outside the house yet; it is tried again later", copy.site, copy.set));
    report(globals, *copy.error);
  }
}

void print_json(const Night& night, const Result<backup::Outlook>& ahead, int code) {
  json::array copies;
  for (const auto& copy : night.copies) {
    json::object each{{"site", copy.site}, {"set", copy.set}, {"verified", copy.report.has_value()}};
    if (copy.error) each["error"] = {{"code", wire_name(copy.error->code)}, {"message", copy.error->message}};
    copies.push_back(std::move(each));
  }
  json::object object{{"ran", night.ran}, {"busy", night.busy}, {"off_site", std::move(copies)}, {"exit_code", code}};
  put_turn(object, night.turn);
  if (ahead) object["backup"] = night_json(*ahead);
  fmt::print("{}\n", json::serialize(object));
}

void print_text(const Globals& globals, const Night& night, const Result<backup::Outlook>& ahead) {
  print_copies(globals, night);
  if (!night.busy.empty()) {
    fmt::print("{}\n", night.busy);
    fmt::print("{}\n", translate(globals.language, "Nothing was done; it is tried again later."));
  } else if (!night.ran && ahead && ahead->configured) {
    fmt::print("{}\n", translate(globals.language, "No run is due."));
  }
  if (!night.turn.why.msgid.empty()) fmt::print("{}\n", said(globals.language, night.turn.why));
  if (ahead) print_fields(night_fields(globals, *ahead));
}

/// The exit code.
int round(const Globals& globals, const OfficeAtHand& at_hand, backup::Post post) {
  auto alarm = alarm::Alarm::open(at_hand.office.directory / "alarm", at_hand.installation.settings().alarm, *at_hand.log);
  if (!alarm) return report(globals, alarm.error());
  auto round = backup::make_round(at_hand.office, *alarm, post, os::SystemClock(), *at_hand.log);
  if (!round) return report(globals, round.error());
  if (!round->untold) return 0;
  report(globals, *round->untold);
  return exit_code(ErrorCode::kNotDelivered);
}

/// What stands at the places outside the house of terms that were begun.
Status look_outside(const Globals& globals, const OfficeAtHand& at_hand) {
  CopyProgress progress(globals, backup::LocalTime::max());
  return meet_terms_everywhere(globals, at_hand, progress);
}

int night(const Globals& globals, const Options& options) {
  static_cast<void>(interrupted_flag());
  if (const auto said = said_of_drill(globals)) return *said;
  if (!ends_with(options.parent)) return exit_code(ErrorCode::kCancelled);
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  // Into the node's file, which has one night after the other.
  if (options.parent != 0) fmt::print("---- {}\n", os::local_text(os::SystemClock().wall()));
  std::fflush(stdout);
  std::filesystem::path set;
  // Whoever was overtaken makes no night, and sends nothing out.
  if (const auto overtaken = look_outside(globals, *at_hand); !overtaken) return report(globals, overtaken.error());
  auto done = run_if_due(globals, *at_hand, set);
  // What can't be told of the night is told of by the round.
  const int broken = done ? 0 : report(globals, done.error());
  Night night = done ? std::move(*done) : Night{};
  copy_outside(globals, at_hand->office, set, night);
  const int untold = interrupted_flag().load() ? 0 : round(globals, *at_hand, backup::Post::kTried);
  const auto ahead = outlook(at_hand->office);
  int code = broken != 0 ? broken : night.run_code;
  if (code == 0 && copies_failed(night)) code = exit_code(ErrorCode::kIncomplete);
  if (code == 0) code = untold;
  globals.json ? print_json(night, ahead, code) : print_text(globals, night, ahead);
  return code;
}

}  // namespace

void add_backup_night(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = backup.add_subcommand("night", text("what schedulers call: the night's run when it is due, copies outside the house, `check`"));
  command->add_option("--parent", options->parent)->group("");
  command->callback([&globals, run, options] { run([&globals, options] { return night(globals, *options); }); });
}

}  // namespace verbund::cli
