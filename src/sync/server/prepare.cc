// How a sync is answered: what is small within the call, all rows of a subscription behind it.
#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/messages.h"
#include "sync/server/watch.h"
#include "sync/server/writing.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

constexpr seconds kDatabaseWait{10};
constexpr seconds kWatchesKnownFor{2};
/// Where everything is answered from. What has changed is found along indexes, whatever the statistics of a table say that was filled a moment ago: a look at every row
/// costs a hundred times more.
constexpr std::string_view kStand = "SELECT history_id, csn, set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),"
                                    " set_config('max_parallel_workers_per_gather', '0', true) FROM feed.position";
constexpr std::string_view kSyncsKept = "10";

Session session_of(const Bound& bound) {
  const auto& rule = bound.rule;
  const bool up = rule.kind == SubscriptionKind::kUpload || rule.direction != Direction::kDown;
  const bool changes = up && rule.kind == SubscriptionKind::kReplication;
  return {.mode = Session::Mode::kNothing, .subscription = rule.name, .shape = bound.shape, .layout = bound.layout, .may_read = bound.down(), .may_insert = up && rule.rights.insert,
          .may_update = changes && rule.rights.update, .may_delete = changes && rule.rights.remove, .error = {}, .message = {}};
}

BlockSink into_output(Connection& connection, std::uint64_t device, std::uint64_t number, const std::string& subscription) {
  return [&connection, device, number, subscription](const BlockHead& head, const std::string& block) -> Status {
    auto hex = text_of(Kind::kBytes, Value{Blob{block}});
    auto done = connection.query("INSERT INTO sync.output (device, number, subscription, block, rows, content) VALUES ($1::bigint, $2::bigint, $3, $4::integer, $5::integer, $6::bytea)",
                                 {std::to_string(device), std::to_string(number), subscription, std::to_string(head.number), std::to_string(head.rows), std::move(*hex)});
    if (!done) return pass(done, "sync.output");
    return {};
  };
}

/// Devices that come by themselves don't come all at once.
milliseconds next_time(seconds every, const DeviceIdentity& device, std::uint64_t number) {
  constexpr std::uint64_t kSpread = 60'000;
  return every + milliseconds{static_cast<std::int64_t>((device.id * 7'919 + number * 104'729) % kSpread)};
}

/// One transaction, in as few round trips as the connection allows.
Status all_or_nothing(Connection& mid_tier, std::span<const postgres::Statement> statements) {
  if (statements.size() <= Connection::kMaxPipelined) {
    if (auto done = mid_tier.run(statements); !done) return pass(done);
    return {};
  }
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction);
  while (!statements.empty()) {
    const auto some = statements.first(std::min(statements.size(), Connection::kMaxPipelined));
    if (auto done = mid_tier.run(some); !done) return pass(done);
    statements = statements.subspan(some.size());
  }
  return transaction->commit();
}

Status note_session(Connection& connection, const DeviceIdentity& device, const SyncRequest& request, const std::string& hash, const SyncReply& reply, const std::string& text,
                    const std::vector<Bound>& bounds) {
  boost::json::object buckets;
  for (const auto& bound : bounds) buckets[bound.rule.name] = boost::json::array(bound.bucket.begin(), bound.bucket.end());
  const postgres::Statement statements[] = {
      {"INSERT INTO sync.session (device, number, request_hash, history, csn, reply, buckets) VALUES ($1::bigint, $2::bigint, $3, $4, $5::bigint, $6, $7)",
       {std::to_string(device.id), std::to_string(request.number), hash, reply.history, std::to_string(reply.csn.value), text, boost::json::serialize(buckets)}},
      {"DELETE FROM sync.session WHERE device = $1::bigint AND number <= (SELECT number FROM sync.session WHERE device = $1::bigint ORDER BY number DESC OFFSET $2::integer LIMIT 1)",
       {std::to_string(device.id), std::string(kSyncsKept)}}};
  if (auto noted = connection.run(statements); !noted) return pass(noted, "sync.session");
  return {};
}

