/// Client: the engine on a thread of its own, with the network around it.
#include "verbund/client.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <locale>
#include <mutex>
#include <thread>

#include "client/engine.h"
#include "client/public_views.h"
#include "platform/net/client.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund {
inline namespace client_v1 {
namespace {

constexpr milliseconds kTick{100};
constexpr seconds kAnswerTime{30};
constexpr seconds kGoodbyeTime{1};

std::pair<std::string, std::uint16_t> split_address(const std::string& server) {
  const auto colon = server.rfind(':');
  if (colon == std::string::npos || server.ends_with(']')) return {server, 2222};
  auto host = server.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto port = parse_u64(server.substr(colon + 1));
  return {host, static_cast<std::uint16_t>(port.value_or(2222))};
}

Result<std::vector<RecordKey>> parse_keys(const std::vector<std::string>& texts) {
  std::vector<RecordKey> keys;
  for (const auto& text : texts) {
    auto key = parse_record_key(text);
    if (!key) return std::unexpected(key.error());
    keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace

std::optional<LockInfo> Failure::holder() const { return holder_ ? std::optional(*holder_) : std::nullopt; }

/// Threads: members below "loop thread" belong to it; `mutex` guards what the public methods read.
struct Client::Impl {
  using Outcome = protocol::ReplyBody;

  explicit Impl(ClientSettings given) : settings(std::move(given)) {}
  ~Impl();

  Expected<Ok> connect();
  client::EngineSettings engine_settings() const;
  void run_actions(client::Actions actions);
  void carry_out(client::Connect& action);
  void carry_out(client::Send& action);
  void carry_out(client::Disconnect& action);
  void carry_out(client::StateChanged& action);
  void carry_out(client::Finished& action);
  void carry_out(client::Happened& action);
  void carry_out(client::LocksGone& action);
  void on_message(std::string_view message);
  void publish();
  Outcome call(protocol::RequestBody body, nanoseconds time);
  template <typename Wanted, typename Value>
  Expected<Value> finish(const Outcome& outcome, Value value) const;

  ClientSettings settings;
  os::SystemClock clock;
  std::string ca_pem;
  std::function<void(ConnectionState, const std::string&)> state_callback;
  std::function<void(const Changes&)> changes_callback;
  std::function<void(const std::string&, const std::string&)> snapshot_callback;
  std::function<void(const std::string&, const std::vector<LockInfo>&)> locks_callback;
  std::function<void(const std::vector<std::string>&, const std::string&)> lost_callback;
  std::function<void(const std::string&, const SessionInfo&)> session_callback;
  std::function<void(const Text&)> text_callback;
  std::function<void(std::string_view)> json_callback;

  // loop thread
  net::EventLoop loop;
  std::unique_ptr<client::Engine> engine;
  std::unique_ptr<net::MessageClient> connection;
  net::Timer ticker;
  std::map<client::CallId, std::function<void(Outcome)>> waiting;
  std::map<SessionId, SessionInfo> known_sessions;  // names for events that carry only an id
  std::map<RecordKey, LockInfo> known_locks;

  mutable std::mutex mutex;
  std::condition_variable connected;
  client::State state = client::State::kIdle;
  Error end_reason;
  std::string session, cursor, welcome;
  std::atomic<bool> editable = false;
  std::thread thread;
};

client::EngineSettings Client::Impl::engine_settings() const {
  client::EngineSettings engine_settings;
  engine_settings.servers = settings.servers;
  engine_settings.reconnect = settings.reconnect;
  engine_settings.connect_timeout = settings.connect_timeout;
  engine_settings.seed = std::stoull(os::random_hex(8), nullptr, 16);
  auto& registration = engine_settings.registration;
  if (settings.token.empty()) {
    registration.user = settings.user;
    registration.password = settings.password;
  } else {
    registration.token = settings.token;
  }
  registration.workstation = settings.workstation;
  registration.app = settings.app;
  registration.kind = settings.tool ? protocol::SessionKind::kTool : protocol::SessionKind::kWorkstation;
  registration.language = language_from_locale(settings.language.empty() ? std::locale("").name() : settings.language);
  registration.watch = {settings.watch_types, settings.watch_locks, settings.watch_presence};
  if (auto cursor = client::parse_cursor(settings.cursor)) registration.cursor = std::move(*cursor);
  return engine_settings;
}

Expected<Ok> Client::Impl::connect() {
  if (thread.joinable()) return client::failure({ErrorCode::kUsage, "connect: this client has been connected already", ""});
  if (settings.servers.empty()) return client::failure({ErrorCode::kUsage, "connect: no server is named", ""});
  if (!settings.cursor.empty() && !client::parse_cursor(settings.cursor)) {
    return client::failure({ErrorCode::kUsage, fmt::format("connect: '{}' is no cursor", settings.cursor), "a cursor is HISTORY:CSN"});
  }
  if (settings.tls && !settings.ca_file.empty()) {
    auto read = os::read_file(settings.ca_file, 1024 * 1024);
    if (!read) return client::failure(read.error());
    ca_pem = std::move(*read);
  }
  engine = std::make_unique<client::Engine>(engine_settings());
  thread = std::thread([this] { loop.run(); });
  loop.post([this] {
    ticker = loop.every(kTick, [this] {
      client::Actions actions;
      engine->tick(clock.now(), actions);
      run_actions(std::move(actions));
    });
    client::Actions actions;
    engine->start(clock.now(), actions);
    run_actions(std::move(actions));
  });
  std::unique_lock lock(mutex);
  // The engine ends every attempt by itself: connect_timeout per server.
  connected.wait(lock, [this] { return state == client::State::kConnected || state == client::State::kEnded; });
  if (state == client::State::kEnded) return client::failure(end_reason);
  return Ok{};
}

Client::Impl::~Impl() {
  if (!thread.joinable()) return;
  auto gone = std::make_shared<std::promise<void>>();
  auto future = gone->get_future();
  loop.post([this, gone] {
    if (state != client::State::kConnected) return gone->set_value();
    client::Actions actions;
    const auto id = engine->call(protocol::Goodbye{}, clock.now() + kGoodbyeTime, clock.now(), actions);
    waiting.emplace(id, [gone](const Outcome&) { gone->set_value(); });
    run_actions(std::move(actions));
  });
  future.wait_for(kGoodbyeTime + kTick);
  loop.post([this] {
    ticker.cancel();
    connection.reset();
    loop.stop();
  });
  thread.join();
}

void Client::Impl::run_actions(client::Actions actions) {
  for (auto& action : actions) std::visit([this](auto& which) { carry_out(which); }, action);
  publish();
}

void Client::Impl::publish() {
  editable = engine->may_edit(clock.now());
  const std::scoped_lock lock(mutex);
  cursor = client::to_text(engine->cursor());
  if (engine->welcome()) session = std::to_string(engine->welcome()->session.value);
}

void Client::Impl::carry_out(client::Connect& action) {
  const auto [host, port] = split_address(action.server);
  net::Endpoint endpoint{host, port, settings.tls, ca_pem, net::Wire::kLine};
  connection.reset();
  connection = std::make_unique<net::MessageClient>(
      loop, std::move(endpoint), settings.connect_timeout,
      net::MessageClient::Events{[this] {
                                   client::Actions actions;
                                   engine->on_open(clock.now(), actions);
                                   run_actions(std::move(actions));
                                 },
                                 [this](std::string_view message) { on_message(message); },
                                 [this](const Error& error) {
                                   client::Actions actions;
                                   engine->on_closed(error, clock.now(), actions);
                                   run_actions(std::move(actions));
                                 }});
}

void Client::Impl::carry_out(client::Send& action) {
  if (connection) connection->send(std::move(action.json));
}

void Client::Impl::carry_out(client::Disconnect&) {
  // The callback that led here may be the connection's own: it goes after the handler has returned.
  if (!connection) return;
  auto old = std::shared_ptr<net::MessageClient>(std::move(connection));
  loop.post([old] {});
}

void Client::Impl::carry_out(client::StateChanged& action) {
  {
    const std::scoped_lock lock(mutex);
    state = action.state;
    if (state == client::State::kEnded) end_reason = action.reason;
  }
  editable = engine->may_edit(clock.now());
  connected.notify_all();
  if (state_callback) state_callback(client::to_public(action.state), action.reason.message);
}

void Client::Impl::carry_out(client::Finished& action) {
  const auto found = waiting.find(action.call);
  if (found == waiting.end()) return;
  auto done = std::move(found->second);
  waiting.erase(found);
  done(std::move(action.body));
}

void Client::Impl::carry_out(client::LocksGone& action) {
  std::vector<std::string> keys;
  for (const auto& key : action.keys) keys.push_back(to_string(key));
  if (lost_callback) lost_callback(keys, client::to_text(action.reason));
}

void Client::Impl::carry_out(client::Happened& action) {
  const auto& event = action.event;
  if (const auto* changes = std::get_if<protocol::Changes>(&event)) {
    if (changes_callback) changes_callback(client::to_public(*changes));
  } else if (const auto* snapshot = std::get_if<protocol::Snapshot>(&event)) {
    if (snapshot_callback) snapshot_callback(snapshot->reason, client::to_text(snapshot->cursor));
  } else if (const auto* granted = std::get_if<protocol::LockGranted>(&event)) {
    std::vector<LockInfo> locks;
    for (const auto& view : granted->locks) locks.push_back(known_locks[view.key] = client::to_public(view));
    if (locks_callback) locks_callback("granted", locks);
  } else if (const auto* released = std::get_if<protocol::LockReleased>(&event)) {
    std::vector<LockInfo> locks;
    for (const auto& key : released->keys) {
      auto known = known_locks.extract(key);
      LockInfo lock = known ? std::move(known.mapped()) : LockInfo{};
      lock.key = to_string(key);
      locks.push_back(std::move(lock));
    }
    if (locks_callback) locks_callback("released", locks);
  } else if (const auto* joined = std::get_if<protocol::SessionJoined>(&event)) {
    const auto& info = known_sessions[joined->session.session] = client::to_public(joined->session);
    if (session_callback) session_callback("joined", info);
  } else if (const auto* changed = std::get_if<protocol::SessionStateChanged>(&event)) {
    auto& info = known_sessions[changed->session];
    info.session = std::to_string(changed->session.value);
    info.state = client::to_text(changed->state);
    if (session_callback) session_callback("state", info);
  } else if (const auto* left = std::get_if<protocol::SessionLeft>(&event)) {
    known_sessions.erase(left->session);
    SessionInfo info;
    info.session = std::to_string(left->session.value);
    info.workstation = left->workstation;
    info.user = left->user;
    info.state = client::to_text(left->reason);
    if (session_callback) session_callback("left", info);
  } else if (const auto* message = std::get_if<protocol::MessageFrom>(&event)) {
    if (text_callback) text_callback({client::to_public(message->from), message->to, message->text, to_iso8601(message->at)});
  }
}

void Client::Impl::on_message(std::string_view message) {
  auto decoded = protocol::decode_from_server(message);
  if (!decoded) return;  // a newer node may say what this library does not know; a broken one ends by the heartbeat
  if (const auto* reply = std::get_if<protocol::Reply>(&*decoded)) {
    if (const auto* hello = std::get_if<protocol::Welcome>(&reply->body)) {
      for (const auto& view : hello->sessions) known_sessions[view.session] = client::to_public(view);
      for (const auto& view : hello->locks) known_locks[view.key] = client::to_public(view);
      const std::scoped_lock lock(mutex);
      welcome = message;
    }
  } else if (std::holds_alternative<protocol::Event>(*decoded) && json_callback) {
    json_callback(message);
  }
  client::Actions actions;
  engine->on_message(*decoded, clock.now(), actions);
  run_actions(std::move(actions));
}

/// Posts the request to the loop and waits for its one outcome; the engine ends it at the deadline.
Client::Impl::Outcome Client::Impl::call(protocol::RequestBody body, nanoseconds time) {
  using protocol::Refused;
  if (!thread.joinable()) return Refused{{ErrorCode::kNotReachable, "ask the node: connect first", ""}, {}, {}};
  if (std::this_thread::get_id() == thread.get_id()) {
    return Refused{{ErrorCode::kUsage, "ask the node: not from a callback", "hand the work to another thread"}, {}, {}};
  }
  auto promise = std::make_shared<std::promise<Outcome>>();
  auto future = promise->get_future();
  loop.post([this, body = std::move(body), time, promise]() mutable {
    client::Actions actions;
    const auto now = clock.now();
    const auto id = engine->call(std::move(body), now + time, now, actions);
    waiting.emplace(id, [promise](Outcome outcome) { promise->set_value(std::move(outcome)); });
    run_actions(std::move(actions));
  });
  return future.get();
}

template <typename Wanted, typename Value>
Expected<Value> Client::Impl::finish(const Outcome& outcome, Value value) const {
  if (std::holds_alternative<Wanted>(outcome)) return value;
  return client::failure_of(outcome);
}

Client::Client(ClientSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
Client::~Client() = default;

void Client::on_state(std::function<void(ConnectionState, const std::string&)> callback) { impl_->state_callback = std::move(callback); }
void Client::on_changes(std::function<void(const Changes&)> callback) { impl_->changes_callback = std::move(callback); }
void Client::on_snapshot(std::function<void(const std::string&, const std::string&)> callback) { impl_->snapshot_callback = std::move(callback); }
void Client::on_locks(std::function<void(const std::string&, const std::vector<LockInfo>&)> callback) { impl_->locks_callback = std::move(callback); }
void Client::on_lock_lost(std::function<void(const std::vector<std::string>&, const std::string&)> callback) { impl_->lost_callback = std::move(callback); }
void Client::on_session(std::function<void(const std::string&, const SessionInfo&)> callback) { impl_->session_callback = std::move(callback); }
void Client::on_text(std::function<void(const Text&)> callback) { impl_->text_callback = std::move(callback); }
void Client::on_event_json(std::function<void(std::string_view)> callback) { impl_->json_callback = std::move(callback); }

Expected<Ok> Client::connect() { return impl_->connect(); }

void Client::reconnect_now() {
  impl_->loop.post([this] {
    client::Actions actions;
    if (impl_->engine) impl_->engine->reconnect_now(impl_->clock.now(), actions);
    impl_->run_actions(std::move(actions));
  });
}

ConnectionState Client::state() const {
  const std::scoped_lock lock(impl_->mutex);
  return client::to_public(impl_->state);
}
std::string Client::session() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->session;
}
std::string Client::cursor() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->cursor;
}
std::string Client::welcome_json() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->welcome;
}
bool Client::may_edit() const { return impl_->editable; }

Expected<Grant> Client::lock(const std::vector<std::string>& keys, std::chrono::milliseconds wait, const std::string& note) {
  auto parsed = parse_keys(keys);
  if (!parsed) return client::failure(parsed.error());
  const auto outcome = impl_->call(protocol::Lock{std::move(*parsed), wait, {}, note}, wait + kAnswerTime);
  const auto* granted = std::get_if<protocol::Granted>(&outcome);
  if (!granted) return client::failure_of(outcome);
  Grant grant;
  grant.token = granted->token.value;
  for (const auto& [key, token] : granted->tokens) grant.tokens.emplace_back(to_string(key), token.value);
  return grant;
}

Expected<Ok> Client::unlock(const std::vector<std::string>& keys, const std::string& lsn, bool wrote) {
  auto parsed = parse_keys(keys);
  if (!parsed) return client::failure(parsed.error());
  protocol::Unlock unlock;
  unlock.keys = std::move(*parsed);
  unlock.wrote = wrote;
  if (!lsn.empty()) {
    auto position = parse_lsn(lsn);
    if (!position) return client::failure(position.error());
    unlock.lsn = *position;
  }
  return impl_->finish<protocol::Done>(impl_->call(std::move(unlock), kAnswerTime), Ok{});
}

Expected<Ok> Client::break_locks(const std::vector<std::string>& keys, const std::string& reason) {
  auto parsed = parse_keys(keys);
  if (!parsed) return client::failure(parsed.error());
  return impl_->finish<protocol::Broken>(impl_->call(protocol::Break{std::move(*parsed), reason}, kAnswerTime), Ok{});
}

Expected<unsigned> Client::tell(const std::string& to, const std::string& text) {
  const auto outcome = impl_->call(protocol::Tell{to, text, {}}, kAnswerTime);
  const auto* delivered = std::get_if<protocol::Delivered>(&outcome);
  return impl_->finish<protocol::Delivered>(outcome, delivered ? delivered->delivered : 0U);
}

Expected<std::vector<SessionInfo>> Client::who() {
  const auto outcome = impl_->call(protocol::Who{}, kAnswerTime);
  std::vector<SessionInfo> sessions;
  if (const auto* list = std::get_if<protocol::SessionList>(&outcome)) {
    for (const auto& view : list->sessions) sessions.push_back(client::to_public(view));
  }
  return impl_->finish<protocol::SessionList>(outcome, std::move(sessions));
}

Expected<std::vector<LockInfo>> Client::locks(const std::string& prefix) {
  const auto outcome = impl_->call(protocol::Locks{prefix}, kAnswerTime);
  std::vector<LockInfo> locks;
  if (const auto* list = std::get_if<protocol::LockList>(&outcome)) {
    for (const auto& view : list->locks) locks.push_back(client::to_public(view));
  }
  return impl_->finish<protocol::LockList>(outcome, std::move(locks));
}

Expected<std::string> Client::status_json() {
  const auto outcome = impl_->call(protocol::StatusQuery{}, kAnswerTime);
  const auto* status = std::get_if<protocol::StatusReply>(&outcome);
  return impl_->finish<protocol::StatusReply>(outcome, status ? status->json : std::string());
}

Expected<Ok> Client::changed(const std::vector<std::pair<std::string, std::string>>& key_and_op) {
  protocol::Changed changed;
  for (const auto& [text, op] : key_and_op) {
    auto key = parse_record_key(text);
    if (!key) return client::failure(key.error());
    const auto parsed = client::parse_op(op);
    if (!parsed) return client::failure({ErrorCode::kUsage, fmt::format("announce a change: '{}' is no operation", op), "insert, update or delete"});
    changed.changes.push_back({std::move(*key), *parsed});
  }
  return impl_->finish<protocol::Done>(impl_->call(std::move(changed), kAnswerTime), Ok{});
}

}  // namespace client_v1
}  // namespace verbund
