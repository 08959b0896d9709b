#include "client/engine.h"

namespace verbund::client {
namespace {

using namespace protocol;

// Between the end of editing and the end of the lease at the node: room for the timer that ends it.
constexpr milliseconds kLeaseMargin{500};
constexpr milliseconds kLongestRetry{5'000};
constexpr milliseconds kDefaultJitter{500};

/// Refusals that another try at this server won't change.
bool final_refusal(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kForbidden:
    case ErrorCode::kBadMessage:
    case ErrorCode::kTooLarge:
    case ErrorCode::kPlaintextRefused:
    case ErrorCode::kUntrusted:
    case ErrorCode::kSuperseded:
    case ErrorCode::kAddressTaken: return true;
    default: return false;
  }
}

std::string* request_field(RequestBody& body) {
  if (auto* lock = std::get_if<Lock>(&body)) return &lock->request;
  if (auto* unlock = std::get_if<Unlock>(&body)) return &unlock->request;
  if (auto* tell = std::get_if<Tell>(&body)) return &tell->request;
  if (auto* changed = std::get_if<Changed>(&body)) return &changed->request;
  return nullptr;
}

}  // namespace

Engine::Engine(EngineSettings settings) : settings_(std::move(settings)), random_state_(settings_.seed) {
  if (settings_.registration.cursor) {
    cursor_ = *settings_.registration.cursor;
    has_cursor_ = true;
  }
}

/// splitmix64 (Steele, Lea, Flood 2014): enough to spread clients, and a seed replays it.
std::uint64_t Engine::random() {
  random_state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = random_state_;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
  return z ^ z >> 31;
}

bool Engine::may_edit(TimePoint now) const {
  return state_ == State::kConnected && welcome_ && now < last_answered_ + welcome_->lease - kLeaseMargin;
}

void Engine::set_state(State state, const Error& reason, Actions& out) {
  if (state_ == state) return;
  state_ = state;
  out.push_back(StateChanged{state, reason});
}

void Engine::start(TimePoint now, Actions& out) {
  set_state(State::kConnecting, {}, out);
  connect(settings_.servers.at(0), now, out);
}

void Engine::connect(const std::string& server, TimePoint now, Actions& out) {
  current_server_ = server;
  retry_at_.reset();
  phase_ = Phase::kOpening;
  // The connection itself has the same bound in the layer below; this one also covers a peer that never answers.
  phase_deadline_ = now + settings_.connect_timeout * 2;
  beats_.clear();
  out.push_back(Connect{server});
}

void Engine::on_open(TimePoint now, Actions& out) {
  if (phase_ != Phase::kOpening) return;
  phase_ = Phase::kRegistering;
  register_or_resume(now, out);
}

void Engine::register_or_resume(TimePoint now, Actions& out) {
  registration_sent_ = now;
  registration_id_ = next_id_++;
  if (session_) {
    Resume resume;
    resume.session = session_;
    resume.secret = secret_;
    resume.ticket = std::exchange(ticket_, {});
    resume.cursor = cursor_;
    for (const auto& [key, token] : held_) resume.reclaim.push_back({key, token});
    return send(resume, registration_id_, out);
  }
  Register registration = settings_.registration;
  registration.ticket = std::exchange(ticket_, {});
  if (has_cursor_) registration.cursor = cursor_;
  send(registration, registration_id_, out);
}

void Engine::send(const RequestBody& body, std::uint64_t id, Actions& out) {
  Send message;
  encode_request(message.json, Request{RequestId{std::to_string(id)}, body});
  out.push_back(std::move(message));
}

void Engine::on_closed(const Error& error, TimePoint now, Actions& out) {
  if (phase_ == Phase::kNone || state_ == State::kEnded) return;
  retry_later(error, nanoseconds{0}, now, out);
}

void Engine::retry_later(const Error& error, nanoseconds least, TimePoint now, Actions& out) {
  phase_ = Phase::kNone;
  ticket_.clear();
  ++failures_;
  next_server_ = (next_server_ + 1) % settings_.servers.size();
  if (!ever_connected_) {
    if (failures_ >= settings_.servers.size()) return end(error, out);
    return connect(settings_.servers[next_server_], now, out);
  }
  if (!settings_.reconnect) return end(error, out);
  set_state(State::kReadOnly, error, out);
  const nanoseconds jitter = welcome_ ? nanoseconds{welcome_->jitter} : nanoseconds{kDefaultJitter};
  const auto window = std::min<nanoseconds>(jitter * (std::int64_t{1} << std::min<std::size_t>(failures_ - 1, 6)), kLongestRetry);
  const auto spread = nanoseconds{static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(window.count() + 1))};
  retry_at_ = now + std::max(spread, least);
}

