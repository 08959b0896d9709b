#pragma once
/// The log as lower floors see it: an event's name and fields, never record contents, never secrets.
/// Implementations (platform/os) may be called from any thread and never fail the caller.
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace verbund {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// One name=value of an event. Values are formatted where the field is made.
struct LogField {
  template <typename T>
  LogField(std::string_view field_name, const T& field_value)
      : name(field_name), value(fmt::format("{}", field_value)) {}
  std::string_view name;
  std::string value;
};

class Log {
 public:
  virtual ~Log() = default;
  /// `event` is a dotted lower-case name ("session.lost"), the same for each occurrence.
  virtual void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) = 0;

  void debug(std::string_view event, std::initializer_list<LogField> fields = {}) { write(LogLevel::kDebug, event, fields); }
  void info(std::string_view event, std::initializer_list<LogField> fields = {}) { write(LogLevel::kInfo, event, fields); }
  void warning(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kWarning, event, fields);
  }
  void error(std::string_view event, std::initializer_list<LogField> fields = {}) { write(LogLevel::kError, event, fields); }
};

}  // namespace verbund
