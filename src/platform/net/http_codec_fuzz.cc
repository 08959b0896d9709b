// HTTP requests and responses as anybody may send them, whole and in pieces.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "platform/net/http_codec.h"

namespace {

using verbund::net::HttpRequestParser;

constexpr verbund::net::HttpBounds kBounds{4096, 4096};

void parse_request(std::string_view stream, std::size_t piece) {
  HttpRequestParser parser(kBounds);
  std::string input;
  while (!stream.empty()) {
    const auto size = std::min(piece, stream.size());
    input.append(stream.substr(0, size));
    stream.remove_prefix(size);
    const auto step = parser.next(input);
    if (step.consumed > input.size()) std::abort();
    if (step.event == HttpRequestParser::Event::kFailed) return;
    if (step.event == HttpRequestParser::Event::kRequest) {
      static_cast<void>(parser.is_upgrade());
      const auto request = parser.take_request();
      static_cast<void>(verbund::net::bad_upgrade(request));
      static_cast<void>(request.cookie("verbund"));
      return;
    }
    input.erase(0, step.consumed);
  }
}

void parse_response(std::string_view stream) {
  verbund::net::HttpResponseParser parser(kBounds, false);
  std::size_t consumed = 0;
  const auto whole = parser.next(stream, consumed);
  if (whole && *whole) static_cast<void>(parser.take_response());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  parse_request(stream, 1UL + data[0]);
  parse_request(stream, stream.size());
  parse_response(stream);
  return 0;
}
