/// What a stranger sends to a node. What is taken must survive being written and read again.
#include <cstdlib>

#include "protocol/codec.h"

#include "base/utf8.h"

namespace {

void require(bool held) {
  if (!held) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::protocol;
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  const auto request = decode_request(message);
  std::string json;
  if (!request) {
    const auto& bad = request.error();
    require(!bad.error.message.empty());
    encode_refused(json, bad.id, {bad.error, {}, {}}, verbund::Language::kGerman);
    require(decode_from_server(json).has_value());
    return 0;
  }
  require(verbund::is_utf8(message));
  encode_request(json, *request);
  require(json.find('\n') == std::string::npos);
  const auto again = decode_request(json);
  require(again.has_value());
  require(*again == *request);
  return 0;
}
