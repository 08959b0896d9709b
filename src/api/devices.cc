/// Devices (docs/protocol/devices.md): POST /api/device/enrol, /unlock, /syncs, PUT /api/device/uploads/N/BLOCK, GET /api/device/syncs/N/SUBSCRIPTION/BLOCK,
/// POST /api/device/syncs/N/ack, POST /api/device/files/SUBSCRIPTION, …/offer, GET, PUT …/HASH/OFFSET. A device shows its own secret; it has no login.
#include "api/api.h"

namespace verbund::api {
namespace {

net::HttpResponse pass_on(const Surroundings& surroundings, const Call& call, std::string target) {
  if (!call.request.encrypted && !call.request.loopback) return error_response(call.language, make_error(ErrorCode::kPlaintextRefused, phrase("sync of a device: only over TLS")));
  const auto authorization = call.request.headers.find("authorization");
  sync::DeviceCall asked{call.request.method, std::move(target), authorization == call.request.headers.end() ? std::string() : authorization->second, call.request.body};
  auto answer = surroundings.devices.call(asked, call.request.address);
  if (!answer) {
    // It comes again by itself, not at once.
    constexpr milliseconds kBusy{1'000};
    return error_response(call.language, answer.error(), answer.error().code == ErrorCode::kUnavailable ? std::optional(kBusy) : std::nullopt);
  }
  auto response = json_response(std::move(answer->body), answer->status);
  if (call.request.method == "GET" && answer->status == 200) response.content_type = "application/octet-stream";
  return response;
}

}  // namespace

void add_device_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  const auto add = [&](std::string method, std::string pattern, std::function<std::string(const Call&)> target) {
    routes.push_back({.method = std::move(method), .pattern = std::move(pattern), .right = std::nullopt,
                      .resource = [&surroundings, target = std::move(target)](const Call& call) { return pass_on(surroundings, call, target(call)); }, .workers = surroundings.devices.workers});
  };
  add("POST", "/api/device/enrol", [](const Call&) { return std::string("/api/device/enrol"); });
  add("POST", "/api/device/syncs", [](const Call&) { return std::string("/api/device/syncs"); });
  add("POST", "/api/device/unlock", [](const Call&) { return std::string("/api/device/unlock"); });
  // Before the next one, whose star would take it.
  add("POST", "/api/device/files/*/offer", [](const Call& call) { return fmt::format("/api/device/files/{}/offer", sync::escaped_part(call.arguments[0])); });
  add("POST", "/api/device/files/*", [](const Call& call) { return fmt::format("/api/device/files/{}", sync::escaped_part(call.arguments[0])); });
  for (const auto* method : {"GET", "PUT"}) {
    add(method, "/api/device/files/*/*/*", [](const Call& call) {
      return fmt::format("/api/device/files/{}/{}/{}", sync::escaped_part(call.arguments[0]), sync::escaped_part(call.arguments[1]), sync::escaped_part(call.arguments[2]));
    });
  }
  add("PUT", "/api/device/uploads/*/*", [](const Call& call) { return fmt::format("/api/device/uploads/{}/{}", sync::escaped_part(call.arguments[0]), sync::escaped_part(call.arguments[1])); });
  add("POST", "/api/device/syncs/*/ack", [](const Call& call) { return fmt::format("/api/device/syncs/{}/ack", sync::escaped_part(call.arguments[0])); });
  add("GET", "/api/device/syncs/*/*/*", [](const Call& call) {
    return fmt::format("/api/device/syncs/{}/{}/{}", sync::escaped_part(call.arguments[0]), sync::escaped_part(call.arguments[1]), sync::escaped_part(call.arguments[2]));
  });
}

}  // namespace verbund::api
