#pragma once
/// A long task on the terminal: what, how much, how fast; Ctrl-C gives it up in order. Main thread.
#include "backup/stream.h"
#include "cli/command.h"

namespace verbund::cli {

class TerminalProgress final : public backup::Progress {
 public:
  /// Silent when standard error is no terminal, or with --json. From now on SIGINT and SIGTERM are caught.
  explicit TerminalProgress(const Globals& globals);
  ~TerminalProgress() override;
  void moved(std::string_view what, std::uint64_t done, std::uint64_t total) override;
  [[nodiscard]] bool cancelled() const override;

 private:
  bool shown_ = false, line_open_ = false;
  std::string what_;
  std::chrono::steady_clock::time_point begun_, last_;
};

/// "123 kB", "1.4 GB"
std::string shown_bytes(std::uint64_t bytes);

}  // namespace verbund::cli
