#include "sync/server/device_service.h"

#include <algorithm>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/messages.h"
#include "platform/os/random.h"
#include "platform/os/short_hash.h"
#include "sync/server/intake.h"
#include "sync/server/tidy.h"
#include "sync/server/watch.h"
#include "sync/server/writing.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

constexpr seconds kDatabaseWait{10};
constexpr seconds kTablesKnownFor{2};
constexpr seconds kShortestPause{2}, kLongestPause{30};
/// A device that waits for its turn asks every 10 s at least.
constexpr seconds kPlaceKept{60};

/// Parts of a path below /api/device/, unescaped.
std::vector<std::string> parts_of(std::string_view target) {
  constexpr std::string_view kRoot = "/api/device/";
  std::vector<std::string> parts;
  if (!target.starts_with(kRoot)) return parts;
  target.remove_prefix(kRoot.size());
  for (;;) {
    const auto end = target.find('/');
    parts.push_back(unescaped(target.substr(0, end)));
    if (end == std::string_view::npos) return parts;
    target.remove_prefix(end + 1);
  }
}

Result<std::uint64_t> number_of(std::string_view text) {
  auto number = parse_u64(text);
  if (!number || *number == 0 || *number > INT64_MAX) return fail(ErrorCode::kBadMessage, phrase("a call of a device: {} is no number of a sync", text));
  return *number;
}

Result<std::uint32_t> block_of(std::string_view text) {
  auto number = parse_u64(text);
  if (!number || *number > INT32_MAX) return fail(ErrorCode::kBadMessage, phrase("a call of a device: {} is no number of a block", text));
  return static_cast<std::uint32_t>(*number);
}

}  // namespace

DeviceAnswer error_answer(const Error& error) {
  boost::json::object body{{"code", wire_name(error.code)}, {"message", error.message}};
  if (!error.hint.empty()) body["hint"] = error.hint;
  return {http_status(error.code), boost::json::serialize(boost::json::object{{"error", body}})};
}

