#include "cli/progress.h"

#include <unistd.h>

namespace verbund::cli {

namespace {

constexpr milliseconds kEvery{200};

}  // namespace

std::string shown_bytes(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 10'000'000'000) return fmt::format("{:.0f} GB", value / 1e9);
  if (bytes >= 1'000'000'000) return fmt::format("{:.1f} GB", value / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.0f} MB", value / 1e6);
  return fmt::format("{} kB", (bytes + 999) / 1000);
}

TerminalProgress::TerminalProgress(const Globals& globals) : shown_(!globals.json && isatty(STDERR_FILENO) != 0) { const Interrupt caught; }

TerminalProgress::~TerminalProgress() {
  if (line_open_) fmt::print(stderr, "\r\033[K");
}

bool TerminalProgress::cancelled() const { return Interrupt::came(); }

void TerminalProgress::moved(std::string_view what, std::uint64_t done, std::uint64_t total) {
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  if (what != what_) {
    what_ = what;
    begun_ = now;
  } else if (now < last_ + kEvery) {
    return;
  }
  last_ = now;
  const double took = std::chrono::duration<double>(now - begun_).count();
  const double rate = took > 0.5 ? static_cast<double>(done) / took : 0;
  std::string line = fmt::format("{}  {}", what, shown_bytes(done));
  if (total > done) line += fmt::format(" / {}", shown_bytes(total));
  if (rate > 0) line += fmt::format("  {}/s", shown_bytes(static_cast<std::uint64_t>(rate)));
  if (rate > 0 && total > done) line += fmt::format("  {:.0f} s", static_cast<double>(total - done) / rate);
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  line_open_ = true;
}

}  // namespace verbund::cli