postgres::Statement note_held(const std::string& device, const SyncReply& reply, const Session& session, const boost::json::value& buckets) {
  std::vector<std::string> bucket;
  const auto* found = buckets.is_object() ? buckets.get_object().if_contains(session.subscription) : nullptr;
  if (found != nullptr && found->is_array()) {
    for (const auto& value : found->get_array()) bucket.emplace_back(value.is_string() ? std::string(value.get_string()) : std::string());
  }
  return {"INSERT INTO sync.held (device, subscription, csn, history, shape, bucket) VALUES ($1::bigint, $2, $3::bigint, $4, $5, $6::text[])"
          " ON CONFLICT (device, subscription) DO UPDATE SET csn = excluded.csn, history = excluded.history, shape = excluded.shape, bucket = excluded.bucket, acknowledged = now()",
          {device, session.subscription, std::to_string(reply.csn.value), reply.history, session.shape, array_parameter(bucket)}};
}

/// Decisions whose subscription the device has not applied are told again: the right row comes with them.
postgres::Statement note_told(const std::string& device, const std::string& number, const SyncReply& reply, const AckRequest& request) {
  std::vector<std::string> uploads, rows;
  for (const auto& outcome : reply.outcomes) {
    if (outcome.state == Outcome::State::kWaiting || std::ranges::find(request.sessions, outcome.subscription) == request.sessions.end()) continue;
    uploads.push_back(std::to_string(outcome.upload));
    rows.push_back(std::to_string(outcome.row));
  }
  return {"UPDATE sync.change c SET told_sync = $2::bigint FROM unnest($3::bigint[], $4::integer[]) AS told(upload, row)"
          " WHERE c.device = $1::bigint AND c.upload = told.upload AND c.row = told.row AND c.told_sync IS NULL",
          {device, number, array_parameter(uploads), array_parameter(rows)}};
}

/// Whether the device goes on from its cursor.
bool goes_on(const Bound& bound, const DeviceCursor* cursor, const SyncRequest& request, const std::string& history, Csn since) {
  return cursor != nullptr && cursor->shape == bound.shape && request.history == history && cursor->csn.value > 0 && cursor->csn >= since;
}

const DeviceCursor* cursor_of(const SyncRequest& request, const std::string& subscription) {
  const auto found = std::ranges::find(request.cursors, subscription, &DeviceCursor::subscription);
  return found == request.cursors.end() ? nullptr : &*found;
}

/// Up to which number the device need not keep its uploads: they are decided, and the log that says so is on the mirror's disk, or there is no mirror. A slot says it also while the
/// mirror is away; one that was made anew, behind log that is kept for the mirror elsewhere, says too much: `heard`, what the mirror has said itself, bounds it.
Result<std::uint64_t> safe_upload(Connection& mid_tier, std::uint64_t device, std::optional<Lsn> heard) {
  const auto id = std::to_string(device);
  const postgres::Statement statements[] = {
      {"UPDATE sync.upload u SET decided_lsn = pg_current_wal_insert_lsn() WHERE u.device = $1::bigint AND u.decided_lsn IS NULL"
       " AND NOT EXISTS (SELECT FROM sync.change c WHERE c.device = u.device AND c.upload = u.upload AND c.state IN ('accepted', 'applying'))",
       {id}},
      {"WITH mirror AS (SELECT least(min(coalesce(restart_lsn, '0/0')), $2::pg_lsn) AS lsn FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary),"
       " own AS (SELECT u.upload, u.decided_lsn IS NOT NULL AND (m.lsn IS NULL OR u.decided_lsn <= m.lsn) AS safe FROM sync.upload u, mirror m WHERE u.device = $1::bigint)"
       " SELECT coalesce((SELECT min(upload) - 1 FROM own WHERE NOT safe), (SELECT max(upload) FROM own), 0)",
       {id, heard ? postgres::Parameter(to_string(*heard)) : postgres::Parameter(std::nullopt)}}};
  auto rows = mid_tier.run(statements);
  if (!rows) return pass(rows, "sync.upload");
  return parse_u64((*rows)[1].text(0, 0)).value_or(0);
}

}  // namespace