DeviceService::DeviceService(ServiceSettings settings, SettleSurroundings surroundings, Directory& directory)
    : settings_(std::move(settings)), surroundings_(surroundings), directory_(directory), folders_(settings_.folders, {surroundings.mid_tier, directory, [this](const DeviceIdentity& device, const std::string& name) { return bound_of(device, name); }, surroundings.clock, surroundings.log, settings_.reading}), admission_(settings_.first_syncs, kPlaceKept), writers_(std::make_unique<os::WorkerPool>(settings_.writers, 10'000)) {}

DeviceService::~DeviceService() {
  const std::scoped_lock lock(mutex_);
  for (auto& [device, writing] : writing_) writing->unwanted = true;
}

Result<DeviceAnswer> DeviceService::handle(const DeviceCall& call, const std::string& address) {
  const auto path = parts_of(call.target);
  if (path.size() == 1 && path[0] == "enrol" && call.method == "POST") {
    auto request = decode_enrol_request(call.body);
    if (!request) return pass(request);
    auto enrolled = directory_.enrol(*request, address);
    if (!enrolled) return pass(enrolled);
    return DeviceAnswer{200, encode(*enrolled)};
  }
  auto device = directory_.authenticate(call.authorization, address);
  if (!device) return pass(device);
  return answer(call, path, *device, address);
}

Result<DeviceAnswer> DeviceService::answer(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device, const std::string& address) {
  if (path.size() == 3 && path[0] == "uploads" && call.method == "PUT") return upload(call, path, device);
  if (path.size() == 4 && path[0] == "syncs" && call.method == "GET") return block(path, device);
  if (path.size() == 1 && path[0] == "unlock" && call.method == "POST") return unlock(device);
  if (!path.empty() && path[0] == "files") return folders_.handle(call, path, device);
  const bool starts = path.size() == 1 && path[0] == "syncs" && call.method == "POST";
  const bool ends = path.size() == 3 && path[0] == "syncs" && path[2] == "ack" && call.method == "POST";
  if (!starts && !ends) return fail(ErrorCode::kNotFound, phrase("{} {}: no such resource", call.method, call.target));
  {
    const std::scoped_lock lock(mutex_);
    if (!busy_.insert(device.id).second) return fail(ErrorCode::kUnavailable, phrase("sync of {}: the one before is not over yet", device.name));
  }
  auto done = starts ? sync(call, device, address) : acknowledge(call, path, device);
  const std::scoped_lock lock(mutex_);
  busy_.erase(device.id);
  return done;
}

/// Its lease was over; it is here again, and nobody has revoked it.
Result<DeviceAnswer> DeviceService::unlock(const DeviceIdentity& device) {
  auto keys = directory_.lease_keys(device);
  if (!keys) return pass(keys);
  surroundings_.log.info("sync.device_unlocked", {{"device", device.id}});
  return DeviceAnswer{200, boost::json::serialize(boost::json::object{{"secret", os::to_base64(keys->secret)}})};
}

Result<DeviceAnswer> DeviceService::upload(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device) {
  auto number = number_of(path[1]);
  auto at = block_of(path[2]);
  if (!number) return pass(number);
  if (!at) return pass(at);
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  if (auto kept = keep_block(**mid_tier, device.id, *number, *at, call.body); !kept) return pass(kept);
  return DeviceAnswer{200, "{}"};
}

Result<SourceTable> DeviceService::table(Connection& mid_tier, Connection& source, const std::string& schema, const std::string& name) {
  {
    const std::scoped_lock lock(mutex_);
    const auto known = tables_.find({schema, name});
    if (known != tables_.end() && surroundings_.clock.now() - known->second.read < kTablesKnownFor) return known->second.table;
  }
  auto loaded = load_table(mid_tier, source, schema, name);
  if (!loaded) return loaded;
  const std::scoped_lock lock(mutex_);
  tables_[{schema, name}] = {*loaded, surroundings_.clock.now()};
  return loaded;
}

/// What the user may sync, bound to the tables as they are. One that does not work does not stop the others.
Result<DeviceService::Prepared> DeviceService::bind_all(const DeviceIdentity& device, const std::string& set) {
  auto rules = directory_.rules();
  if (!rules) return pass(rules);
  auto subscriptions = (*rules)->rules.of(device.user, set);
  if (!subscriptions) return pass(subscriptions);
  auto in_any_set = (*rules)->rules.of(device.user, {});
  if (!in_any_set) return pass(in_any_set);
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  auto source = surroundings_.source.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!source) return pass(source);
  Prepared prepared;
  for (const auto* rule : *in_any_set) {
    if (std::ranges::find(*subscriptions, rule) == subscriptions->end()) prepared.not_now.insert(rule->name);
  }
  std::set<std::string> tables;
  const auto failing = [&](const Subscription& rule, const Error& error) {
    prepared.not_now.insert(rule.name);
    prepared.failed.push_back({.mode = Session::Mode::kFailed, .subscription = rule.name, .shape = {}, .layout = {}, .error = std::string(wire_name(error.code)), .message = error.message});
  };
  const FindTable find = [&](const std::string& schema, const std::string& name) -> Result<SourceTable> {
    auto loaded = table(**mid_tier, **source, schema, name);
    if (loaded && !loaded->paused.empty()) return fail(ErrorCode::kUnavailable, phrase("table {}: its capture is paused: {}", name, loaded->paused));
    return loaded;
  };
  for (const auto* rule : *subscriptions) {
    if (rule->kind == SubscriptionKind::kFiles) {
      prepared.folders.push_back({rule->name, rule->direction == Direction::kUp});
      continue;
    }
    const auto version = (*rules)->versions.find(rule->name);
    auto bound = bind(*rule, version == (*rules)->versions.end() ? 0 : version->second, find, (*rules)->rules, device);
    if (bound && !tables.insert(bound->table.name).second) bound = fail(ErrorCode::kBadConfig, phrase("subscription {}: another subscription of this device has a table {}, too", rule->name, rule->table));
    if (bound) {
      prepared.bounds.push_back(std::move(*bound));
    } else {
      failing(*rule, bound.error());
    }
  }
  relate(prepared.bounds, device);
  return prepared;
}

Result<DeviceService::Told> DeviceService::told_before(const DeviceIdentity& device, const SyncRequest& request, const std::string& hash) {
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  auto rows = (*mid_tier)->query(
      "SELECT p.history_id, p.csn, (SELECT max(number) FROM sync.session WHERE device = $1::bigint), s.request_hash, s.reply"
      " FROM feed.position p LEFT JOIN sync.session s ON s.device = $1::bigint AND s.number = $2::bigint",
      {std::to_string(device.id), std::to_string(request.number)});
  if (!rows) return pass(rows, "sync.session");
  if (rows->size() != 1) return fail(ErrorCode::kUnavailable, phrase("sync: the feed has no position yet"));
  Told told{std::nullopt, false, std::string(rows->text(0, 0)), Csn{parse_u64(rows->text(0, 1)).value_or(0)}};
  if (!rows->null(0, 3) && rows->text(0, 3) == hash) {
    told.reply = std::string(rows->text(0, 4));
  } else {
    told.copied = !rows->null(0, 2) && parse_u64(rows->text(0, 2)).value_or(0) >= request.number;
  }
  return told;
}

/// The caller has the secret of a device whose number was used for something else: its database is a copy, or was taken back to an earlier state. It goes on as a device of its own.
Result<DeviceAnswer> DeviceService::split(const DeviceIdentity& device, const std::string& hash, const std::string& address) {
  auto made = directory_.split(device, hash, address);
  if (!made) return pass(made);
  auto answer = error_answer(make_error(ErrorCode::kAlreadyExists, phrase("sync of {}: the device's database was copied or taken back", device.name), phrase("It goes on as a device of its own.")));
  auto body = boost::json::parse(answer.body);
  body.as_object()["split"] = boost::json::object{{"device", made->device}, {"secret", made->secret}};
  answer.body = boost::json::serialize(body);
  return answer;
}

Result<DeviceAnswer> DeviceService::sync(const DeviceCall& call, const DeviceIdentity& device, const std::string& address) {
  auto request = decode_sync_request(call.body);
  if (!request) return pass(request);
  const auto hash = os::blake2b_hex(call.body);
  auto told = told_before(device, *request, hash);
  if (!told) return pass(told);
  if (told->reply) return DeviceAnswer{200, std::move(*told->reply)};
  if (told->copied) return split(device, hash, address);
  if (!request->history.empty() && request->history != told->history) {
    SyncReply moved_on;
    moved_on.number = request->number;
    moved_on.history = told->history;
    moved_on.csn = told->csn;
    moved_on.again = true;
    return DeviceAnswer{200, encode(moved_on)};
  }
  end_writing(device.id);
  {
    const std::scoped_lock lock(mutex_);
    if (const auto place = admission_.still_waits(device.id, surroundings_.clock.now())) return in_line(admission_, *place);
  }
  auto prepared = bind_all(device, request->set);
  if (!prepared) return pass(prepared);
  {
    auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
    if (!mid_tier) return pass(mid_tier);
    auto taken = take_upload(**mid_tier, device, *request, prepared->bounds, told->history);
    if (!taken && taken.error().code == ErrorCode::kAlreadyExists) return split(device, hash, address);
    if (!taken) return pass(taken);
  }
  Settlement settlement(surroundings_, device, prepared->bounds, prepared->not_now);
  if (auto settled = settlement.run(Deadline::in(surroundings_.clock, settings_.source_patience)); !settled) return pass(settled);
  return prepare(device, *request, hash, *prepared, told->history);
}

Result<Bound> DeviceService::bound_of(const DeviceIdentity& device, const std::string& subscription) {
  auto prepared = bind_all(device, {});
  if (!prepared) return pass(prepared);
  const auto bound = std::ranges::find_if(prepared->bounds, [&](const Bound& each) { return each.rule.name == subscription; });
  if (bound == prepared->bounds.end() || !bound->down()) return fail(ErrorCode::kForbidden, phrase("device {} has no subscription {}", device.id, subscription));
  return std::move(*bound);
}

Result<std::uint64_t> DeviceService::tidy_files() {
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  return folders_.tidy(**mid_tier, kKeptFor);
}

Result<DeviceService::HeldRow> DeviceService::held(std::uint64_t id, const std::string& subscription, const std::string& key) {
  auto device = directory_.device(id);
  if (!device) return pass(device);
  if (!*device) return fail(ErrorCode::kNotFound, phrase("there is no device {} that may sync", id));
  auto prepared = bind_all(**device, {});
  if (!prepared) return pass(prepared);
  const auto bound = std::ranges::find_if(prepared->bounds, [&](const Bound& each) { return each.rule.name == subscription; });
  if (bound == prepared->bounds.end() || !bound->down()) return fail(ErrorCode::kNotFound, phrase("device {} has no subscription {}", id, subscription));
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  auto rows = (*mid_tier)->query(
      fmt::format("SELECT s.verbund_csn, coalesce(({}), false), h.csn, h.history = p.history_id AND h.shape = $4, (extract(epoch FROM h.acknowledged) * 1000000)::bigint,"
                  " EXISTS (SELECT FROM sync.moved m WHERE m.subscription = $2 AND m.bucket = $5::text[] AND m.key = $3 AND m.csn > h.csn)"
                  " FROM feed.position p LEFT JOIN sync.held h ON h.device = $1::bigint AND h.subscription = $2 LEFT JOIN {} s ON s.verbund_key = $3",
                  bound->condition("s"), bound->shadow()),
      {std::to_string(id), subscription, key, bound->shape, array_parameter(bound->bucket)});
  if (!rows) return pass(rows, phrase("subscription {}", subscription));
  if (rows->size() != 1) return fail(ErrorCode::kUnavailable, phrase("sync: the feed has no position yet"));
  HeldRow found;
  found.version = Csn{parse_u64(rows->text(0, 0)).value_or(0)};
  if (rows->null(0, 2)) return found;
  found.cursor = Csn{parse_u64(rows->text(0, 2)).value_or(0)};
  found.acknowledged = WallTime{microseconds{static_cast<std::int64_t>(parse_u64(rows->text(0, 4)).value_or(0))}};
  const bool inside = !rows->null(0, 0) && rows->text(0, 1) == "t", moved = rows->text(0, 5) == "t";
  using What = HeldRow::What;
  if (rows->text(0, 3) != "t") found.what = What::kUnknown;
  else if (inside) found.what = found.version <= *found.cursor && !moved ? What::kCurrent : What::kOlder;
  else found.what = moved ? What::kLeaves : What::kNone;
  return found;
}

Status DeviceService::settle_waiting() {
  std::vector<std::uint64_t> waiting;
  {
    auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
    if (!mid_tier) return pass(mid_tier);
    auto rows = (*mid_tier)->query("SELECT DISTINCT device FROM sync.change WHERE state IN ('accepted', 'applying') ORDER BY device");
    if (!rows) return pass(rows, "sync.change");
    for (int row = 0; row < rows->size(); ++row) waiting.push_back(parse_u64(rows->text(row, 0)).value_or(0));
  }
  for (const auto id : due(waiting)) {
    auto device = directory_.device(id);
    if (!device) return pass(device);
    if (!*device) continue;
    {
      const std::scoped_lock lock(mutex_);
      if (!busy_.insert(id).second) continue;
    }
    if (auto settled = settle_one(**device); !settled) surroundings_.log.warning("sync.waiting_not_settled", {{"device", id}, {"error", settled.error().message}});
    const std::scoped_lock lock(mutex_);
    busy_.erase(id);
  }
  return {};
}

/// Of those, whose turn it is: less and less often while nothing changes for them.
std::vector<std::uint64_t> DeviceService::due(const std::vector<std::uint64_t>& waiting) {
  const auto now = surroundings_.clock.now();
  const std::scoped_lock lock(mutex_);
  std::erase_if(patience_, [&](const auto& entry) { return std::ranges::find(waiting, entry.first) == waiting.end(); });
  std::vector<std::uint64_t> due;
  for (const auto id : waiting) {
    auto& patience = patience_[id];
    if (now < patience.next) continue;
    patience.pause = std::clamp(patience.pause * 2, kShortestPause, kLongestPause);
    patience.next = now + patience.pause;
    due.push_back(id);
  }
  return due;
}

Status DeviceService::settle_one(const DeviceIdentity& device) {
  auto prepared = bind_all(device, {});
  if (!prepared) return pass(prepared);
  Settlement settlement(surroundings_, device, prepared->bounds, prepared->not_now);
  return settlement.run(Deadline::in(surroundings_.clock, settings_.source_patience));
}

Result<DeviceAnswer> DeviceService::block(const std::vector<std::string>& path, const DeviceIdentity& device) {
  auto number = number_of(path[1]);
  auto at = block_of(path[3]);
  if (!number) return pass(number);
  if (!at) return pass(at);
  std::shared_ptr<Writing> writing;
  {
    std::unique_lock lock(mutex_);
    const auto found = writing_.find(device.id);
    if (found != writing_.end() && found->second->number == *number) writing = found->second;
    const auto ready = [&] { return writing->over || writing->blocks[path[2]] > *at; };
    if (writing && !changed_.wait_for(lock, settings_.block_patience, ready)) return DeviceAnswer{202, "{}"};
    if (writing) {
      const auto failed = writing->failed.find(path[2]);
      if (failed != writing->failed.end()) return std::unexpected(failed->second);
    }
  }
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  auto rows = (*mid_tier)->query("SELECT content FROM sync.output WHERE device = $1::bigint AND number = $2::bigint AND subscription = $3 AND block = $4::integer"
                                 " UNION ALL SELECT b.content FROM sync.output_stock o JOIN sync.stock_block b ON b.stock = o.stock"
                                 " WHERE o.device = $1::bigint AND o.number = $2::bigint AND o.subscription = $3 AND b.block = $4::integer",
                                 {std::to_string(device.id), std::to_string(*number), path[2], std::to_string(*at)});
  if (!rows) return pass(rows, "sync.output");
  if (rows->size() == 0) {
    return fail(ErrorCode::kSnapshotNeeded, phrase("sync {} of {}: block {} of {} is not there any more", *number, device.name, *at, path[2]), phrase("Begin another sync."));
  }
  auto content = value_of(Kind::kBytes, rows->text(0, 0));
  if (!content) return pass(content);
  return DeviceAnswer{200, std::move(std::get<Blob>(*content).bytes)};
}

}  // namespace verbund::sync::server
