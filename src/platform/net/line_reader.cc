#include "platform/net/line_reader.h"

namespace verbund::net {

LineReader::Step LineReader::next(std::string_view input, std::size_t max_line_bytes) {
  std::size_t start = 0;
  while (true) {
    const auto end = input.find('\n', start + scanned_);
    if (end == std::string_view::npos) {
      auto step = too_large_or_more(input.substr(start), max_line_bytes);
      step.consumed += start;
      return step;
    }
    scanned_ = 0;
    auto line = input.substr(start, end - start);
    if (line.ends_with('\r')) line.remove_suffix(1);
    start = end + 1;
    if (skipped_ > 0 || line.size() > max_line_bytes) {
      const auto bytes = skipped_ + line.size();
      skipped_ = 0;
      return {Event::kTooLarge, start, {}, bytes};
    }
    if (!line.empty()) return {Event::kLine, start, line};
  }
}

LineReader::Step LineReader::too_large_or_more(std::string_view input, std::size_t max_line_bytes) {
  // One byte more than the limit may be the '\r' of a line that just fits.
  if (skipped_ > 0 || input.size() > max_line_bytes + 1) {
    skipped_ += input.size();
    scanned_ = 0;
    return {Event::kNeedMore, input.size(), {}};
  }
  scanned_ = input.size();
  return {Event::kNeedMore, 0, {}};
}

}  // namespace verbund::net