void DeviceService::end_writing(std::uint64_t device) {
  std::shared_ptr<Writing> gone;  // it may be the last who knows it; what it gives back takes the mutex
  const std::scoped_lock lock(mutex_);
  const auto found = writing_.find(device);
  if (found == writing_.end()) return;
  found->second->unwanted = true;
  gone = std::move(found->second);
  writing_.erase(found);
}

/// Whether triggers and indexes still stand is looked at now and then: it costs more than all else of a sync that has nothing to do.
Result<Csn> DeviceService::watch(Connection& mid_tier, const Bound& bound) {
  std::unique_lock lock(mutex_);
  const auto looked = looked_at_.find(bound.rule.name);
  const bool lately = looked != looked_at_.end() && surroundings_.clock.now() - looked->second < kWatchesKnownFor;
  lock.unlock();
  if (lately) {
    auto known = watched_since(mid_tier, bound);
    if (!known) return pass(known);
    if (*known) return **known;
  }
  auto kept = keep_watch(mid_tier, bound);
  lock.lock();
  if (kept) looked_at_[bound.rule.name] = surroundings_.clock.now();
  return kept;
}

/// Watches before the snapshot: a departure that the snapshot does not see is known to the next one.
Result<std::map<std::string, Csn>> DeviceService::watch_all(Connection& mid_tier, const Prepared& prepared) {
  std::map<std::string, Csn> since;
  for (const auto& bound : prepared.bounds) {
    if (!bound.down()) continue;
    auto watched = watch(mid_tier, bound);
    if (!watched) return pass(watched);
    since[bound.rule.name] = *watched;
  }
  return since;
}

/// Opens the snapshot from which all sessions are answered.
Result<SyncReply> DeviceService::stand(Writing& writing, const SyncRequest& request) {
  auto lease = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!lease) return pass(lease);
  writing.lease.emplace(std::move(*lease));
  auto snapshot = (*writing.lease)->begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!snapshot) return pass(snapshot);
  writing.snapshot.emplace(std::move(*snapshot));
  auto rows = (*writing.lease)->query(kStand);
  if (!rows) return pass(rows, "feed.position");
  if (rows->size() != 1) return fail(ErrorCode::kUnavailable, phrase("sync: the feed has no position yet"));
  SyncReply reply;
  reply.number = request.number;
  reply.history = std::string(rows->text(0, 0));
  reply.csn = Csn{parse_u64(rows->text(0, 1)).value_or(0)};
  reply.next_in = next_time(settings_.background_every, writing.device, request.number);
  if (settings_.servers) reply.servers = settings_.servers();
  if (reply.servers.size() > kMaxServers) reply.servers.resize(kMaxServers);
  return reply;
}

/// Sessions whose device goes on from its cursor are written here; those that begin anew are noted for later.
Status DeviceService::write_changes(Connection& outbox, Writing& writing, const SyncRequest& request, const Prepared& prepared, const std::map<std::string, Csn>& since, SyncReply& reply) {
  if (request.more) return {};
  for (const auto& bound : prepared.bounds) {
    auto session = session_of(bound);
    const auto& name = bound.rule.name;
    const auto* cursor = cursor_of(request, name);
    if (bound.down() && !(goes_on(bound, cursor, request, reply.history, since.at(name)) && cursor->csn <= reply.csn)) {
      // It may have most of it all the same: a longer absence than is known, a server that was set back, another filter.
      const bool alike = cursor != nullptr && same_rows(cursor->shape, bound.shape);
      auto ask = alike && !cursor->sums ? has_rows(**writing.lease, bound, settings_.repair_from) : Result<bool>(false);
      if (!ask) return pass(ask);
      session.mode = *ask ? Session::Mode::kSums : alike && cursor->sums ? Session::Mode::kRepair : Session::Mode::kRefresh;
      if (!*ask) writing.begun.push_back({bound, session.mode == Session::Mode::kRepair ? cursor->sums : std::nullopt, since.at(name)});
    } else if (bound.down()) {
      auto blocks = write_rows(**writing.lease, writing.device.id, {&bound, *cursor, false}, into_output(outbox, writing.device.id, request.number, name));
      if (!blocks) return pass(blocks);
      if (*blocks > 0) session.mode = Session::Mode::kDelta;
    }
    reply.sessions.push_back(std::move(session));
  }
  const auto set = writing.begun.empty() ? Status{} : (*writing.lease)->execute("RESET enable_seqscan; RESET enable_hashjoin; RESET enable_mergejoin; RESET max_parallel_workers_per_gather");
  if (!set) return set;
  reply.sessions.insert(reply.sessions.end(), prepared.failed.begin(), prepared.failed.end());
  return {};
}

