// Requests of registered clients that need no decision of the engine: messages, lists, watch, announced changes.
#include <algorithm>

#include "base/messages.h"

#include "cluster/service_impl.h"

namespace verbund::cluster {

namespace {

/// `tell`: ten a second, twenty at once.
constexpr milliseconds kTellInterval{100};
constexpr milliseconds kTellBurst{2000};
/// A list must stay below the peer's queue limit of 1 MiB.
constexpr std::size_t kMaxListBytes = 512 * 1024;

std::size_t estimated_bytes(const protocol::SessionView& view) {
  return 160 + view.workstation.size() + view.user.size() + view.address.size() + view.app.size();
}
std::size_t estimated_bytes(const protocol::LockView& view) {
  return 220 + view.key.type.size() + view.key.id.size() + view.workstation.size() + view.user.size() +
         view.address.size() + view.note.size();
}

/// True: there were more.
template <typename View>
bool cut(std::vector<View>& views) {
  std::size_t bytes = 0, count = 0;
  while (count < views.size() && count < protocol::kMaxListed) {
    bytes += estimated_bytes(views[count]);
    if (bytes > kMaxListBytes) break;
    ++count;
  }
  const bool more = count < views.size();
  views.resize(count);
  return more;
}

}  // namespace

std::vector<protocol::SessionView> Service::Impl::session_views(bool with_tools, std::size_t limit) const {
  std::vector<protocol::SessionView> views;
  for (const auto& [id, session] : engine.sessions().all()) {
    if (views.size() >= limit) break;
    if (with_tools || session.stored.kind == protocol::SessionKind::kWorkstation) views.push_back(view_of(session));
  }
  std::ranges::sort(views, {}, &protocol::SessionView::session);
  return views;
}

std::vector<protocol::LockView> Service::Impl::lock_views(std::string_view prefix, std::size_t limit) const {
  std::vector<protocol::LockView> views;
  for (const auto& lock : engine.locks().list(prefix, limit)) views.push_back(view(lock));
  std::ranges::sort(views, {}, &protocol::LockView::key);
  if (views.size() > limit) views.resize(limit);
  return views;
}

bool Service::Impl::answer_repeated(Connection& connection, const protocol::RequestId& id, const std::string& request) {
  if (request.empty()) return false;
  const auto memory = remembered.find(connection.session);
  const auto* outcome = memory == remembered.end() ? nullptr : memory->second.find(request);
  if (outcome == nullptr) return false;
  if (*outcome) {
    std::visit([&](const auto& body) { reply(connection, id, body); }, **outcome);
  } else {
    refuse(connection, id, make_error(ErrorCode::kUnavailable, phrase("repeat a request: the first one is still being done"), phrase("try again")),
           milliseconds{200});
  }
  return true;
}

void Service::Impl::remember(SessionId session, const std::string& request, Remembered outcome) {
  if (!request.empty() && engine.session(session) != nullptr) remembered[session].put(request, std::move(outcome));
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Tell request) {
  if (answer_repeated(connection, id, request.request)) return;
  const auto time = around.clock.now();
  connection.tell_credit = std::max(connection.tell_credit, time);
  if (connection.tell_credit - time >= kTellBurst) {
    return refuse(connection, id, make_error(ErrorCode::kRateLimited, phrase("tell: too many messages"), phrase("wait a moment")),
                  std::chrono::ceil<milliseconds>(connection.tell_credit - time - kTellBurst) + kTellInterval);
  }
  connection.tell_credit += kTellInterval;
  const auto* session = engine.session(connection.session);
  const protocol::MessageFrom message{view_of(*session), request.to, std::move(request.text), around.clock.wall()};
  const protocol::Delivered outcome{deliver(request.to, message)};
  remember(connection.session, request.request, outcome);
  reply(connection, id, outcome);
}

/// To one session, all of a workstation or user, or everybody ("*", in slices as other broadcasts).
std::uint32_t Service::Impl::deliver(const std::string& to, const protocol::MessageFrom& message) {
  if (to == "*") {
    publish(Topic::kEverybody, message);
    return static_cast<std::uint32_t>(broadcaster.subscribers() - 1);
  }
  const auto number = parse_u64(to);
  std::vector<SessionId> addressed;
  for (const auto& [session_id, session] : engine.sessions().all()) {
    if (!session.connection) continue;
    if ((number && session_id.value == *number) || session.stored.workstation == to || session.stored.identity.user == to) {
      addressed.push_back(session_id);
    }
  }
  std::uint32_t delivered = 0;
  for (const auto session : addressed) {
    auto* receiver = connection_of(session);
    if (receiver == nullptr || receiver->phase != Connection::Phase::kRegistered) continue;
    send_event(*receiver, message);
    ++delivered;
  }
  return delivered;
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Who) {
  protocol::SessionList list{session_views(true, protocol::kMaxListed + 1), false};
  list.more = cut(list.sessions);
  reply(connection, id, std::move(list));
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Locks request) {
  protocol::LockList list{lock_views(request.prefix, protocol::kMaxListed + 1), false};
  list.more = cut(list.locks);
  reply(connection, id, std::move(list));
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::StatusQuery) {
  reply(connection, id, protocol::StatusReply{around.status ? around.status() : "{}"});
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::SetWatch request) {
  const auto peer = connection.id();
  broadcaster.set_watch(peer, request.watch, request.cursor);
  auto* session = engine.session(connection.session);
  if (session == nullptr || connection.phase != Connection::Phase::kRegistered) return;
  session->stored.watch = std::move(request.watch);
  // For a resume after a restart; what is lost is only the watch, which clients repeat.
  around.sessions.save(session->stored, [](const Status&) {});
  reply(connection, id, protocol::WatchReply{request.cursor.value_or(broadcaster.cursor(peer))});
  broadcaster.start(peer);
}

void Service::Impl::on(Connection& connection, const protocol::RequestId& id, protocol::Changed request) {
  if (answer_repeated(connection, id, request.request)) return;
  if (request.changes.empty() || request.changes.size() > protocol::kMaxAnnouncedChanges) {
    return refuse(connection, id, make_error(ErrorCode::kTooManyKeys,
                                   phrase("announce changes: {} are given, 1 to {} are taken", request.changes.size(),
                                               protocol::kMaxAnnouncedChanges)));
  }
  const auto peer = connection.id();
  const auto session = connection.session;
  remember(session, request.request, std::nullopt);
  around.changes.announce(
      std::move(request.changes), session,
      [this, guard = std::weak_ptr(alive), peer, id, session, name = std::move(request.request)](Status announced) {
        if (guard.expired()) return;
        if (announced) remember(session, name, protocol::Done{});
        if (!announced && remembered.contains(session)) remembered[session].forget(name);
        auto* asking = this->connection(peer);
        if (asking == nullptr || asking->phase != Connection::Phase::kRegistered) return;
        if (announced) return reply(*asking, id, protocol::Done{});
        refuse(*asking, id, std::move(announced.error()).in("announce changes"), seconds{1});
      });
}

}  // namespace verbund::cluster
