#pragma once
/// What a peer speaks, told by its first byte, and the splitting of line JSON. Pure; bytes come from anybody.
#include <cstddef>
#include <string_view>

namespace verbund::net {

enum class Speech { kTls, kHttp, kLine };

/// 0x16 begins a TLS record; a capital letter a method name (no JSON object does); everything else is a line.
constexpr Speech detect_speech(char first) {
  if (first == 0x16) return Speech::kTls;
  return first >= 'A' && first <= 'Z' ? Speech::kHttp : Speech::kLine;
}

/// Splits a stream at '\n'; "\r\n" is taken too; empty lines are nothing. A line over the limit is skipped.
class LineReader {
 public:
  enum class Event { kNeedMore, kLine, kTooLarge };
  struct Step {
    Event event;
    std::size_t consumed;   ///< of `input`; not to be handed in again
    std::string_view line;  ///< kLine: within `input`, without its end
    std::size_t bytes = 0;  ///< kTooLarge: of the whole skipped line, without its end
  };
  /// `input` begins with what the last step left over and may be empty. After kNeedMore call it with more.
  Step next(std::string_view input, std::size_t max_line_bytes);

 private:
  Step too_large_or_more(std::string_view input, std::size_t max_line_bytes);

  std::size_t scanned_ = 0;  ///< so many bytes of the left-over hold no newline
  std::size_t skipped_ = 0;  ///< bytes of the line being skipped; zero: none is
};

}  // namespace verbund::net
