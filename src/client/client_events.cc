// The loop thread's side of Client: the engine's actions become connections, messages and callbacks.
#include "base/messages.h"
#include "client/client_impl.h"
#include "client/public_views.h"

namespace verbund {
inline namespace client_v1 {
namespace {

constexpr std::uint16_t kDefaultPort = 2222;

std::pair<std::string, std::uint16_t> split_address(const std::string& server) {
  auto host = server;
  std::uint64_t port = kDefaultPort;
  const auto colon = server.rfind(':');
  if (colon != std::string::npos && !server.ends_with(']')) {
    host = server.substr(0, colon);
    // A port that is none leads nowhere: 0 is refused by the system with a cause.
    port = parse_u64(server.substr(colon + 1)).value_or(0);
    if (port > 65'535) port = 0;
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {host, static_cast<std::uint16_t>(port)};
}

}  // namespace

void Client::Impl::run_actions(client::Actions actions) {
  for (auto& action : actions) std::visit([this](auto& which) { carry_out(which); }, action);
  publish();
}

void Client::Impl::publish() {
  edit_until = engine->edit_until().time_since_epoch().count();
  const std::scoped_lock lock(mutex);
  cursor = client::to_text(engine->cursor());
  if (engine->welcome()) session = std::to_string(engine->welcome()->session.value);
}

void Client::Impl::carry_out(client::Disconnect&) {
  ++generation;
  if (!connection) return;
  // The callback that led here may be the connection's own: it goes after the handler has returned.
  auto old = std::shared_ptr<net::MessageClient>(std::move(connection));
  loop.post([old] {});
}

void Client::Impl::carry_out(client::Connect& action) {
  client::Disconnect before;
  carry_out(before);
  const auto [host, port] = split_address(action.server);
  const auto mine = generation;
  net::MessageClient::Events on;
  on.on_open = [this, mine] {
    if (mine != generation) return;
    client::Actions actions;
    engine->on_open(clock.now(), actions);
    run_actions(std::move(actions));
  };
  on.on_message = [this, mine](std::string_view message) {
    if (mine == generation) on_message(message);
  };
  on.on_close = [this, mine](const Error& error) {
    if (mine != generation) return;
    client::Actions actions;
    engine->on_closed(error, clock.now(), actions);
    run_actions(std::move(actions));
  };
  connection = std::make_unique<net::MessageClient>(loop, net::Endpoint{host, port, settings.tls, ca_pem, net::Wire::kLine},
                                                    settings.connect_timeout, std::move(on));
}

void Client::Impl::carry_out(client::Send& action) {
  if (connection) connection->send(std::move(action.json));
}

void Client::Impl::carry_out(client::StateChanged& action) {
  publish();  // whoever waits for the state may ask for the rest at once
  {
    const std::scoped_lock lock(mutex);
    if (action.state == client::State::kEnded) end_reason = action.reason;
    state = action.state;
    changed.notify_all();
  }
  if (state_callback) state_callback(client::to_public(action.state), message_in(language, action.reason));
}

void Client::Impl::carry_out(client::Finished& action) {
  const auto found = waiting.extract(action.call);
  if (found) found.mapped()(std::move(action.body));
}

void Client::Impl::carry_out(client::LocksGone& action) {
  std::vector<std::string> keys;
  for (const auto& key : action.keys) keys.push_back(to_string(key));
  if (lost_callback) lost_callback(keys, client::to_text(action.reason));
}

void Client::Impl::carry_out(client::Happened& action) {
  std::visit([this](const auto& event) { tell(event); }, action.event);
}

void Client::Impl::tell(const protocol::Changes& event) {
  if (changes_callback) changes_callback(client::to_public(event));
}

void Client::Impl::tell(const protocol::Snapshot& event) {
  if (snapshot_callback) snapshot_callback(event.reason, client::to_text(event.cursor));
}

void Client::Impl::tell(const protocol::LockGranted& event) {
  std::vector<LockInfo> locks;
  for (const auto& view : event.locks) locks.push_back(known_locks[view.key] = client::to_public(view));
  if (locks_callback) locks_callback("granted", locks);
}

void Client::Impl::tell(const protocol::LockReleased& event) {
  std::vector<LockInfo> locks;
  for (const auto& key : event.keys) {
    auto known = known_locks.extract(key);
    auto& lock = locks.emplace_back(known ? std::move(known.mapped()) : LockInfo{});
    lock.key = to_string(key);
  }
  if (locks_callback) locks_callback("released", locks);
}

void Client::Impl::tell(const protocol::SessionJoined& event) {
  const auto& info = known_sessions[event.session.session] = client::to_public(event.session);
  if (session_callback) session_callback("joined", info);
}

void Client::Impl::tell(const protocol::SessionStateChanged& event) {
  auto& info = known_sessions[event.session];
  info.session = std::to_string(event.session.value);
  info.state = client::to_text(event.state);
  if (session_callback) session_callback("state", info);
}

void Client::Impl::tell(const protocol::SessionLeft& event) {
  known_sessions.erase(event.session);
  SessionInfo info;
  info.session = std::to_string(event.session.value);
  info.workstation = event.workstation;
  info.user = event.user;
  info.state = client::to_text(event.reason);
  if (session_callback) session_callback("left", info);
}

void Client::Impl::tell(const protocol::MessageFrom& event) {
  if (text_callback) text_callback({client::to_public(event.from), event.to, event.text, to_iso8601(event.at)});
}

/// A welcome tells everything anew.
void Client::Impl::remember_names(const protocol::Welcome& hello) {
  known_sessions.clear();
  known_locks.clear();
  for (const auto& view : hello.sessions) known_sessions[view.session] = client::to_public(view);
  for (const auto& view : hello.locks) known_locks[view.key] = client::to_public(view);
}

void Client::Impl::on_message(std::string_view message) {
  auto decoded = protocol::decode_from_server(message);
  if (!decoded) return;  // a newer node may say what this library does not know; a broken one ends by the heartbeat
  if (const auto* reply = std::get_if<protocol::Reply>(&*decoded)) {
    if (const auto* hello = std::get_if<protocol::Welcome>(&reply->body)) {
      remember_names(*hello);
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

void Client::Impl::forget_callbacks() {
  state_callback = nullptr;
  changes_callback = nullptr;
  snapshot_callback = nullptr;
  locks_callback = nullptr;
  lost_callback = nullptr;
  session_callback = nullptr;
  text_callback = nullptr;
  json_callback = nullptr;
}

}  // namespace client_v1
}  // namespace verbund