void Engine::end(const Error& error, Actions& out) {
  phase_ = Phase::kNone;
  retry_at_.reset();
  lose_all_locks(out);
  for (auto calls = std::exchange(calls_, {}); auto& [id, call] : calls) out.push_back(Finished{id, Refused{error, {}, {}}});
  set_state(State::kEnded, error, out);
}

void Engine::lose_all_locks(Actions& out) {
  if (held_.empty()) return;
  LocksGone gone;
  for (const auto& [key, token] : held_) gone.keys.push_back(key);
  held_.clear();
  out.push_back(std::move(gone));
}

void Engine::reconnect_now(TimePoint now, Actions& out) {
  if (retry_at_) connect(settings_.servers[next_server_], now, out);
}

void Engine::tick(TimePoint now, Actions& out) {
  if (retry_at_ && now >= *retry_at_) connect(settings_.servers[next_server_], now, out);
  if ((phase_ == Phase::kOpening || phase_ == Phase::kRegistering) && now >= phase_deadline_) {
    out.push_back(Disconnect{});
    retry_later({ErrorCode::kTimedOut, fmt::format("connect to {}: no answer in time", current_server_), ""}, {}, now, out);
  }
  if (phase_ == Phase::kRunning) {
    if (now >= next_beat_) {
      const auto id = next_id_++;
      beats_.emplace(id, now);
      next_beat_ = now + welcome_->heartbeat;
      send(Beat{}, id, out);
    }
    if (state_ == State::kConnected && !may_edit(now)) {
      set_state(State::kReadOnly, {ErrorCode::kTimedOut, fmt::format("hear from {}: the lease is over", current_server_), ""}, out);
    }
    if (!beats_.empty() && now >= beats_.begin()->second + welcome_->suspect) {
      out.push_back(Disconnect{});
      retry_later({ErrorCode::kTimedOut, fmt::format("hear from {}: no answer to a heartbeat", current_server_), ""}, {}, now, out);
    }
  }
  std::vector<CallId> over;
  for (const auto& [id, call] : calls_) {
    if (now >= call.deadline) over.push_back(id);
  }
  for (const auto id : over) {
    finish(id, Refused{{ErrorCode::kTimedOut, "wait for the node's answer: the time is over", ""}, {}, {}}, out);
  }
}

CallId Engine::call(RequestBody body, TimePoint deadline, TimePoint now, Actions& out) {
  const auto id = next_id_++;
  if (auto* request = request_field(body); request && request->empty()) *request = fmt::format("{:016x}-{}", random(), id);
  if (state_ == State::kEnded || state_ == State::kIdle || now >= deadline) {
    const auto code = now >= deadline ? ErrorCode::kTimedOut : ErrorCode::kNotReachable;
    out.push_back(Finished{id, Refused{{code, "ask the node: there is no connection", ""}, {}, {}}});
    return id;
  }
  if (phase_ == Phase::kRunning) send(body, id, out);
  calls_.emplace(id, Call{std::move(body), deadline});
  return id;
}

void Engine::on_message(const std::variant<std::monostate, Reply, Event>& message, TimePoint now, Actions& out) {
  if (const auto* reply = std::get_if<Reply>(&message)) on_reply(*reply, now, out);
  if (const auto* event = std::get_if<Event>(&message)) on_event(*event, now, out);
}

void Engine::on_reply(const Reply& reply, TimePoint now, Actions& out) {
  const auto id = parse_u64(reply.id.json).value_or(0);
  if (phase_ == Phase::kRegistering && id == registration_id_) return on_registration(reply.body, now, out);
  if (const auto beat = beats_.find(id); beat != beats_.end()) {
    if (const auto* refused = std::get_if<Refused>(&reply.body)) {
      out.push_back(Disconnect{});
      return retry_later(refused->error, {}, now, out);
    }
    last_answered_ = std::max(last_answered_, beat->second);
    beats_.erase(beats_.begin(), std::next(beat));
    failures_ = 0;
    if (may_edit(now) || state_ == State::kReadOnly) set_state(State::kConnected, {}, out);
    return;
  }
  finish(id, reply.body, out);
}

