#include "platform/os/log_sink.h"

#include <array>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/stat.h>
#include <fcntl.h>

#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/log_line.h"

namespace verbund::os {
namespace {

constexpr std::size_t kRotateBytes = 10 * 1024 * 1024;
constexpr std::size_t kKeptFiles = 5;
/// The log names users and workstations: not for everybody on the machine.
constexpr mode_t kLogMode = 0640;

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::unique_ptr<spdlog::logger> logger_over(spdlog::sink_ptr sink, LogLevel level) {
  // Not registered: spdlog's registry is a global.
  auto logger = std::make_unique<spdlog::logger>("verbund", std::move(sink));
  logger->set_pattern("%v");
  logger->set_level(spdlog_level(level));
  logger->flush_on(spdlog::level::debug);  // the last lines before a crash are the ones that are read
  return logger;
}

std::unique_ptr<spdlog::logger> file_logger(const std::filesystem::path& path, LogLevel level) {
  spdlog::file_event_handlers handlers;
  handlers.after_open = [](const spdlog::filename_t&, std::FILE* file) {
    ::fchmod(::fileno(file), kLogMode);
    ::fcntl(::fileno(file), F_SETFD, FD_CLOEXEC);
  };
  auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path.native(), kRotateBytes, kKeptFiles, false, handlers);
  return logger_over(std::move(sink), level);
}

class SpdlogLog final : public Log {
 public:
  explicit SpdlogLog(const LogSettings& settings) {
    if (settings.file) file_ = file_logger(*settings.file, settings.file_level);
    if (settings.terminal) {
      terminal_ = logger_over(std::make_shared<spdlog::sinks::stderr_sink_mt>(), settings.terminal_level);
    }
  }

  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) override {
    const auto severity = spdlog_level(level);
    const bool to_file = file_ && file_->should_log(severity);
    const bool to_terminal = terminal_ && terminal_->should_log(severity);
    if (!to_file && !to_terminal) return;
    const WallTime now = clock_.wall();
    if (to_file) file_->log(severity, spdlog::string_view_t(json_line(now, level, event, fields)));
    if (to_terminal) terminal_->log(severity, spdlog::string_view_t(readable_line(now, level, event, fields)));
  }

 private:
  SystemClock clock_;
  std::unique_ptr<spdlog::logger> file_;
  std::unique_ptr<spdlog::logger> terminal_;
};

class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

}  // namespace

Result<std::unique_ptr<Log>> open_log(const LogSettings& settings) {
  try {
    return std::make_unique<SpdlogLog>(settings);
  } catch (const spdlog::spdlog_ex& error) {
    return fail(ErrorCode::kIo, phrase("open log {}: {}", settings.file ? settings.file->native() : "standard error",
                                            error.what()));
  }
}

Log& null_log() {
  static NullLog log;
  return log;
}

}  // namespace verbund::os
