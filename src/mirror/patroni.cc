#include "mirror/patroni.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/ids.h"
#include "base/messages.h"
#include "base/utf8.h"

namespace verbund::mirror {
namespace {

namespace json = boost::json;

std::unexpected<Error> bad(Phrase why) { return fail(ErrorCode::kBadMessage, phrase("read Patroni's answer: {}", std::move(why))); }

Result<json::object> object_in(std::string_view text) {
  if (text.size() > kMaxPatroniBytes) return bad(phrase("it is longer than {} bytes", kMaxPatroniBytes));
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 8;
  auto value = json::parse(text, error, {}, options);
  if (error || !value.is_object()) return bad(phrase("it is no JSON object"));
  return std::move(value.as_object());
}

bool readable(std::string_view text) {
  return text.size() <= kMaxPatroniNameBytes && is_utf8(text) && std::ranges::none_of(text, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; });
}

/// Absent is empty.
Result<std::string> text_in(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string() || !readable(value->as_string())) return bad(phrase("field {} is not a readable text", name));
  return std::string(value->as_string());
}

/// nullopt: absent, or a word ("unknown").
Result<std::optional<std::uint64_t>> number_in(const json::object& object, std::string_view name, std::uint64_t highest) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || value->is_null() || value->is_string()) return std::optional<std::uint64_t>();
  boost::system::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  if (error || number > highest) return bad(phrase("field {} is no number from 0 to {}", name, highest));
  return std::optional(number);
}

bool flag_in(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_bool() && value->as_bool();
}

Result<PatroniMember> member_in(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return bad(phrase("a member is no JSON object"));
  PatroniMember member;
  for (const auto& [field, name] : {std::pair{&member.name, "name"}, {&member.role, "role"}, {&member.state, "state"}, {&member.host, "host"}}) {
    auto text = text_in(*object, name);
    if (!text) return std::unexpected(text.error());
    *field = std::move(*text);
  }
  if (member.name.empty()) return bad(phrase("a member has no name"));
  const auto port = number_in(*object, "port", 65535);
  if (!port) return std::unexpected(port.error());
  const auto timeline = number_in(*object, "timeline", 0xffffffff);
  if (!timeline) return std::unexpected(timeline.error());
  const auto lag = number_in(*object, "lag", UINT64_MAX);
  if (!lag) return std::unexpected(lag.error());
  member.port = static_cast<std::uint16_t>(port->value_or(0));
  member.timeline = static_cast<std::uint32_t>(timeline->value_or(0));
  member.lag_bytes = *lag;
  const auto* tags = object->if_contains("tags");
  member.switches = tags == nullptr || !tags->is_object() || !flag_in(tags->as_object(), "nofailover");
  return member;
}

Result<std::string> scheduled_in(const json::object& root) {
  const auto* value = root.if_contains("scheduled_switchover");
  if (value == nullptr || !value->is_object()) return std::string();
  std::string shown;
  for (const auto& [name, lead] : {std::pair{"at", ""}, {"from", " from "}, {"to", " to "}}) {
    auto text = text_in(value->as_object(), name);
    if (!text) return std::unexpected(text.error());
    if (!text->empty()) shown += lead + *text;
  }
  return shown;
}

}  // namespace

const PatroniMember* PatroniView::leader() const {
  const auto found = std::ranges::find_if(members, &PatroniMember::leads);
  return found == members.end() ? nullptr : &*found;
}

const PatroniMember* PatroniView::find(std::string_view name) const {
  const auto found = std::ranges::find(members, name, &PatroniMember::name);
  return found == members.end() ? nullptr : &*found;
}

Result<PatroniView> parse_patroni_cluster(std::string_view text) {
  const auto root = object_in(text);
  if (!root) return std::unexpected(root.error());
  const auto* members = root->if_contains("members");
  if (members == nullptr || !members->is_array()) return bad(phrase("field {} is missing or wrong", "members"));
  if (members->as_array().size() > kMaxPatroniMembers) return bad(phrase("it names more than {} members", kMaxPatroniMembers));
  PatroniView view;
  for (const auto& value : members->as_array()) {
    auto member = member_in(value);
    if (!member) return std::unexpected(member.error());
    if (view.find(member->name) != nullptr) return bad(phrase("member {} is named twice", member->name));
    if (member->leads() && view.leader() != nullptr) return bad(phrase("it names two leaders, {} and {}", view.leader()->name, member->name));
    view.members.push_back(std::move(*member));
  }
  auto scope = text_in(*root, "scope");
  if (!scope) return std::unexpected(scope.error());
  view.scope = std::move(*scope);
  auto scheduled = scheduled_in(*root);
  if (!scheduled) return std::unexpected(scheduled.error());
  view.scheduled = std::move(*scheduled);
  view.paused = flag_in(*root, "pause");
  return view;
}

