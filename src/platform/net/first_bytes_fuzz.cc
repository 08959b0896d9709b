// First-byte detection and line splitting: however the bytes are cut, the same lines come out, and nothing piles up.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "platform/net/line_reader.h"

namespace {

constexpr std::size_t kMaxLine = 16;

std::vector<std::string> split(std::string_view stream, std::size_t piece) {
  verbund::net::LineReader reader;
  std::vector<std::string> lines;
  std::string input;
  while (!stream.empty()) {
    const auto size = std::min(piece, stream.size());
    input.append(stream.substr(0, size));
    stream.remove_prefix(size);
    while (true) {
      const auto step = reader.next(input, kMaxLine);
      if (step.consumed > input.size()) std::abort();
      if (step.event == verbund::net::LineReader::Event::kLine) {
        if (step.line.size() > kMaxLine || step.line.empty()) std::abort();
        lines.emplace_back(step.line);
      }
      if (step.event == verbund::net::LineReader::Event::kTooLarge) lines.emplace_back();
      input.erase(0, step.consumed);
      if (step.event == verbund::net::LineReader::Event::kNeedMore) break;
    }
    if (input.size() > kMaxLine + 1) std::abort();
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  static_cast<void>(verbund::net::detect_speech(stream.front()));
  if (split(stream, stream.size()) != split(stream, 1UL + data[0] % 20)) std::abort();
  return 0;
}