DeviceAnswer in_line(const Admission& admission, std::size_t place) {
  return {202, boost::json::serialize(boost::json::object{{"place", place}, {"retry_ms", admission.ask_again_in(place).count()}})};
}

Result<bool> DeviceService::begins_with_much(Connection& mid_tier, const SyncRequest& request, const Prepared& prepared, const std::map<std::string, Csn>& since, const std::string& history) {
  for (const auto& bound : prepared.bounds) {
    if (request.more || !bound.down() || goes_on(bound, cursor_of(request, bound.rule.name), request, history, since.at(bound.rule.name))) continue;
    auto much = has_rows(mid_tier, bound, settings_.much_from);
    if (!much || *much) return much;
  }
  return false;
}

Status DeviceService::add_lease(const DeviceIdentity& device, SyncReply& reply) {
  auto rules = directory_.rules();
  if (!rules) return pass(rules);
  const auto* user = (*rules)->rules.user(device.user);
  const auto* group = user == nullptr ? nullptr : (*rules)->rules.group(user->group);
  if (group == nullptr || group->lease_days == 0) return {};
  auto keys = directory_.lease_keys(device);
  if (!keys) return pass(keys);
  reply.lease = std::chrono::days{static_cast<std::int64_t>(group->lease_days)};
  reply.lease_key = std::move(keys->open);
  return {};
}

Result<DeviceAnswer> DeviceService::prepare(const DeviceIdentity& device, const SyncRequest& request, const std::string& hash, Prepared& prepared, const std::string& history) {
  auto outbox = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!outbox) return pass(outbox);
  auto since = watch_all(**outbox, prepared);
  if (!since) return pass(since);
  auto much = begins_with_much(**outbox, request, prepared, *since, history);
  if (!much) return pass(much);
  auto writing = std::make_shared<Writing>();
  if (*much) {
    const std::scoped_lock lock(mutex_);
    if (const auto place = admission_.ask(device.id, surroundings_.clock.now())) return in_line(admission_, *place);
    // Given back by the thread that writes, or with `writing` when it comes to nothing.
    writing->turn = std::shared_ptr<void>(nullptr, [this, id = device.id](void*) {
      const std::scoped_lock again(mutex_);
      admission_.over(id, surroundings_.clock.now());
    });
  }
  writing->device = device;
  writing->number = request.number;
  auto reply = stand(*writing, request);
  if (!reply) return pass(reply);
  writing->history = reply->history;
  writing->csn = reply->csn;
  auto transaction = (*outbox)->begin();
  if (!transaction) return pass(transaction);
  auto cleared = (*outbox)->query("WITH stocks AS (DELETE FROM sync.output_stock WHERE device = $1::bigint) DELETE FROM sync.output WHERE device = $1::bigint", {std::to_string(device.id)});
  if (!cleared) return pass(cleared, "sync.output");
  if (auto written = write_changes(**outbox, *writing, request, prepared, *since, *reply); !written) return pass(written);
  auto outcomes = outcomes_of(**writing->lease, device.id);
  if (!outcomes) return pass(outcomes);
  reply->outcomes = std::move(*outcomes);
  if (request.keeps || request.upload != 0) {
    auto safe = safe_upload(**outbox, device.id, settings_.mirror_has ? settings_.mirror_has() : std::nullopt);
    if (!safe) return pass(safe);
    reply->safe_upload = *safe;
  }
  if (auto added = add_lease(device, *reply); !added) return pass(added);
  if (!request.more) reply->folders = prepared.folders;
  auto text = encode(*reply);
  if (auto noted = note_session(**outbox, device, request, hash, *reply, text, prepared.bounds); !noted) return pass(noted);
  if (auto committed = transaction->commit(); !committed) return pass(committed);
  if (writing->begun.empty()) return DeviceAnswer{200, std::move(text)};
  {
    const std::scoped_lock lock(mutex_);
    writing_[device.id] = writing;
  }
  auto submitted = writers_->submit([this, writing] { write_all(writing); });
  if (submitted) return DeviceAnswer{200, std::move(text)};
  end_writing(device.id);
  return pass(submitted);
}

