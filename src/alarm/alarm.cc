#include "alarm/alarm.h"

#include <ctime>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "alarm/letters.h"
#include "alarm/spool.h"
#include "alarm/states.h"
#include "platform/mail/ping.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/os/random.h"

namespace verbund::alarm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStatesFile = "states.jsonl";
constexpr std::size_t kMaxStatesBytes = 16 * 1024 * 1024;
constexpr seconds kLockPatience{10}, kPrintLimit{60};
constexpr timespec kBetweenTries{0, 20'000'000};

/// Another process holds the states for as long as it takes to write two files: waited for, on the machine's own clock.
Result<os::FileLock> lock_states(const fs::path& directory) {
  const os::SystemClock clock;
  const auto deadline = Deadline::in(clock, kLockPatience);
  while (true) {
    auto lock = os::FileLock::acquire(directory / "states.lock", fmt::format("alarm, pid {}", ::getpid()));
    if (lock || lock.error().code != ErrorCode::kInUse || deadline.passed(clock)) return lock;
    ::nanosleep(&kBetweenTries, nullptr);
  }
}

Result<std::vector<Stored>> read_states(const fs::path& file) {
  auto text = os::read_file(file, kMaxStatesBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::vector<Stored>();
  if (!text) return pass(text);
  return stored_of(*text);
}

/// The part behind '@' of our own address.
std::string own_domain(const Config& config) {
  const auto from = mail::bare_address(config.smtp->from);
  return from ? from->substr(from->find('@') + 1) : "verbund.invalid";
}

std::vector<State> mail_states(const SpoolState& spool, const fs::path& undelivered) {
  std::vector<State> states;
  if (spool.late > 0) {
    states.push_back({"mail/late", phrase("{} mails are not delivered, the oldest since {}: {}", spool.late, os::local_text(spool.oldest), spool.error), {}, spool.oldest});
  }
  if (spool.given_up > 0) {
    states.push_back({"mail/given-up", phrase("{} mails could not be delivered in fourteen days: read and remove them in {}", spool.given_up, undelivered.native()), {}, {}});
  }
  return states;
}

}  // namespace

Result<Alarm> Alarm::open(fs::path directory, Config config, Log& log) {
  for (const auto& each : {directory, directory / "spool", directory / "undelivered"}) {
    if (auto made = os::make_directories(each, 0700); !made) return pass(made);
  }
  return Alarm(std::move(directory), std::move(config), log);
}

Status Alarm::hold(std::string_view source, const std::vector<State>& states, const Clock& clock) {
  const WallTime now = clock.wall();
  std::vector<State> begun;
  {
    auto lock = lock_states(directory_);
    if (!lock) return pass(lock);
    auto before = read_states(directory_ / kStatesFile);
    if (!before) return pass(before);
    const std::string old_lines = lines_of(*before);
    // Of mails that don't arrive nobody is told by mail.
    auto changed = change(std::move(*before), source, states, source == kMailSource ? std::vector<std::string>() : config_.administrators, now);
    for (const auto& [person, letter] : changed.letters) {
      if (!config_.smtp) break;
      auto mail = mail_of(letter, config_);
      mail.to = {person};
      if (auto put = spool(mail, now); !put) return put;
    }
    // Mails first: killed between the two, we tell it twice.
    const std::string lines = lines_of(changed.after);
    if (lines != old_lines) {
      if (auto written = os::write_file_atomically(directory_ / kStatesFile, lines, 0600); !written) return written;
    }
    begun = std::move(changed.begun);
  }
  for (const auto& state : begun) log_->warning("alarm.begun", {{"source", source}, {"key", state.key}});
  if (!begun.empty() && source != kPaperSource && (!config_.smtp || source == kMailSource)) put_on_paper(source, begun, clock);
  return {};
}

void Alarm::put_on_paper(std::string_view source, const std::vector<State>& begun, const Clock& clock) {
  if (config_.printer.empty()) return;
  const fs::path file = directory_ / fmt::format("paper-{}.txt", os::random_hex(4));
  Status done = os::write_file_atomically(file, paper_of(begun, config_, clock.wall()), 0600);
  if (done) done = print(file, fmt::format("Verbund {}", source), clock);
  std::error_code ignored;
  fs::remove(file, ignored);
  std::vector<State> trouble;
  if (!done) trouble.push_back({"paper/printer", phrase("the printer {} takes nothing: {}", config_.printer, phrase_of(done.error())), {}, {}});
  if (auto held = hold(kPaperSource, trouble, clock); !held) log_->error("alarm.states", {{"error", held.error().message}});
}

