#include "platform/net/host_port.h"

#include "base/messages.h"
#include "base/ids.h"

namespace verbund::net {

Result<std::pair<std::string, std::uint16_t>> parse_host_port(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) {
      return fail(ErrorCode::kUsage, phrase("read an address: '{}' lacks ']'", text), phrase("write [::1]:2222"));
    }
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (port.starts_with(':')) port.remove_prefix(1);
  } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos && text.find(':') == colon) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  std::uint64_t number = 2222;
  if (!port.empty()) {
    const auto parsed = parse_u64(port);
    if (!parsed || *parsed > 65535) {
      return fail(ErrorCode::kUsage, phrase("read an address: port '{}' is not in 0 … 65535", port),
                  phrase("write HOST:PORT, for example 127.0.0.1:2222"));
    }
    number = *parsed;
  }
  if (host.empty()) host = "0.0.0.0";
  return std::pair{std::string(host), static_cast<std::uint16_t>(number)};
}

}  // namespace verbund::net