/// Blocks of one subscription, each there for the device as soon as it is full.
Status DeviceService::write_one(const std::shared_ptr<Writing>& writing, const Begun& begun) {
  auto outbox = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!outbox) return pass(outbox);
  // What is lost with the server's power is written again: the device asks, and is told that it is gone.
  if (auto relaxed = (*outbox)->execute("SET synchronous_commit = off"); !relaxed) return relaxed;
  auto written = write_begun(**outbox, *writing, begun);
  auto strict = (*outbox)->execute("RESET synchronous_commit");
  return written ? strict : written;
}

/// Each block that `keep` has is told to the device.
BlockSink DeviceService::told(Writing& writing, const std::string& name, BlockSink keep) {
  return [this, &writing, name, keep = std::move(keep)](const BlockHead& head, std::string block) -> Status {
    if (writing.unwanted) return fail(ErrorCode::kCancelled, phrase("sync: the device has begun another one"));
    if (auto kept = keep(head, std::move(block)); !kept) return kept;
    const std::scoped_lock lock(mutex_);
    writing.blocks[name] = head.number + 1;
    changed_.notify_all();
    return {};
  };
}

/// A stock that somebody else has left here, or one that is written for this device and for others; where neither goes, blocks of its own.
Status DeviceService::write_begun(Connection& outbox, Writing& writing, const Begun& begun) {
  const auto& bound = begun.bound;
  const auto& name = bound.rule.name;
  const auto own = told(writing, name, into_output(outbox, writing.device.id, writing.number, name));
  const auto alone = [&] {
    auto written = write_rows(**writing.lease, writing.device.id, {.bound = &bound, .cursor = {}, .refresh = true, .sums = begun.sums}, own);
    return written ? Status{} : pass(written);
  };
  if (begun.sums) return alone();
  auto many = has_rows(**writing.lease, bound, settings_.stock_from);
  if (!many) return pass(many);
  if (!*many) return alone();
  const auto shape = stock_shape(bound);
  auto found = find_stock(outbox, shape, writing.history, begun.since, writing.csn);
  if (!found) return pass(found);
  auto like = is_like_everybody(outbox, writing.device.id, bound, *found ? (*found)->csn : writing.csn);
  if (!like) return pass(like);
  if (!*like) return alone();
  Stock stock;
  if (*found) {
    stock = **found;
    if (auto referred = refer_to_stock(outbox, writing.device.id, writing.number, name, stock.id); !referred) return referred;
    const std::scoped_lock lock(mutex_);
    writing.blocks[name] = stock.blocks;
    changed_.notify_all();
  } else {
    std::unique_lock turn(mutex_);
    const bool first = stocking_.insert(shape).second;
    turn.unlock();
    if (!first) return alone();  // nobody waits for another one's device
    auto made = make_stock(outbox, writing, bound, shape);
    const std::scoped_lock lock(mutex_);
    stocking_.erase(shape);
    if (!made) return pass(made);
    stock = *made;
  }
  Wanted since{.bound = &bound, .cursor = {name, stock.csn, bound.shape}, .refresh = false, .sums = {}, .first = stock.blocks};
  auto written = write_rows(**writing.lease, writing.device.id, since, own);
  return written ? Status{} : pass(written);
}

