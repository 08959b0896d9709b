// Connection: what goes out, and how it ends.
#include "platform/net/server_impl.h"

namespace verbund::net {
namespace {

/// Time for the last words of a connection that broke a rule, and for the other side to close after ours.
constexpr seconds kLastWords{5};
constexpr seconds kLinger{2};
/// TLS alert record: fatal, handshake_failure (RFC 8446 §6).
constexpr std::string_view kTlsRefused("\x15\x03\x01\x00\x02\x02\x28", 7);

Buffer shared(std::string_view text) { return std::make_shared<const std::string>(text); }

/// The protocol's error object, for what goes wrong below the protocol. The texts hold nothing that JSON escapes.
std::string error_object(ErrorCode code, std::string_view message, std::string_view hint) {
  return fmt::format(R"({{"ok":false,"error":{{"code":"{}","message":"{}","hint":"{}"}}}})", wire_name(code), message, hint);
}

}  // namespace

void Connection::send(Buffer message) { queue(std::move(message), websocket_ ? Framing::kText : Framing::kLine); }

void Connection::queue(Buffer message, Framing framing) {
  if (!open_ || doomed_) return;
  const auto over = [&] {
    return !outbox_.empty() && outbox_.bytes() + message->size() > server_.limits.max_queue_bytes;
  };
  if (over()) {
    // Within one round more than the limit may come together although the kernel would take it.
    if (outbox_.write_to(transport_, server_.write_buffer()).progress == Outbox::Progress::kFailed) {
      return doom(CloseReason::kPeer);
    }
    if (over()) {
      server_.too_slow_total.add();
      return doom(CloseReason::kTooSlow);
    }
  }
  outbox_.push(std::move(message), framing);
  mark_dirty();
}

void Connection::notify_when_drained() {
  notify_drained_ = true;
  mark_dirty();
}

void Connection::trust() {
  if (trusted_ || ended_) return;
  trusted_ = true;
  --server_.untrusted;
  if (open_ && !doomed_) set_deadline(SteadyTime::max());
}

void Connection::close() {
  if (open_) doom(CloseReason::kLocal);
}

void Connection::doom(CloseReason reason) {
  if (doomed_ || ended_) return;
  doomed_ = true;
  doom_reason_ = reason;
  mark_dirty();
}

void Connection::carry_out_doom() {
  const auto reason = doom_reason_;
  if (reason == CloseReason::kTooSlow) {
    outbox_.keep_begun_message_only();
    if (farewell_) outbox_.push(farewell_, websocket_ ? Framing::kText : Framing::kLine);
  }
  const bool says_goodbye = reason == CloseReason::kLocal || reason == CloseReason::kTooSlow || reason == CloseReason::kTimeout;
  if (websocket_ && says_goodbye) outbox_.push(shared(close_payload(CloseCode::kNormal)), Framing::kClose);
  // A peer that we close by wish stays open until all is out; the others are gone for the handler now.
  if (reason != CloseReason::kLocal) announce_close(reason);
  begin_draining(reason == CloseReason::kLocal ? orderly_end() : kLastWords);
}

void Connection::flush() {
  if (ended_) return;
  if (doomed_ && phase_ != Phase::kDraining && phase_ != Phase::kLingering) carry_out_doom();
  if (phase_ == Phase::kFirstByte || phase_ == Phase::kHandshake || phase_ == Phase::kLingering) return;
  const auto written = outbox_.write_to(transport_, server_.write_buffer());
  if (written.progress == Outbox::Progress::kFailed) return end(doomed_ ? doom_reason_ : CloseReason::kPeer);
  if (written.progress == Outbox::Progress::kBlocked) {
    if (written.bytes > 0 || stall_deadline_ == SteadyTime::max()) {
      stall_deadline_ = std::chrono::steady_clock::now() + server_.limits.write_stall_timeout;
      link_if_timed();
    }
    return update_wanted();
  }
  if (stall_deadline_ != SteadyTime::max()) {
    stall_deadline_ = SteadyTime::max();
    link_if_timed();
    update_wanted();
  }
  if (phase_ == Phase::kDraining) return begin_lingering();
  if (std::exchange(notify_drained_, false) && open_) server_.peers.on_drained(*this);
}

nanoseconds Connection::orderly_end() const {
  // A stall ends it earlier; this bounds a peer that takes a byte now and then.
  return 10 * server_.limits.write_stall_timeout;
}

void Connection::begin_draining(nanoseconds at_most) {
  phase_ = Phase::kDraining;
  forget_http();
  set_deadline(std::chrono::steady_clock::now() + at_most);
  update_wanted();
  mark_dirty();
}

void Connection::begin_lingering() {
  announce_close(doom_reason_);
  phase_ = Phase::kLingering;
  transport_.shut_down_writes();
  set_deadline(std::chrono::steady_clock::now() + kLinger);
  update_wanted();
}

void Connection::refuse_plaintext(Speech speech) {
  server_.refused_total.add();
  constexpr std::string_view kMessage = "plaintext from another machine is not allowed here";
  constexpr std::string_view kHint = "use TLS, or set plaintext = 'all' in [listen] of the node's configuration";
  if (speech == Speech::kHttp) return answer_and_close(403, ErrorCode::kPlaintextRefused, kMessage, kHint);
  outbox_.push(shared(error_object(ErrorCode::kPlaintextRefused, kMessage, kHint)), Framing::kLine);
  begin_draining(kLastWords);
}

void Connection::refuse_tls() {
  server_.refused_total.add();
  outbox_.push(shared(kTlsRefused), Framing::kRaw);
  begin_draining(kLastWords);
}

void Connection::answer_and_close(int status, ErrorCode code, std::string_view message, std::string_view hint) {
  HttpResponse response{status, "application/json", error_object(code, message, hint), {}};
  outbox_.push(shared(response_head(response, false)), Framing::kRaw);
  outbox_.push(shared(response.body), Framing::kRaw);
  begin_draining(kLastWords);
}

void Connection::check_deadlines(SteadyTime now) {
  if (ended_ || !is_late(now)) return;
  if (phase_ != Phase::kLingering) server_.timed_out_total.add();
  if (now >= stall_deadline_ && phase_ != Phase::kDraining) return end(CloseReason::kTooSlow);
  stalled_or_late();
}

void Connection::stalled_or_late() {
  switch (phase_) {
    case Phase::kFirstByte:
    case Phase::kHandshake:
    case Phase::kDraining:
    case Phase::kLingering:
      return end(doomed_ ? doom_reason_ : CloseReason::kTimeout);
    case Phase::kHttp:
      if (!http_->parser.begun()) return end(CloseReason::kTimeout);
      return answer_and_close(408, ErrorCode::kTimedOut, "the request did not come in time");
    case Phase::kLine:
    case Phase::kWebSocket:
      set_deadline(SteadyTime::max());
      send(error_object(ErrorCode::kTimedOut, "no registration came in time", "register first"));
      return doom(CloseReason::kTimeout);
  }
}

void Connection::finish() {
  if (open_) return close();
  if (phase_ == Phase::kFirstByte || phase_ == Phase::kHandshake) return end(CloseReason::kLocal);
  if (http_ && http_->busy) {
    http_->keep_alive = false;
  } else if (http_) {
    begin_draining(kLastWords);
  }
}

void Connection::announce_close(CloseReason reason) {
  if (!std::exchange(open_, false)) return;
  server_.peers.on_close(*this, reason);
}

void Connection::end(CloseReason reason) {
  if (std::exchange(ended_, true)) return;
  if (!trusted_) --server_.untrusted;
  DirtyHook::unlink();
  TimedHook::unlink();
  server_.poller().remove(transport_.fd(), *this);
  transport_.close();
  count_body(0);
  announce_close(reason);
  server_.bury(*this);
}

void Connection::mark_dirty() {
  if (ended_ || DirtyHook::is_linked()) return;
  server_.dirty.push_back(*this);
  server_.schedule_flush();
}

void Connection::update_wanted() {
  std::uint32_t events = 0;
  if (!http_ || !http_->busy) events |= EPOLLIN;
  if (tls_wants_write_ || stall_deadline_ != SteadyTime::max()) events |= EPOLLOUT;
  if (events == wanted_) return;
  wanted_ = events;
  server_.poller().modify(transport_.fd(), *this, events);
}

void Connection::set_deadline(SteadyTime deadline) {
  deadline_ = deadline;
  link_if_timed();
}

void Connection::link_if_timed() {
  const bool timed = deadline_ != SteadyTime::max() || stall_deadline_ != SteadyTime::max();
  if (timed == TimedHook::is_linked()) return;
  if (timed) {
    server_.timed.push_back(*this);
  } else {
    TimedHook::unlink();
  }
}

}  // namespace verbund::net
