// Messages in, replies and events out.
#include "cluster/service_impl.h"

#include "base/messages.h"

namespace verbund::cluster {

namespace {
constexpr std::uint32_t kMaxBadMessages = 100;
constexpr std::size_t kMaxHeldBack = 64;
constexpr std::size_t kMaxHeldBackBytes = 64 * 1024;
}  // namespace

void Service::Impl::on_message(Connection& connection, std::string_view message) {
  if (connection.phase == Connection::Phase::kClosing || shutting_down) return;
  if (connection.phase == Connection::Phase::kPending) {
    // Whoever pastes all its lines at once need not wait for the welcome; others have no reason to come here.
    connection.held_back_bytes += message.size();
    if (connection.held_back.size() < kMaxHeldBack && connection.held_back_bytes <= kMaxHeldBackBytes) {
      connection.held_back.emplace_back(message);
      return;
    }
    return bad_message(connection, {}, make_error(ErrorCode::kNotRegistered, phrase("take a message: the registration is under way"),
                                        phrase("wait for the welcome")));
  }
  requests_total.add();
  auto request = protocol::decode_request(message);
  if (connection.session) engine.sign_of_life(connection.session, now());
  if (!request) {
    bad_message(connection, request.error().id, std::move(request.error().error));
  } else {
    handle(connection, request->id, std::move(request->body));
  }
  carry_out();
}

void Service::Impl::handle(Connection& connection, const protocol::RequestId& id, protocol::RequestBody body) {
  if (auto* request = std::get_if<protocol::Register>(&body)) return on_register(connection, id, std::move(*request));
  if (auto* request = std::get_if<protocol::Resume>(&body)) return on_resume(connection, id, std::move(*request));
  if (connection.phase != Connection::Phase::kRegistered) {
    return bad_message(connection, id, make_error(ErrorCode::kNotRegistered, phrase("take a message: this connection has not registered"),
                                        phrase("send register or resume first")));
  }
  std::visit(
      [&](auto& request) {
        using Type = std::decay_t<decltype(request)>;
        if constexpr (!std::is_same_v<Type, protocol::Register> && !std::is_same_v<Type, protocol::Resume>) {
          on(connection, id, std::move(request));
        }
      },
      body);
}

/// Pending broadcasts go first as far as the connection keeps up.
void Service::Impl::reply(Connection& connection, const protocol::RequestId& id, const protocol::ReplyBody& body) {
  broadcaster.flush(connection.id(), Broadcaster::Pressure::kRespect);
  std::string text;
  if (const auto* refused = std::get_if<protocol::Refused>(&body)) {
    protocol::encode_refused(text, id, *refused, connection.language);
  } else {
    protocol::encode_reply(text, id, body);
  }
  connection.send(std::move(text));
}

void Service::Impl::refuse(Connection& connection, const protocol::RequestId& id, Error error,
                           std::optional<milliseconds> retry_after) {
  reply(connection, id, protocol::Refused{std::move(error), {}, retry_after});
}

void Service::Impl::bad_message(Connection& connection, const protocol::RequestId& id, Error error) {
  bad_messages_total.add();
  refuse(connection, id, std::move(error));
  if (++connection.bad_messages <= kMaxBadMessages || connection.phase == Connection::Phase::kClosing) return;
  around.log.warning("client.bad_messages", {{"address", connection.peer->address()}, {"session", connection.session.value}});
  close(connection, std::nullopt);
}

void Service::Impl::send_event(Connection& connection, const protocol::Event& event) {
  broadcaster.flush(connection.id(), Broadcaster::Pressure::kRespect);
  std::string text;
  protocol::encode_event(text, event);
  connection.send(std::move(text));
}

void Service::Impl::publish(Topic topic, const protocol::Event& event) {
  if (!broadcaster.watched(topic)) return;
  std::string text;
  protocol::encode_event(text, event);
  broadcaster.publish(topic, std::make_shared<const std::string>(std::move(text)));
  schedule_fan_out();
}

/// Nothing is taken from or broadcast to it any more; on_close follows. A session that it has stays resumable.
void Service::Impl::close(Connection& connection, std::optional<protocol::ClosingReason> reason) {
  if (connection.phase == Connection::Phase::kClosing) return;
  connection.phase = Connection::Phase::kClosing;
  broadcaster.leave(connection.id());
  if (reason) send_event(connection, protocol::Closing{*reason, settings.jitter});
  connection.close();
}

}  // namespace verbund::cluster
