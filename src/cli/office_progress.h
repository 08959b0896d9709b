#pragma once
/// A long task on the terminal: one line with bar, rate and time left, redrawn; where standard error is a file, a line per step.
/// `moved` from several threads.
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "backup/stream.h"
#include "cli/command.h"

namespace verbund::cli {

class ProgressLine final : public backup::Progress {
 public:
  /// `interrupted`: somebody wants the task to end; may be null.
  explicit ProgressLine(const Globals& globals, const std::atomic<bool>* interrupted = nullptr);
  ~ProgressLine() override;
  void moved(std::string_view what, std::uint64_t done, std::uint64_t total) override;
  void expected(std::string_view what, std::uint64_t total) override;
  [[nodiscard]] bool cancelled() const override { return interrupted_ != nullptr && interrupted_->load(); }
  /// A new step: counting begins anew.
  void step(const Phrase& what);
  /// A line of its own; what is counted goes on below it.
  void note(const Phrase& what);

 private:
  struct Part {
    std::uint64_t done = 0, total = 0;  ///< total 0: nobody knows
  };
  void draw();
  Part& part(std::string_view what);
  void end_line();

  const Globals& globals_;
  const std::atomic<bool>* const interrupted_;
  const bool terminal_;
  std::mutex mutex_;  // what follows
  std::map<std::string, Part, std::less<>> parts_;
  std::string step_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point begun_, last_;
};

/// "0:42", "1:03:07".
std::string shown_time(seconds time);

}  // namespace verbund::cli
