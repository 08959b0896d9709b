#pragma once
/// The applications' services: stopped for the copy, started again whatever happens. What is stopped stands in a file first
/// (DIR/backup/stopped.jsonl, fsynced), so that the next run, the next start of the node or `verbund backup recover` finds it.
/// Blocking; one thread at a time (the run's lock sees to that).
#include <filesystem>
#include <string>
#include <vector>

#include "backup/config.h"
#include "base/log.h"
#include "base/time.h"

namespace verbund::backup {

class Services {
 public:
  Services(std::filesystem::path file, const Clock& clock, Log& log) : file_(std::move(file)), clock_(clock), log_(log) {}

  /// Errors: kTimedOut, kNotFound (no such program), kIo.
  Result<bool> running(const Application& application);
  /// On disk before it returns.
  Status note_stop(const Application& application);
  /// Errors: kProgramFailed with the command's words; kTimedOut (killed at its limit).
  Status stop(const Application& application);
  /// Strikes it from the file afterwards. A second attempt is made by `recover`.
  Status start(const Application& application);

  struct Left {
    Application application;  ///< name and start command as they were when it was stopped
    Phrase why;               ///< why it did not start
  };
  /// What the file names is started, last stopped first; what does not start stays in the file. Errors: kIo, kDamaged.
  Result<std::vector<Left>> recover();
  /// Names of what the file says is stopped. Errors: kIo, kDamaged.
  Result<std::vector<std::string>> stopped() const;

 private:
  Status strike(const std::string& name);
  Result<std::vector<Application>> read() const;
  Status run(const Application& application, const std::vector<std::string>& argv, seconds limit, std::string_view what);

  std::filesystem::path file_;
  const Clock& clock_;
  Log& log_;
};

/// What its command or file says; empty when neither is configured. Errors: kNotFound, kProgramFailed, kTimedOut, kIo.
Result<std::string> program_version(const Application& application, const Clock& clock);

}  // namespace verbund::backup
