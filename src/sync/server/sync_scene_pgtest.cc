#include "sync/server/sync_scene.h"

#include <set>

#include <gtest/gtest.h>

#include "platform/os/random.h"
#include "sync/server/migrations.h"

namespace verbund::sync::server::testing_scene {

Result<DeviceIdentity> ListedDirectory::authenticate(std::string_view authorization, const std::string&) {
  if (refuses) return fail(*refuses, "as the test wants it");
  auto id = authorization.substr(authorization.find(' ') + 1);
  id = id.substr(0, id.find(':'));
  const auto found = devices.find(parse_u64(id).value_or(0));
  if (found == devices.end()) return fail(ErrorCode::kUnauthenticated, "no such device");
  return found->second;
}

Result<std::optional<DeviceIdentity>> ListedDirectory::device(std::uint64_t id) {
  const auto found = devices.find(id);
  if (found == devices.end()) return std::nullopt;
  return found->second;
}

/// Each table is a record type of its own here.
Result<RecordLocks::Taken> ListedLocks::take(postgres::Connection&, std::uint64_t author, const DeviceIdentity&, const SourceTable& table, const std::vector<Row>& rows) {
  std::set<std::string> keys;
  for (const auto& row : rows) {
    std::string key = table.name + "/";
    for (const auto place : table.key) key += row.at(table.columns[place].name).value_or("");
    keys.insert(key);
  }
  const std::scoped_lock lock(mutex_);
  for (const auto& key : keys) {
    if (held.contains(key)) return Taken{false, "annaPC", {}};
    for (const auto& [other, its] : taken) {
      if (other != author && its.contains(key)) return Taken{false, "another device", {}};
    }
  }
  taken[author].insert(keys.begin(), keys.end());
  return Taken{};
}

void ListedLocks::release(std::uint64_t author, Lsn written) {
  const std::scoped_lock lock(mutex_);
  const auto found = taken.find(author);
  if (found == taken.end()) return;
  released.push_back(found->second);
  if (written.value > 0) ++released_with_writes;
  taken.erase(found);
}

Result<EnrolReply> ListedDirectory::enrol(const EnrolRequest& request, const std::string&) {
  const auto id = devices.size() + 1;
  devices[id] = {id, request.name, request.code, 1};
  return EnrolReply{std::to_string(id), "secret", request.code};
}

Result<EnrolReply> ListedDirectory::split(const DeviceIdentity& device, const std::string& call, const std::string&) {
  const auto known = splits.find(call);
  const auto id = known == splits.end() ? devices.size() + 1 : known->second;
  splits[call] = id;
  devices[id] = {id, device.name, device.user, device.generation, device.id};
  return EnrolReply{std::to_string(id), "secret", device.user};
}

SyncScene::SyncScene(std::string_view more, std::vector<std::string> capture) {
  if (!more.empty()) sql(more);
  office_.settings().capture = std::move(capture);
  office_.settings().rest_per_transaction = milliseconds{0};
  const postgres::MigrationSet sets[] = {migrations()};
  if (auto migrated = postgres::migrate(office_.mid_tier(), sets, log_); !migrated) throw std::runtime_error(migrated.error().message);
  office_.start();
  mid_tier_ = std::make_unique<postgres::Pool>(office_.settings().mid_tier, 12, clock_);
  source_ = std::make_unique<postgres::Pool>(office_.settings().source, 6, clock_);
  directory_.in_force->rules.groups = {{"staff", {"all"}, {}}};
  directory_.in_force->rules.sets = {{"all", {}}};
  restart_service();
}

SyncScene::~SyncScene() { service_.reset(); }

void SyncScene::restart_service() {
  service_.reset();
  service_ = std::make_unique<DeviceService>(settings_, SettleSurroundings{*mid_tier_, *source_, progress_, &locks_, clock_, log_}, directory_);
}

bool SyncScene::Progress::wait_until_passed(Lsn lsn, Deadline deadline) {
  while (office_.feed().passed() < lsn) {
    if (deadline.passed(os::SystemClock{})) return false;
    std::this_thread::sleep_for(milliseconds{1});
  }
  return true;
}

Subscription& SyncScene::subscribe(const std::string& table, const Filter& filter) {
  auto& rules = directory_.in_force->rules;
  Subscription rule;
  rule.name = table + "s";
  rule.table = table;
  rule.filter = filter;
  rule.rights = {true, true, true, true};
  rules.subscriptions.push_back(rule);
  rules.sets.front().subscriptions.push_back(rule.name);
  directory_.in_force->versions[rule.name] = 1;
  return rules.subscriptions.back();
}

void SyncScene::user(const std::string& name, const std::map<std::string, std::string>& parameters) {
  directory_.in_force->rules.users.push_back({name, "staff", parameters, false});
}

std::uint64_t SyncScene::device(const std::string& user) {
  const auto id = directory_.devices.size() + 1;
  directory_.devices[id] = {id, "device " + std::to_string(id), user, 1};
  return id;
}

void ModelDevice::insert(const std::string& table, const Row& row) {
  std::string key;
  for (const auto& [subscription, layout] : layouts_) {
    if (layout.table == table) key = row.at(layout.columns[layout.key.front()].name).value();
  }
  const auto known = pending_[table].find(key);
  if (known != pending_[table].end() && known->second.op == UpRow::Op::kDelete) {
    known->second.op = UpRow::Op::kUpdate;
  } else {
    pending_[table][key] = {UpRow::Op::kInsert, Csn{}, {}};
  }
  auto& whole = tables[table][key];
  for (const auto& [subscription, layout] : layouts_) {
    if (layout.table != table) continue;
    for (const auto& column : layout.columns) whole[column.name] = row.contains(column.name) ? row.at(column.name) : std::nullopt;
  }
}

void ModelDevice::update(const std::string& table, const std::string& key, const Row& changed) {
  auto& row = tables.at(table).at(key);
  if (!pending_[table].contains(key)) {
    Csn base;
    for (const auto& [subscription, layout] : layouts_) {
      if (layout.table == table) base = cursors_[subscription].csn;
    }
    pending_[table][key] = {UpRow::Op::kUpdate, base, row};
  }
  for (const auto& [column, value] : changed) row[column] = value;
}

void ModelDevice::remove(const std::string& table, const std::string& key) {
  update(table, key, {});
  auto& pending = pending_[table][key];
  if (pending.op == UpRow::Op::kInsert) {
    pending_[table].erase(key);
  } else {
    pending.op = UpRow::Op::kDelete;
  }
  tables.at(table).erase(key);
}

std::optional<std::string> ModelDevice::value(const std::string& table, const std::string& key, const std::string& column) const {
  const auto found = tables.find(table);
  if (found == tables.end() || !found->second.contains(key)) return "(none)";
  return found->second.at(key).at(column);
}

Result<DeviceAnswer> ModelDevice::call(std::string method, std::string target, std::string body) {
  const DeviceCall asked{std::move(method), std::move(target), "Device " + std::to_string(id_), std::move(body)};
  if (before && !before(asked)) return fail(ErrorCode::kNotReachable, "the call did not arrive");
  auto answered = scene_.service().handle(asked, "127.0.0.1");
  if (after && !after(asked)) return fail(ErrorCode::kNotReachable, "the answer did not arrive");
  return answered;
}

UpRow ModelDevice::up_row(const TableLayout& layout, const std::string& table, const std::string& key, const Pending& pending) const {
  UpRow row;
  row.op = pending.op;
  row.base = pending.base;
  const auto now = pending.op == UpRow::Op::kDelete ? Row{} : tables.at(table).at(key);
  for (const auto& column : layout.columns) {
    if (pending.op != UpRow::Op::kDelete) row.values.push_back(value_of(column.kind, now.at(column.name)).value());
    if (pending.op != UpRow::Op::kInsert) row.before.push_back(value_of(column.kind, pending.before.at(column.name)).value());
    if (pending.op == UpRow::Op::kUpdate) row.changed.push_back(now.at(column.name) != pending.before.at(column.name));
  }
  return row;
}

Status ModelDevice::freeze() {
  if (request_) return {};
  SyncRequest request;
  request.set = set;
  request.number = ++number_;
  request.history = history_;
  for (const auto& [name, cursor] : cursors_) request.cursors.push_back(cursor);
  blocks_.clear();
  for (const auto& [name, layout] : layouts_) {
    auto& changes = pending_[layout.table];
    if (changes.empty()) continue;
    BlockWriter writer(BlockHead::Kind::kUp);
    // What goes comes first, as foreign keys want it.
    for (const bool deletes : {true, false}) {
      for (const auto& [key, pending] : changes) {
        if ((pending.op == UpRow::Op::kDelete) == deletes) {
          if (auto added = writer.add(up_row(layout, layout.table, key, pending)); !added) return added;
        }
      }
    }
    request.parts.push_back({name, static_cast<std::uint32_t>(blocks_.size()), 1, layout});
    blocks_.push_back(writer.take(true).value());
    changes.clear();
  }
  if (!blocks_.empty()) {
    request.upload = ++upload_;
    std::string all;
    for (const auto& block : blocks_) all += block;
    request.upload_hash = os::blake2b_hex(all);
  }
  request_ = std::move(request);
  return {};
}

Status ModelDevice::send() {
  for (std::size_t at = 0; at < blocks_.size(); ++at) {
    auto sent = call("PUT", fmt::format("/api/device/uploads/{}/{}", request_->upload, at), blocks_[at]);
    if (!sent) return pass(sent);
  }
  return {};
}

Status ModelDevice::apply(const Session& session, std::uint64_t number, Csn csn) {
  auto& table = tables[session.layout.table];
  const auto& pending = pending_[session.layout.table];
  std::set<std::string> seen;
  bool more = session.mode == Session::Mode::kDelta || session.mode == Session::Mode::kRefresh;
  for (std::uint32_t block = 0; more; ++block) {
    auto answer = call("GET", fmt::format("/api/device/syncs/{}/{}/{}", number, session.subscription, block), "");
    if (!answer) return pass(answer);
    if (answer->status == 202) {
      --block;
      continue;
    }
    auto reader = BlockReader::open(answer->body, BlockHead::Kind::kDown);
    if (!reader) return pass(reader);
    more = !reader->head().last;
    DownRow row;
    for (;;) {
      auto next = reader->next(row, session.layout.columns.size(), session.layout.key.size());
      if (!next) return pass(next);
      if (!*next) break;
      ++rows_fetched;
      Row texts;
      std::string key;
      for (std::size_t at = 0; at < row.values.size(); ++at) {
        const auto place = row.op == DownRow::Op::kUpsert ? at : session.layout.key[at];
        const auto& column = session.layout.columns[place];
        auto text = text_of(column.kind, row.values[at]);
        if (!text) return pass(text);
        texts[column.name] = *text;
      }
      for (const auto place : session.layout.key) key += (key.empty() ? "" : ",") + texts[session.layout.columns[place].name].value_or("");
      seen.insert(key);
      if (pending.contains(key)) continue;
      if (row.op == DownRow::Op::kUpsert) table[key] = texts;
      if (row.op == DownRow::Op::kDelete) table.erase(key);
    }
  }
  if (session.mode == Session::Mode::kRefresh) std::erase_if(table, [&](const auto& item) { return !seen.contains(item.first) && !pending.contains(item.first); });
  cursors_[session.subscription] = {session.subscription, csn, session.shape};
  layouts_[session.subscription] = session.layout;
  return {};
}

Status ModelDevice::sync() {
  rows_fetched = 0;
  waiting = 0;
  if (auto frozen = freeze(); !frozen) return frozen;
  if (auto sent = send(); !sent) return sent;
  auto answer = call("POST", "/api/device/syncs", encode(*request_));
  if (!answer) return pass(answer);
  auto reply = decode_sync_reply(answer->body);
  if (!reply) return pass(reply);
  last_sessions = reply->sessions;
  AckRequest ack;
  for (const auto& session : reply->sessions) {
    if (session.mode == Session::Mode::kFailed) continue;
    auto applied = apply(session, reply->number, reply->csn);
    if (!applied && applied.error().code == ErrorCode::kSnapshotNeeded) {
      request_.reset();  // another sync; its upload is with the server
      return sync();
    }
    if (!applied) return applied;
    ack.sessions.push_back(session.subscription);
  }
  history_ = reply->history;
  auto acked = call("POST", fmt::format("/api/device/syncs/{}/ack", reply->number), encode(ack));
  if (!acked) return pass(acked);
  for (const auto& outcome : reply->outcomes) {
    if (outcome.state == Outcome::State::kRejected) rejects.push_back({outcome.subscription, outcome.reason});
    if (outcome.state == Outcome::State::kWaiting) ++waiting;
  }
  request_.reset();
  return {};
}

}  // namespace verbund::sync::server::testing_scene
