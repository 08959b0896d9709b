// How `verbund mirror` reaches this machine's node, whatever it is at the moment.
#include "base/messages.h"
#include "cli/mirror.h"
#include "cli/progress.h"
#include "node/installation.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

constexpr seconds kPatience{10};

/// This machine's, when whoever calls may read it: then no login is needed, which a database would have to check.
std::optional<std::string> control_secret(const Globals& globals) {
  if (!globals.server.empty() || !globals.user.empty()) return std::nullopt;
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  auto text = os::read_file(directory / "secrets" / "control", 4096);
  if (!text) return std::nullopt;
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

Result<std::string> call(const Globals& globals, const std::string& method, const std::string& path, const std::string& body) {
  const auto secret = control_secret(globals);
  if (!secret) return rest_call(globals, method, path, body, {}, kPatience);
  auto target = rest_target(globals);
  if (!target) return pass(target);
  target->token = *secret;
  return rest_call(globals, *target, method, path, body, {}, kPatience);
}

}  // namespace

std::string at(const json::object& root, std::string_view path) {
  const json::object* object = &root;
  while (true) {
    const auto dot = path.find('.');
    const auto* value = object->if_contains(path.substr(0, dot));
    if (!value || value->is_null()) return {};
    if (dot == std::string_view::npos) return value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
    if (!value->is_object()) return {};
    object = &value->as_object();
    path.remove_prefix(dot + 1);
  }
}

std::string in_seconds(const std::string& milli) {
  const auto number = parse_u64(milli);
  return number ? fmt::format("{}.{} s", *number / 1000, *number % 1000 / 100) : milli;
}

std::string in_bytes(const std::string& text) {
  const auto number = parse_u64(text);
  return number ? shown_bytes(*number) : text;
}

Result<json::object> mirror_state(const Globals& globals) {
  auto answer = call(globals, "GET", "/api/mirror", {});
  if (!answer) return pass(answer);
  boost::system::error_code error;
  auto value = json::parse(*answer, error);
  if (error || !value.is_object()) return fail(ErrorCode::kBadMessage, phrase("read the node's answer: it is no JSON object"));
  return std::move(value.as_object());
}

Result<std::string> ask_pair(const Globals& globals, const json::object& request) {
  return call(globals, "POST", "/api/mirror/do", json::serialize(request));
}

}  // namespace verbund::cli
