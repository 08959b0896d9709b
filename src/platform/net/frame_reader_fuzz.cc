// WebSocket frames of either side: however the bytes are cut, the same events come out.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "platform/net/frame_reader.h"
#include "base/utf8.h"

namespace {

using verbund::net::FrameReader;

constexpr std::size_t kMaxMessage = 200;

std::vector<std::string> read(std::string_view stream, std::size_t piece, verbund::net::FrameSide side) {
  FrameReader reader(side);
  std::vector<std::string> events;
  std::string input;
  while (!stream.empty()) {
    const auto size = std::min(piece, stream.size());
    input.append(stream.substr(0, size));
    stream.remove_prefix(size);
    while (true) {
      const auto step = reader.next(input, kMaxMessage);
      if (step.consumed > input.size()) std::abort();
      if (step.event == FrameReader::Event::kMessage &&
          (step.payload.size() > kMaxMessage || !verbund::is_utf8(step.payload))) {
        std::abort();
      }
      if (step.event != FrameReader::Event::kNeedMore) {
        events.push_back(std::to_string(static_cast<int>(step.event)) + std::string(step.payload));
      }
      if (step.event == FrameReader::Event::kFailed) return events;
      input.erase(0, step.consumed);
      if (step.consumed == 0) break;
    }
    if (input.size() > kMaxMessage + 14 + piece) std::abort();
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto side = (data[0] & 1) != 0 ? verbund::net::FrameSide::kServer : verbund::net::FrameSide::kClient;
  if (read(stream, stream.size(), side) != read(stream, 1UL + data[0] / 2 % 20, side)) std::abort();
  return 0;
}
