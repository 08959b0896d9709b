/// Device sync, for administrators: GET, POST /api/sync/rules; GET /api/sync/subscriptions, …/sets, …/groups, …/users; GET, POST /api/sync/devices;
/// PUT /api/sync/devices/ID/state; POST /api/sync/reset; GET /api/sync/status, /api/sync/held/DEVICE/SUBSCRIPTION/KEY, /api/sync/queue, …/queue/DEVICE|all, …/rejects/DEVICE|all; POST /api/sync/rejects/ID
#include <boost/json/value_from.hpp>

#include "access/audit.h"
#include "access/certificates.h"
#include "api/api.h"
#include "api/json.h"
#include "base/messages.h"
#include "sync/server/devices.h"
#include "sync/server/overview.h"
#include "sync/server/queues.h"
#include "sync/server/rules_store.h"

namespace verbund::api {
namespace {

namespace json = boost::json;
namespace server = sync::server;
using postgres::Connection;

constexpr seconds kConnectionWait{10};

template <typename T>
net::HttpResponse answer(const Call& call, const Result<T>& result) {
  return result ? json_response(json::serialize(*result)) : error_response(call.language, result.error());
}

/// What `work` makes of a connection to the mid-tier.
template <typename Work>
Result<json::object> with_mid_tier(const Surroundings& surroundings, Work work) {
  auto mid_tier = surroundings.mid_tier.acquire(Deadline::in(surroundings.clock, kConnectionWait));
  if (!mid_tier) return pass(mid_tier);
  return work(**mid_tier);
}

/// The entry is written first, so that nothing changes without one.
template <typename Work>
Result<json::object> audited(const Surroundings& surroundings, const Call& call, const std::string& action, const std::string& object, const std::string& detail, Work work) {
  const access::AuditEntry entry{0, surroundings.clock.wall(), call.account->user, action, object, detail};
  if (auto written = access::record_audit(surroundings.mid_tier, surroundings.clock, entry); !written) return pass(written);
  return with_mid_tier(surroundings, work);
}

json::array shown(const std::vector<sync::RuleChange>& changes) {
  json::array list;
  for (const auto& one : changes) {
    list.push_back(json::object{{"what", to_wire(one.what)}, {"kind", one.kind}, {"name", one.name}, {"fields", json::value_from(one.fields)}});
  }
  return list;
}

Result<json::object> read_rules(const Surroundings& surroundings) {
  return with_mid_tier(surroundings, [](Connection& mid_tier) -> Result<json::object> {
    auto version = server::rules_version(mid_tier);
    if (!version) return pass(version);
    auto in_force = server::load_rules(mid_tier);
    if (!in_force) return pass(in_force);
    return json::object{{"toml", sync::write_rules(in_force->rules)}, {"version", std::to_string(*version)}};
  });
}

/// What the file holds, in the form of the source's types.
Result<sync::Rules> fitting(const Surroundings& surroundings, const std::string& toml, const std::string& file) {
  auto rules = sync::read_rules(toml, file);
  if (!rules) return rules;
  if (auto sound = server::refuse(faults_of(*rules)); !sound) return pass(sound);
  auto source = surroundings.source.acquire(Deadline::in(surroundings.clock, kConnectionWait));
  if (!source) return pass(source);
  auto faults = server::fit_rules(**source, *rules);
  if (!faults) return pass(faults);
  const auto& folders = surroundings.devices.folders;
  for (const auto& one : rules->subscriptions) {
    if (one.kind != sync::SubscriptionKind::kFiles || std::ranges::find(folders, one.files.folder) != folders.end()) continue;
    faults->push_back(phrase("subscription '{}': [sync.folders] in verbund.toml names no folder '{}'", one.name, one.files.folder));
  }
  if (auto sound = server::refuse(*faults); !sound) return pass(sound);
  return rules;
}

Result<json::object> apply(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return pass(body);
  const auto toml = string_member(*body, "toml");
  const auto file = string_member(*body, "file");
  const auto dry_run = bool_member(*body, "dry_run");
  if (!toml) return std::unexpected(toml.error());
  if (!file) return std::unexpected(file.error());
  if (!dry_run) return std::unexpected(dry_run.error());
  auto rules = fitting(surroundings, *toml, *file);
  if (!rules) return pass(rules);
  const auto run = [&](server::Applying mode) {
    return [&, mode](Connection& mid_tier) -> Result<json::object> {
      auto changes = server::apply_rules(mid_tier, *rules, mode, surroundings.clock.wall());
      if (!changes) return pass(changes);
      return json::object{{"changes", shown(*changes)}, {"dry_run", mode == server::Applying::kDryRun}};
    };
  };
  auto looked = with_mid_tier(surroundings, run(server::Applying::kDryRun));
  if (!looked || *dry_run || looked->at("changes").as_array().empty()) return looked;
  auto applied = audited(surroundings, call, "sync.apply", *file, fmt::format("{} changes", looked->at("changes").as_array().size()), run(server::Applying::kInForce));
  if (!applied) return applied;
  // The rules are in force all the same: their tables are taken in when the feed can.
  if (auto captured = surroundings.devices.rules_changed(); !captured) (*applied)["not_captured"] = retold(call.language, captured.error().message);
  return applied;
}

/// One of the tables that the rules are kept in, as JSON.
Result<json::object> list(const Surroundings& surroundings, const std::string& name, std::string_view sql) {
  return with_mid_tier(surroundings, [&](Connection& mid_tier) -> Result<json::object> {
    auto rows = mid_tier.query(sql);
    if (!rows) return pass(rows, "read the rules of device sync");
    boost::system::error_code error;
    auto value = json::parse(rows->text(0, 0), error);
    if (error) return fail(ErrorCode::kDatabase, phrase("read the rules of device sync: {}", error.message()));
    return json::object{{name, std::move(value)}};
  });
}

Result<json::object> list_devices(const Surroundings& surroundings) {
  return with_mid_tier(surroundings, [](Connection& mid_tier) -> Result<json::object> {
    auto devices = server::list_devices(mid_tier);
    if (!devices) return pass(devices);
    json::array rows;
    for (const auto& one : *devices) {
      rows.push_back(json::object{{"device", std::to_string(one.id)},
                                  {"name", one.name},
                                  {"user", one.user},
                                  {"state", to_wire(one.state)},
                                  {"enrolled", to_iso8601(one.enrolled)},
                                  {"last_sync", one.last_sync ? json::value(to_iso8601(*one.last_sync)) : json::value(nullptr)},
                                  {"last_address", one.last_address}});
    }
    return json::object{{"devices", rows}};
  });
}

Result<json::object> invite(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return pass(body);
  const auto user = string_member(*body, "user");
  const auto name = string_member(*body, "name");
  const auto minutes = number_member(*body, "minutes", 1, static_cast<std::uint64_t>(server::kMaxInvitation.count()));
  if (!user) return std::unexpected(user.error());
  if (!name) return std::unexpected(name.error());
  if (!minutes) return std::unexpected(minutes.error());
  auto fingerprint = access::fingerprint(surroundings.ca_pem);
  if (!fingerprint) return pass(fingerprint);
  return audited(surroundings, call, "sync.device.invite", *user, *name, [&](Connection& mid_tier) -> Result<json::object> {
    auto made = server::invite(mid_tier, {*user, *name, *fingerprint, std::chrono::minutes{static_cast<std::int64_t>(*minutes)}}, surroundings.clock.wall());
    if (!made) return pass(made);
    return json::object{{"code", made->code}, {"until", to_iso8601(made->until)}};
  });
}

Result<json::object> set_state(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return pass(body);
  const auto word = string_member(*body, "state");
  if (!word) return std::unexpected(word.error());
  const auto id = parse_u64(call.arguments[0]);
  if (!id || *id > INT64_MAX) return fail(ErrorCode::kNotFound, phrase("there is no device {}", call.arguments[0]));
  for (const auto state : {server::DeviceState::kActive, server::DeviceState::kDisabled, server::DeviceState::kRevoked}) {
    if (*word != to_wire(state)) continue;
    return audited(surroundings, call, "sync.device." + *word, call.arguments[0], "", [&](Connection& mid_tier) -> Result<json::object> {
      auto set = server::set_state(mid_tier, *id, state);
      if (!set) return pass(set);
      return json::object{};
    });
  }
  return fail(ErrorCode::kBadMessage, phrase("there is no state '{}'", *word), phrase("One of: {}.", "active, disabled, revoked"));
}

Result<json::object> reset(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return pass(body);
  const auto by = string_member(*body, "by");
  const auto name = string_member(*body, "name");
  if (!by) return std::unexpected(by.error());
  if (!name) return std::unexpected(name.error());
  using By = server::Whose::By;
  for (const auto& [word, kind] : {std::pair{"device", By::kDevice}, {"user", By::kUser}, {"group", By::kGroup}, {"all", By::kAll}}) {
    if (*by != word) continue;
    return audited(surroundings, call, "sync.device.reset", *by, *name, [&, kind = kind](Connection& mid_tier) -> Result<json::object> {
      auto count = server::reset(mid_tier, {kind, *name});
      if (!count) return pass(count);
      return json::object{{"devices", *count}};
    });
  }
  return fail(ErrorCode::kBadMessage, phrase("reset devices by '{}': there is no such way", *by), phrase("One of: {}.", "device, user, group, all"));
}

/// "all", or a device's number.
Result<std::optional<std::uint64_t>> device_of(const std::string& text) {
  if (text == "all") return std::nullopt;
  const auto id = parse_u64(text);
  if (!id || *id > INT64_MAX) return fail(ErrorCode::kNotFound, phrase("there is no device {}", text));
  return *id;
}

json::value time_or_null(const std::optional<WallTime>& time) { return time ? json::value(to_iso8601(*time)) : json::value(nullptr); }

json::array shown(const std::vector<std::optional<std::string>>& values) {
  json::array list;
  for (const auto& value : values) list.push_back(value ? json::value(*value) : json::value(nullptr));
  return list;
}

Result<json::object> list_queues(const Surroundings& surroundings) {
  return with_mid_tier(surroundings, [](Connection& mid_tier) -> Result<json::object> {
    auto queues = server::list_queues(mid_tier);
    if (!queues) return pass(queues);
    json::array rows;
    for (const auto& one : *queues) {
      rows.push_back(json::object{{"device", std::to_string(one.device)}, {"name", one.name}, {"user", one.user}, {"input", one.input}, {"waiting", one.waiting},
                                  {"applying", one.applying}, {"rejects", one.rejects}, {"output", one.output}, {"last_reply", time_or_null(one.last_reply)},
                                  {"last_acknowledged", time_or_null(one.last_acknowledged)}});
    }
    return json::object{{"queues", rows}};
  });
}

Result<json::object> list_waiting(const Surroundings& surroundings, const Call& call) {
  auto device = device_of(call.arguments[0]);
  if (!device) return pass(device);
  return with_mid_tier(surroundings, [&](Connection& mid_tier) -> Result<json::object> {
    auto changes = server::list_waiting(mid_tier, *device);
    if (!changes) return pass(changes);
    json::array rows;
    for (const auto& one : *changes) {
      rows.push_back(json::object{{"change", std::to_string(one.id)}, {"device", std::to_string(one.device)}, {"device_name", one.device_name}, {"subscription", one.subscription},
                                  {"key", one.key}, {"op", std::string(1, one.op)}, {"state", one.state}, {"waits_for", one.waits_for}, {"since", to_iso8601(one.since)}});
    }
    return json::object{{"changes", rows}, {"most", server::kMostListed}};
  });
}

Result<json::object> list_rejects(const Surroundings& surroundings, const Call& call) {
  auto device = device_of(call.arguments[0]);
  if (!device) return pass(device);
  return with_mid_tier(surroundings, [&](Connection& mid_tier) -> Result<json::object> {
    auto rejects = server::list_rejects(mid_tier, *device);
    if (!rejects) return pass(rejects);
    json::array rows;
    for (const auto& one : *rejects) {
      json::array columns(one.columns.begin(), one.columns.end());
      rows.push_back(json::object{{"reject", std::to_string(one.id)}, {"device", std::to_string(one.device)}, {"device_name", one.device_name}, {"user", one.user},
                                  {"subscription", one.subscription}, {"key", one.key}, {"op", std::string(1, one.op)}, {"reason", one.reason}, {"message", one.message},
                                  {"columns", columns}, {"before", shown(one.before)}, {"mine", shown(one.mine)}, {"theirs", shown(one.theirs)},
                                  {"decided", to_iso8601(one.decided)}, {"told", one.told}});
    }
    return json::object{{"rejects", rows}, {"most", server::kMostListed}};
  });
}

Result<json::object> decide_reject(const Surroundings& surroundings, const Call& call) {
  auto body = read_object(call.request.body);
  if (!body) return pass(body);
  const auto word = string_member(*body, "do");
  if (!word) return std::unexpected(word.error());
  const auto id = parse_u64(call.arguments[0]);
  if (!id || *id > INT64_MAX) return fail(ErrorCode::kNotFound, phrase("there is no reject {}", call.arguments[0]));
  if (*word != "retry" && *word != "dismiss") {
    return fail(ErrorCode::kBadMessage, phrase("decide a reject: there is no way '{}'", *word), phrase("One of: {}.", "retry, dismiss"));
  }
  return audited(surroundings, call, "sync.reject." + *word, call.arguments[0], "", [&](Connection& mid_tier) -> Result<json::object> {
    auto done = *word == "retry" ? server::retry_reject(mid_tier, *id) : server::dismiss_reject(mid_tier, *id);
    if (!done) return pass(done);
    return json::object{};
  });
}

Result<json::object> status(const Surroundings& surroundings) {
  return with_mid_tier(surroundings, [](Connection& mid_tier) -> Result<json::object> {
    auto devices = server::device_stands(mid_tier);
    if (!devices) return pass(devices);
    json::array rows;
    for (const auto& one : *devices) {
      rows.push_back(json::object{{"device", std::to_string(one.id)}, {"name", one.name}, {"user", one.user}, {"state", one.state}, {"enrolled", to_iso8601(one.enrolled)}, {"synced", time_or_null(one.synced)},
                                  {"waiting", one.waiting}, {"rejects", one.rejects}, {"oldest_reject", time_or_null(one.rejected)}, {"subscriptions_behind", one.behind},
                                  {"copy_of", one.split_from == 0 ? json::value(nullptr) : json::value(std::to_string(one.split_from))}});
    }
    return json::object{{"devices", rows}};
  });
}

std::string_view to_wire(server::DeviceService::HeldRow::What what) {
  using What = server::DeviceService::HeldRow::What;
  switch (what) {
    case What::kCurrent: return "current";
    case What::kOlder: return "older";
    case What::kLeaves: return "leaves";
    case What::kNone: return "none";
    case What::kUnknown: break;
  }
  return "unknown";
}

Result<json::object> held(const Surroundings& surroundings, const Call& call) {
  const auto id = parse_u64(call.arguments[0]);
  if (!id || *id > INT64_MAX) return fail(ErrorCode::kNotFound, phrase("there is no device {}", call.arguments[0]));
  auto found = surroundings.devices.held(*id, call.arguments[1], call.arguments[2]);
  if (!found) return pass(found);
  return json::object{{"holds", to_wire(found->what)}, {"version", std::to_string(found->version.value)}, {"cursor", found->cursor ? json::value(std::to_string(found->cursor->value)) : json::value(nullptr)},
                      {"acknowledged", time_or_null(found->acknowledged)}};
}

struct Listing {
  const char* name;
  const char* sql;
};
constexpr Listing kListings[] = {
    {"subscriptions",
     "SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'version', version::text) || definition ORDER BY name COLLATE \"C\"), '[]') FROM sync.subscription"},
    {"sets", "SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'subscriptions', subscriptions) ORDER BY name COLLATE \"C\"), '[]') FROM sync.subscription_set"},
    {"groups",
     "SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'sets', sets, 'parameters', parameters, 'users', (SELECT count(*) FROM sync.member WHERE group_name = g.name))"
     " ORDER BY name COLLATE \"C\"), '[]') FROM sync.user_group g"},
    {"users",
     "SELECT coalesce(jsonb_agg(jsonb_build_object('name', user_name, 'group', group_name, 'parameters', parameters, 'disabled', disabled, 'devices',"
     " (SELECT count(*) FROM sync.device d WHERE d.user_name = m.user_name AND d.state = 'active')) ORDER BY user_name COLLATE \"C\"), '[]') FROM sync.member m"},
};

}  // namespace

void add_sync_routes(std::vector<Route>& routes, const Surroundings& surroundings) {
  constexpr auto kRight = access::Right::kManageSync;
  routes.push_back({"GET", "/api/sync/rules", kRight, [&](const Call& call) { return answer(call, read_rules(surroundings)); }});
  routes.push_back({"POST", "/api/sync/rules", kRight, [&](const Call& call) { return answer(call, apply(surroundings, call)); }});
  for (const auto& one : kListings) {
    routes.push_back({"GET", std::string("/api/sync/") + one.name, kRight, [&surroundings, one](const Call& call) { return answer(call, list(surroundings, one.name, one.sql)); }});
  }
  routes.push_back({"GET", "/api/sync/devices", kRight, [&](const Call& call) { return answer(call, list_devices(surroundings)); }});
  routes.push_back({"POST", "/api/sync/devices", kRight, [&](const Call& call) { return answer(call, invite(surroundings, call)); }});
  routes.push_back({"PUT", "/api/sync/devices/*/state", kRight, [&](const Call& call) { return answer(call, set_state(surroundings, call)); }});
  routes.push_back({"GET", "/api/sync/status", kRight, [&](const Call& call) { return answer(call, status(surroundings)); }});
  routes.push_back({"GET", "/api/sync/held/*/*/*", kRight, [&](const Call& call) { return answer(call, held(surroundings, call)); }});
  routes.push_back({"GET", "/api/sync/queue", kRight, [&](const Call& call) { return answer(call, list_queues(surroundings)); }});
  routes.push_back({"GET", "/api/sync/queue/*", kRight, [&](const Call& call) { return answer(call, list_waiting(surroundings, call)); }});
  routes.push_back({"GET", "/api/sync/rejects/*", kRight, [&](const Call& call) { return answer(call, list_rejects(surroundings, call)); }});
  routes.push_back({"POST", "/api/sync/rejects/*", kRight, [&](const Call& call) { return answer(call, decide_reject(surroundings, call)); }});
  routes.push_back({"POST", "/api/sync/reset", kRight, [&](const Call& call) { return answer(call, reset(surroundings, call)); }});
}

}  // namespace verbund::api