std::vector<State> states_in(const fs::path& directory, std::string_view source) {
  auto stored = read_states(directory / kStatesFile);
  if (!stored) return {State{"alarm/states", phrase_of(stored.error()), {}, {}}};
  std::vector<State> states;
  for (auto& each : *stored) {
    if (source.empty() || each.source == source) states.push_back(std::move(each.state));
  }
  std::ranges::stable_sort(states, {}, &State::since);
  return states;
}

std::vector<State> Alarm::current() const { return states_in(directory_); }
std::vector<State> Alarm::current(std::string_view source) const { return states_in(directory_, source); }

Status Alarm::mail(mail::Mail mail, const Clock& clock) {
  if (!config_.smtp) return fail(ErrorCode::kNotDelivered, phrase("mail: no mail server is configured"), phrase("Name one as `host` in [mail] of config/verbund.toml."));
  if (mail.to.empty()) mail.to = config_.administrators;
  if (mail.to.empty()) return fail(ErrorCode::kNotDelivered, phrase("mail: nobody is named to be told"), phrase("Name somebody as `administrators` in [mail] of config/verbund.toml."));
  return spool(mail, clock.wall());
}

/// A mail of his own for each: one address that is refused does not keep it from the others, and nobody gets it twice.
Status Alarm::spool(const mail::Mail& mail, WallTime now) const {
  std::vector<Waiting> all;
  const auto people = std::set(mail.to.begin(), mail.to.end());
  for (const auto& person : people) {
    auto own = mail;
    own.to = {person};
    if (own.message_id.empty()) own.message_id = fmt::format("{}@{}", os::random_hex(16), own_domain(config_));
    if (people.size() > 1) own.message_id = fmt::format("{}.{}", all.size() + 1, own.message_id);
    auto text = mail::compose(own, *config_.smtp, now);
    if (!text) return pass(text);
    all.push_back({person, own.message_id, now, now, 0, {}, false, std::move(*text)});
  }
  for (const auto& each : all) {
    if (auto put = Spool(directory_).put(each); !put) return put;
  }
  return {};
}

Result<int> Alarm::deliver(const Clock& clock) {
  const auto send = [this](const Waiting& waiting) -> Status {
    if (!config_.smtp) return fail(ErrorCode::kNotDelivered, phrase("mail: no mail server is configured"));
    auto settings = *config_.smtp;
    auto password = password_of(config_);
    if (!password) return pass(password);
    settings.password = std::move(*password);
    return mail::send_composed(waiting.text, {waiting.to}, settings);
  };
  auto spool = Spool(directory_).deliver(send, clock, *log_);
  if (!spool) return pass(spool);
  if (!*spool) return waiting();
  if (auto held = hold(kMailSource, mail_states(**spool, directory_ / "undelivered"), clock); !held) return pass(held);
  return (*spool)->waiting;
}

Result<int> Alarm::waiting() const {
  auto files = Spool(directory_).files();
  if (!files) return pass(files);
  return static_cast<int>(files->size());
}

Status Alarm::print(const fs::path& file, std::string_view title, const Clock& clock) {
  if (config_.printer.empty()) return {};
  os::Command command;
  command.argv = {"lp", "-d", config_.printer, "-t", std::string(title), "--", fs::absolute(file).native()};
  auto outcome = os::run(command, Deadline::in(clock, kPrintLimit), clock);
  if (!outcome && outcome.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, phrase("print: there is no lp"), phrase("apt-get install cups-client"));
  }
  if (!outcome) return pass(outcome, "print");
  if (outcome->exit_code == 0) return {};
  while (!outcome->errors.empty() && outcome->errors.back() == '\n') outcome->errors.pop_back();
  return fail(ErrorCode::kProgramFailed, phrase("print to {}: lp ends with {}: {}", config_.printer, outcome->exit_code, outcome->errors), phrase("lpstat -p shows the queues."));
}

std::string ping_address(const std::string& url, bool good) {
  if (good) return url;
  const auto end = std::min(url.find_first_of("?#"), url.size());
  std::string path = url.substr(0, end);
  while (path.ends_with('/')) path.pop_back();
  return path + "/fail" + url.substr(end);
}

Status Alarm::ping(bool good) {
  if (config_.ping_url.empty()) return {};
  return mail::ping(ping_address(config_.ping_url, good));
}

}  // namespace verbund::alarm
