#include "cli/office_progress.h"

#include <unistd.h>

#include "cli/progress.h"

namespace verbund::cli {
namespace {

constexpr milliseconds kRedraw{100};
/// Before it, rate and time left are guesses.
constexpr std::chrono::duration<double> kSettled{2.0};
constexpr std::uint64_t kWidth = 24;

}  // namespace

ProgressLine::ProgressLine(const Globals& globals, const std::atomic<bool>* interrupted)
    : globals_(globals), interrupted_(interrupted), terminal_(!globals.json && isatty(STDERR_FILENO)), begun_(std::chrono::steady_clock::now()), last_(begun_) {}

ProgressLine::~ProgressLine() { end_line(); }

void ProgressLine::end_line() {
  if (drawn_) fmt::print(stderr, "\n");
  drawn_ = false;
}

void ProgressLine::step(const Phrase& what) {
  const std::lock_guard guard(mutex_);
  if (globals_.json) return;
  end_line();
  parts_.clear();
  begun_ = last_ = std::chrono::steady_clock::now();
  step_ = said(globals_.language, what);
  fmt::print(stderr, "{}\n", step_);
}

void ProgressLine::note(const Phrase& what) {
  const std::lock_guard guard(mutex_);
  if (globals_.json) return;
  end_line();
  fmt::print(stderr, "{}\n", said(globals_.language, what));
}

ProgressLine::Part& ProgressLine::part(std::string_view what) {
  const auto known = parts_.find(what);
  return known != parts_.end() ? known->second : parts_.emplace(std::string(what), Part{}).first->second;
}

void ProgressLine::expected(std::string_view what, std::uint64_t total) {
  const std::lock_guard guard(mutex_);
  part(what).total = total;
}

void ProgressLine::moved(std::string_view what, std::uint64_t done, std::uint64_t total) {
  const std::lock_guard guard(mutex_);
  auto& moving = part(what);
  if (total > 0) moving.total = total;
  if (moving.total > 0) moving.total = std::max(moving.total, done);
  moving.done = done;
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - last_ < kRedraw) return;
  last_ = now;
  draw();
}

void ProgressLine::draw() {
  std::uint64_t done = 0, known = 0, total = 0;
  for (const auto& [what, part] : parts_) {
    done += part.done;
    if (part.total > 0) known += part.done;
    total += part.total;
  }
  const std::chrono::duration<double> passed = last_ - begun_;
  const bool settled = passed > kSettled && done > 0;
  std::string text;
  if (total > 0) {
    const auto filled = known * kWidth / total;
    for (std::uint64_t i = 0; i < kWidth; ++i) text += i < filled ? "█" : "░";
    text += fmt::format(" {:3} %  ", known * 100 / total);
  }
  text += shown_bytes(done);
  if (settled) text += fmt::format("  {}/s", shown_bytes(static_cast<std::uint64_t>(static_cast<double>(done) / passed.count())));
  if (settled && total > 0 && known > 0) {
    const seconds left{static_cast<std::int64_t>(static_cast<double>(total - known) * passed.count() / static_cast<double>(known))};
    text += "  " + translated(globals_.language, "{} left", shown_time(left));
  }
  fmt::print(stderr, "\r{}\x1b[K", text);
  std::fflush(stderr);
  drawn_ = true;
}

std::string shown_time(seconds time) {
  const auto all = time.count();
  if (all >= 3600) return fmt::format("{}:{:02}:{:02}", all / 3600, all / 60 % 60, all % 60);
  return fmt::format("{}:{:02}", all / 60, all % 60);
}

}  // namespace verbund::cli