Result<Stock> DeviceService::make_stock(Connection& outbox, Writing& writing, const Bound& bound, const std::string& shape) {
  const auto& name = bound.rule.name;
  auto id = begin_stock(outbox, shape, writing.history, writing.csn);
  if (!id) return pass(id);
  Status done = refer_to_stock(outbox, writing.device.id, writing.number, name, *id);
  Result<std::uint32_t> blocks = 0U;
  if (done) blocks = write_rows(**writing.lease, writing.device.id, {.bound = &bound, .cursor = {}, .refresh = true, .sums = {}, .first = 0, .more = true}, told(writing, name, into_stock(outbox, *id)));
  if (!blocks) done = pass(blocks);
  if (done) done = finish_stock(outbox, *id, *blocks);
  if (done) return Stock{*id, writing.csn, *blocks};
  if (auto dropped = drop_stock(outbox, *id); !dropped) surroundings_.log.warning("sync.stock_not_dropped", {{"stock", *id}, {"error", dropped.error().message}});
  return pass(done);
}

/// On a thread of its own, one subscription after the other, all from the one snapshot.
void DeviceService::write_all(const std::shared_ptr<Writing>& writing) {
  for (const auto& begun : writing->begun) {
    if (writing->unwanted) break;
    auto written = write_one(writing, begun);
    if (written || writing->unwanted) continue;
    const auto& name = begun.bound.rule.name;
    surroundings_.log.warning("sync.refresh_failed", {{"device", writing->device.id}, {"subscription", name}, {"error", written.error().message}});
    const std::scoped_lock lock(mutex_);
    writing->failed.emplace(name, written.error());
    changed_.notify_all();
  }
  writing->snapshot.reset();
  writing->lease.reset();
  writing->turn.reset();
  const std::scoped_lock lock(mutex_);
  writing->over = true;
  changed_.notify_all();
}

Result<DeviceAnswer> DeviceService::acknowledge(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device) {
  auto request = decode_ack_request(call.body);
  if (!request) return pass(request);
  auto mid_tier = surroundings_.mid_tier.acquire(Deadline::in(surroundings_.clock, kDatabaseWait));
  if (!mid_tier) return pass(mid_tier);
  const auto id = std::to_string(device.id);
  auto rows = (*mid_tier)->query("SELECT reply, buckets, acknowledged IS NOT NULL FROM sync.session WHERE device = $1::bigint AND number = $2::bigint", {id, path[1]});
  if (!rows) return pass(rows, "sync.session");
  if (rows->size() == 0) return fail(ErrorCode::kNotFound, phrase("sync {} of {}: there was none, or it is long ago", path[1], device.name));
  // Once: what came after it must not be undone by the same acknowledgement that the network delivers again.
  if (rows->text(0, 2) == "t") return DeviceAnswer{200, "{}"};
  auto reply = decode_sync_reply(rows->text(0, 0));
  if (!reply) return pass(reply);
  boost::system::error_code failed;
  const auto buckets = boost::json::parse(rows->text(0, 1), failed);
  std::vector<postgres::Statement> statements{note_told(id, path[1], *reply, *request)};
  for (const auto& session : reply->sessions) {
    if (std::ranges::find(request->sessions, session.subscription) != request->sessions.end()) statements.push_back(note_held(id, *reply, session, failed ? boost::json::value() : buckets));
  }
  for (const auto* statement : {"UPDATE sync.session SET acknowledged = coalesce(acknowledged, now()) WHERE device = $1::bigint AND number = $2::bigint",
                                "WITH stocks AS (DELETE FROM sync.output_stock WHERE device = $1::bigint AND number = $2::bigint) DELETE FROM sync.output WHERE device = $1::bigint AND number = $2::bigint"}) {
    statements.push_back({statement, {id, path[1]}});
  }
  if (auto done = all_or_nothing(**mid_tier, statements); !done) return pass(done, phrase("sync {} of {}", path[1], device.name));
  end_writing(device.id);
  return DeviceAnswer{200, "{}"};
}

}  // namespace verbund::sync::server
