// The connection's life: connect, register or resume, beat, notice silence, try again.
#include "client/engine.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::client {
namespace {

using namespace protocol;

// Between the end of editing and the end of the lease at the node: room for the timer that ends it.
constexpr milliseconds kLeaseMargin{500};
constexpr milliseconds kLongestRetry{4'000};
constexpr milliseconds kDefaultJitter{500};
// Of what a welcome says we take only what can be meant: a wrong node must not make us spin or overflow.
constexpr milliseconds kShortestSpan{10};
constexpr milliseconds kLongestSpan{24 * 3'600'000};
constexpr milliseconds kLongestJitter{60'000};
constexpr std::size_t kMaxServers = 16;

/// Of "TERM.MAC"; 0: none. Whether it is true the nodes check.
std::uint64_t term_of(std::string_view proof) { return parse_u64(proof.substr(0, proof.find('.'))).value_or(0); }

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

Welcome bounded(Welcome welcome) {
  for (auto* span : {&welcome.heartbeat, &welcome.suspect, &welcome.lease, &welcome.reconnect}) {
    *span = std::clamp(*span, kShortestSpan, kLongestSpan);
  }
  welcome.jitter = std::clamp(welcome.jitter, milliseconds{0}, kLongestJitter);
  return welcome;
}

/// The host part of HOST[:PORT], with the brackets of an IPv6 address.
std::string host_of(const std::string& server) {
  const auto colon = server.rfind(':');
  return colon == std::string::npos || server.ends_with(']') ? server : server.substr(0, colon);
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

TimePoint Engine::edit_until() const {
  if (state_ != State::kConnected || !welcome_) return {};
  return last_answered_ + welcome_->lease - kLeaseMargin;
}

bool Engine::may_edit(TimePoint now) const { return state_ == State::kConnected && now < edit_until(); }

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
  redirected_ = false;
  retry_at_.reset();
  phase_ = Phase::kOpening;
  // The layer below bounds the opening; this also covers a peer that takes the connection and never answers.
  phase_deadline_ = now + settings_.connect_timeout;
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
  const auto ticket = std::exchange(ticket_, {});
  if (session_) {
    Resume resume;
    resume.session = session_;
    resume.secret = secret_;
    resume.ticket = ticket;
    resume.cursor = cursor_;
    for (const auto& [key, token] : held_) resume.reclaim.push_back({key, token});
    resume.term_proof = term_proof_;
    return send(resume, registration_id_, out);
  }
  if (!ticket.empty()) {
    // The rest was said on the main port.
    Register redeem;
    redeem.ticket = ticket;
    return send(redeem, registration_id_, out);
  }
  Register registration = settings_.registration;
  if (has_cursor_) registration.cursor = cursor_;
  registration.term_proof = term_proof_;
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
  // A node that has just been there is asked first: it may have restarted.
  if (phase_ != Phase::kRunning) next_server_ = (next_server_ + 1) % settings_.servers.size();
  phase_ = Phase::kNone;
  ticket_.clear();
  ++failures_;
  finish_unrepeatable(out);
  if (state_ == State::kEnded) return;  // it had said goodbye
  if (!ever_connected_) {
    if (failures_ >= settings_.servers.size()) return end(error, out);
    return connect(settings_.servers[next_server_], now, out);
  }
  if (!settings_.reconnect) return end(error, out);
  set_state(State::kReadOnly, error, out);
  retry_at_ = now + std::max(retry_delay(), std::min<nanoseconds>(least, kLongestJitter));
}

/// A random part of a window that the node's jitter begins and each round of all servers doubles. Within a round the next server is asked soon: when one machine of two is gone for good,
/// its turns must not keep anybody from the other one.
nanoseconds Engine::retry_delay() {
  const nanoseconds jitter = std::max<nanoseconds>(welcome_ ? welcome_->jitter : kDefaultJitter, kShortestSpan);
  const std::size_t servers = settings_.servers.size();
  const std::size_t doublings = failures_ % servers == 0 ? (failures_ - 1) / servers : 0;
  const auto doubled = jitter * (std::int64_t{1} << std::min<std::size_t>(doublings, 9));
  const auto window = std::max<nanoseconds>(jitter, std::min<nanoseconds>(doubled, kLongestRetry));
  return nanoseconds{static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(window.count() + 1))};
}

void Engine::end(const Error& error, Actions& out) {
  if (state_ == State::kEnded) return;
  phase_ = Phase::kNone;
  retry_at_.reset();
  lose_all_locks(out);
  for (auto calls = std::exchange(calls_, {}); auto& [id, call] : calls) {
    if (!call.internal) out.push_back(Finished{id, Refused{error, {}, {}}});
  }
  set_state(State::kEnded, error, out);
}

void Engine::reconnect_now(TimePoint now, Actions& out) {
  if (retry_at_) connect(settings_.servers[next_server_], now, out);
}

void Engine::tick(TimePoint now, Actions& out) {
  if (retry_at_ && now >= *retry_at_) connect(settings_.servers[next_server_], now, out);
  if ((phase_ == Phase::kOpening || phase_ == Phase::kRegistering) && now >= phase_deadline_) {
    out.push_back(Disconnect{});
    retry_later(make_error(ErrorCode::kTimedOut, phrase("connect to {}: no answer in time", current_server_)), {}, now, out);
  }
  if (phase_ == Phase::kRunning) watch_node(now, out);
  watch_calls(now, out);
}

void Engine::beat(TimePoint now, Actions& out) {
  const auto id = next_id_++;
  beats_.emplace(id, now);
  next_beat_ = now + welcome_->heartbeat;
  send(Beat{}, id, out);
}

void Engine::watch_node(TimePoint now, Actions& out) {
  if (now >= next_beat_) beat(now, out);
  if (state_ == State::kConnected && !may_edit(now)) {
    set_state(State::kReadOnly, make_error(ErrorCode::kTimedOut, phrase("hear from {}: the lease is over", current_server_)), out);
  }
  if (!beats_.empty() && now >= beats_.begin()->second + welcome_->suspect) {
    out.push_back(Disconnect{});
    retry_later(make_error(ErrorCode::kTimedOut, phrase("hear from {}: no answer to a heartbeat", current_server_)), {}, now, out);
  }
}

void Engine::on_message(const std::variant<std::monostate, Reply, Event>& message, TimePoint now, Actions& out) {
  if (const auto* reply = std::get_if<Reply>(&message)) on_reply(*reply, now, out);
  if (const auto* event = std::get_if<Event>(&message)) on_event(*event, now, out);
}

void Engine::on_reply(const Reply& reply, TimePoint now, Actions& out) {
  const auto id = parse_u64(reply.id.json).value_or(0);
  if (phase_ == Phase::kRegistering && id == registration_id_) return on_registration(reply.body, now, out);
  if (phase_ != Phase::kRunning) return;
  if (beats_.contains(id)) return on_beat_reply(id, reply.body, now, out);
  on_call_reply(id, reply.body, now, out);
}

void Engine::on_beat_reply(std::uint64_t id, const ReplyBody& body, TimePoint now, Actions& out) {
  const auto answered = beats_.find(id);
  if (const auto* refused = std::get_if<Refused>(&body)) {
    out.push_back(Disconnect{});
    return retry_later(refused->error, {}, now, out);
  }
  last_answered_ = std::max(last_answered_, answered->second);
  beats_.erase(beats_.begin(), std::next(answered));
  // What we don't watch passes too: an old cursor would lead to a needless snapshot.
  const auto* reply = std::get_if<BeatReply>(&body);
  if (reply != nullptr && reply->cursor.history == cursor_.history) cursor_.csn = std::max(cursor_.csn, reply->cursor.csn);
  if (state_ == State::kReadOnly && now < last_answered_ + welcome_->lease - kLeaseMargin) set_state(State::kConnected, {}, out);
}

void Engine::on_registration(const ReplyBody& body, TimePoint now, Actions& out) {
  if (const auto* welcome = std::get_if<Welcome>(&body)) return on_welcome(*welcome, now, out);
  if (const auto* redirect = std::get_if<Redirect>(&body); redirect != nullptr && !redirected_) return on_redirect(*redirect, now, out);
  const auto* refused = std::get_if<Refused>(&body);
  const Error error = refused != nullptr ? refused->error : make_error(ErrorCode::kUnavailable, phrase("register: the answer is no welcome"));
  if (session_ && (error.code == ErrorCode::kUnknownSession || error.code == ErrorCode::kUnauthenticated)) {
    // The node has forgotten us: what we held is gone, but the events go on from our cursor.
    session_ = {};
    lose_all_locks(out);
    return register_or_resume(now, out);
  }
  out.push_back(Disconnect{});
  if (final_refusal(error.code)) return end(error, out);
  retry_later(error, refused != nullptr && refused->retry_after ? *refused->retry_after : milliseconds{0}, now, out);
}

/// Terminalservice: on to the port that is ours, with its ticket.
void Engine::on_redirect(const Redirect& redirect, TimePoint now, Actions& out) {
  const auto main_server = current_server_;
  out.push_back(Disconnect{});
  connect(fmt::format("{}:{}", host_of(main_server), redirect.port), now, out);
  ticket_ = redirect.ticket;
  redirected_ = true;
  current_server_ = main_server;
}

void Engine::on_welcome(const Welcome& welcome, TimePoint now, Actions& out) {
  ever_connected_ = true;
  failures_ = 0;
  welcome_ = bounded(welcome);
  if (welcome.resumed) {
    take_over_locks(welcome, out);
  } else {
    lose_all_locks(out);
  }
  phase_ = Phase::kRunning;
  session_ = welcome.session;
  if (!welcome.secret.empty()) secret_ = welcome.secret;
  if (!has_cursor_) cursor_ = welcome.cursor;
  has_cursor_ = true;
  last_answered_ = registration_sent_;
  next_beat_ = now + welcome_->heartbeat;
  learn_servers(welcome);
  if (term_of(welcome.term_proof) > term_of(term_proof_)) term_proof_ = welcome.term_proof;
  set_state(State::kConnected, {}, out);
  send_all_calls(out);
}

void Engine::learn_servers(const Welcome& welcome) {
  auto& servers = settings_.servers;
  for (const auto& server : welcome.servers) {
    if (servers.size() < kMaxServers && std::ranges::find(servers, server) == servers.end()) servers.push_back(server);
  }
  const auto here = std::ranges::find(servers, current_server_);
  if (here != servers.end()) next_server_ = static_cast<std::size_t>(here - servers.begin());
}

void Engine::on_event(const Event& event, TimePoint now, Actions& out) {
  if (phase_ != Phase::kRunning) return;
  if (std::holds_alternative<Ping>(event)) return beat(now, out);
  if (!advance_cursor(event)) return;
  if (const auto* lost = std::get_if<LockLost>(&event)) on_lock_lost(*lost, out);
  out.push_back(Happened{event});
  if (const auto* closing = std::get_if<Closing>(&event)) on_closing(*closing, out);
}

/// False: it has been handed on before.
bool Engine::advance_cursor(const Event& event) {
  if (const auto* changes = std::get_if<Changes>(&event)) {
    if (changes->cursor.history == cursor_.history && changes->cursor.csn <= cursor_.csn) return false;
    cursor_ = changes->cursor;
  } else if (const auto* snapshot = std::get_if<Snapshot>(&event)) {
    cursor_ = snapshot->cursor;
  }
  return true;
}

void Engine::on_closing(const Closing& closing, Actions& out) {
  if (closing.jitter.count() > 0) welcome_->jitter = std::min(closing.jitter, kLongestJitter);
  if (closing.reason != ClosingReason::kSuperseded && closing.reason != ClosingReason::kRemoved) return;
  out.push_back(Disconnect{});
  const bool superseded = closing.reason == ClosingReason::kSuperseded;
  end({superseded ? ErrorCode::kSuperseded : ErrorCode::kUnknownSession,
       superseded ? "stay connected: a newer connection took this session over"
                  : "stay connected: an administrator ended this session", ""}, out);
}

}  // namespace verbund::client