void Engine::on_registration(const ReplyBody& body, TimePoint now, Actions& out) {
  if (const auto* welcome = std::get_if<Welcome>(&body)) return on_welcome(*welcome, now, out);
  if (const auto* redirect = std::get_if<Redirect>(&body)) {
    ticket_ = redirect->ticket;
    const auto host = current_server_.substr(0, current_server_.rfind(':'));
    out.push_back(Disconnect{});
    const auto main_server = current_server_;
    connect(fmt::format("{}:{}", host, redirect->port), now, out);
    current_server_ = main_server;
    return;
  }
  const auto* refused = std::get_if<Refused>(&body);
  const Error error = refused ? refused->error : Error{ErrorCode::kBadMessage, "register: the answer is no welcome", ""};
  if (error.code == ErrorCode::kUnknownSession && session_) {
    // The node has forgotten us: what we held is gone, but the events go on from our cursor.
    session_ = {};
    lose_all_locks(out);
    return register_or_resume(now, out);
  }
  out.push_back(Disconnect{});
  if (final_refusal(error.code)) return end(error, out);
  retry_later(error, refused && refused->retry_after ? nanoseconds{*refused->retry_after} : nanoseconds{0}, now, out);
}

void Engine::on_welcome(const Welcome& welcome, TimePoint now, Actions& out) {
  phase_ = Phase::kRunning;
  ever_connected_ = true;
  failures_ = 0;
  welcome_ = welcome;
  session_ = welcome.session;
  if (!welcome.secret.empty()) secret_ = welcome.secret;
  if (!has_cursor_) cursor_ = welcome.cursor;
  has_cursor_ = true;
  last_answered_ = registration_sent_;
  next_beat_ = now + welcome.heartbeat;
  for (const auto& server : welcome.servers) {
    if (std::find(settings_.servers.begin(), settings_.servers.end(), server) == settings_.servers.end()) {
      settings_.servers.push_back(server);
    }
  }
  if (welcome.resumed) {
    for (const auto& held : welcome.held) held_[held.key] = held.token;
    std::map<LockLostReason, std::vector<RecordKey>> lost;
    for (const auto& gone : welcome.lost) {
      if (held_.erase(gone.key) > 0) lost[gone.reason].push_back(gone.key);
    }
    for (auto& [reason, keys] : lost) out.push_back(LocksGone{std::move(keys), reason});
  }
  set_state(State::kConnected, {}, out);
  for (const auto& [id, call] : calls_) send(call.body, id, out);
}

void Engine::finish(CallId id, ReplyBody body, Actions& out) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  remember_outcome(found->second, body);
  calls_.erase(found);
  out.push_back(Finished{id, std::move(body)});
}

void Engine::remember_outcome(const Call& call, const ReplyBody& body) {
  if (const auto* granted = std::get_if<Granted>(&body)) {
    for (const auto& [key, token] : granted->tokens) held_[key] = token;
  } else if (const auto* unlock = std::get_if<Unlock>(&call.body); unlock && std::holds_alternative<Done>(body)) {
    for (const auto& key : unlock->keys) held_.erase(key);
    if (unlock->token.value != 0) std::erase_if(held_, [&](const auto& held) { return held.second == unlock->token; });
  }
}

void Engine::on_event(const Event& event, TimePoint now, Actions& out) {
  if (const auto* changes = std::get_if<Changes>(&event)) {
    cursor_ = changes->cursor;
  } else if (const auto* snapshot = std::get_if<Snapshot>(&event)) {
    cursor_ = snapshot->cursor;
  } else if (const auto* lost = std::get_if<LockLost>(&event)) {
    for (const auto& key : lost->keys) held_.erase(key);
    out.push_back(LocksGone{lost->keys, lost->reason});
  } else if (std::holds_alternative<Ping>(event)) {
    next_beat_ = now;
    return tick(now, out);
  } else if (const auto* closing = std::get_if<Closing>(&event)) {
    if (closing->reason == ClosingReason::kSuperseded || closing->reason == ClosingReason::kRemoved) {
      out.push_back(Disconnect{});
      const bool superseded = closing->reason == ClosingReason::kSuperseded;
      return end({superseded ? ErrorCode::kSuperseded : ErrorCode::kUnknownSession,
                  superseded ? "stay connected: a newer connection took this session over"
                             : "stay connected: an administrator ended this session", ""}, out);
    }
  }
  out.push_back(Happened{event});
}

}  // namespace verbund::client