Result<PatroniOwn> parse_patroni_member(std::string_view text) {
  const auto root = object_in(text);
  if (!root) return std::unexpected(root.error());
  const auto* patroni = root->if_contains("patroni");
  if (patroni == nullptr || !patroni->is_object()) return bad(phrase("field {} is missing or wrong", "patroni"));
  PatroniOwn own;
  auto scope = text_in(patroni->as_object(), "scope");
  if (!scope) return std::unexpected(scope.error());
  auto version = text_in(patroni->as_object(), "version");
  if (!version) return std::unexpected(version.error());
  auto system = text_in(*root, "database_system_identifier");
  if (!system) return std::unexpected(system.error());
  own.scope = std::move(*scope);
  own.version = std::move(*version);
  own.system_id = std::move(*system);
  return own;
}

Result<PatroniAddress> parse_patroni_address(std::string_view text) {
  const auto off = [&] {
    return fail(ErrorCode::kBadConfig, phrase("read the address of Patroni's REST interface: {}", text), phrase("Write http://HOST:PORT or https://HOST:PORT."));
  };
  PatroniAddress address;
  std::string_view rest = text;
  if (rest.starts_with("https://")) address.tls = true;
  else if (!rest.starts_with("http://")) return off();
  rest.remove_prefix(address.tls ? 8 : 7);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos) return off();
    port = rest.substr(end + 1);
    rest = rest.substr(1, end - 1);
  } else if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    port = rest.substr(colon);
    rest = rest.substr(0, colon);
  }
  if (!port.empty()) {
    if (port.front() != ':') return off();
    const auto number = parse_u64(port.substr(1));
    if (!number || *number == 0 || *number > 65535) return off();
    address.port = static_cast<std::uint16_t>(*number);
  }
  if (rest.empty() || rest.size() > 255 || rest.find_first_of("/?#@ \t\r\n") != std::string_view::npos || !readable(rest)) return off();
  address.host = std::string(rest);
  return address;
}

Result<const PatroniMember*> switchover_target(const PatroniView& view, std::string_view to) {
  const auto refuse = [](ErrorCode code, Phrase why, Phrase hint) { return fail(code, phrase("switch over: {}", std::move(why)), std::move(hint)); };
  const auto* leader = view.leader();
  if (leader == nullptr) {
    return refuse(ErrorCode::kUnavailable, phrase("the Patroni cluster has no leader"), phrase("A switchover needs one; see `patronictl list`. A failover is Patroni's own."));
  }
  if (!leader->runs()) return refuse(ErrorCode::kUnavailable, phrase("the leader {} does not run ({})", leader->name, leader->state), phrase("See `patronictl list`."));
  if (!to.empty()) {
    const auto* target = view.find(to);
    if (target == nullptr) return refuse(ErrorCode::kNotFound, phrase("the cluster has no member {}", to), phrase("`verbund mirror status` names them."));
    if (target == leader) return refuse(ErrorCode::kUsage, phrase("{} leads already", to), phrase("`verbund mirror status` names them."));
    if (!target->runs()) return refuse(ErrorCode::kUnavailable, phrase("{} does not run ({})", to, target->state), phrase("See `patronictl list`."));
    if (!target->switches) return refuse(ErrorCode::kUnsupported, phrase("{} is tagged nofailover: it never leads", to), phrase("Name another member."));
    return target;
  }
  const PatroniMember* best = nullptr;
  for (const auto& member : view.members) {
    if (&member == leader || !member.runs() || !member.switches) continue;
    if (best == nullptr || member.lag_bytes.value_or(UINT64_MAX) < best->lag_bytes.value_or(UINT64_MAX)) best = &member;
  }
  if (best == nullptr) return refuse(ErrorCode::kUnavailable, phrase("no other member runs"), phrase("See `patronictl list`."));
  return best;
}

}  // namespace verbund::mirror
