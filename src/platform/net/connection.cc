#include "platform/net/connection.h"

#include <sys/socket.h>

#include "platform/net/server_impl.h"

namespace verbund::net {
namespace {

/// One connection reads so often in a row before others get their turn; the poller reports it again.
constexpr int kReadsPerTurn = 4;

}  // namespace

Connection::Connection(Server::Impl& server, std::uint64_t id, int fd, PeerAddress address, std::uint16_t local_port)
    : server_(server),
      id_(id),
      transport_(fd),
      address_(std::move(address)),
      local_port_(local_port),
      accepted_at_(std::chrono::steady_clock::now()) {}

Connection::~Connection() {
  if (!ended_) server_.poller().remove(transport_.fd(), *this);
}

bool Connection::start() {
  set_deadline(accepted_at_ + server_.limits.first_byte_timeout);
  wanted_ = EPOLLIN;
  return server_.poller().add(transport_.fd(), *this, wanted_);
}

std::string Connection::cookie(std::string_view name) const {
  return websocket_ ? cookie_value(websocket_->cookies, name) : std::string{};
}

std::size_t Connection::max_message_bytes() const {
  return trusted_ ? server_.limits.max_frame_bytes : server_.limits.max_first_frame_bytes;
}

void Connection::on_ready(std::uint32_t events) {
  if (ended_) return;
  if ((events & EPOLLOUT) != 0 && phase_ != Phase::kHandshake) mark_dirty();
  const bool readable = (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 || tls_wants_write_;
  switch (phase_) {
    case Phase::kFirstByte:
      return transport_.encrypted() ? read_available() : detect();
    case Phase::kHandshake:
      return shake_hands();
    case Phase::kDraining:
    case Phase::kLingering:
      return readable ? drop_input() : void();
    case Phase::kHttp:
      // Not listened to while a request is with the handler: only an error or a hang-up comes through.
      if (http_->busy && readable) return end(CloseReason::kPeer);
      [[fallthrough]];
    case Phase::kLine:
    case Phase::kWebSocket:
      return readable ? read_available() : void();
  }
}

void Connection::detect() {
  char first = 0;
  const auto n = ::recv(transport_.fd(), &first, 1, MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return end(CloseReason::kPeer);
  if (detect_speech(first) != Speech::kTls) return read_available();
  if (!server_.tls) return refuse_tls();
  if (!transport_.accept_tls(*server_.tls)) return end(CloseReason::kError);
  phase_ = Phase::kHandshake;
  shake_hands();
}

void Connection::shake_hands() {
  const auto result = transport_.handshake();
  if (result.status == IoStatus::kAgain) {
    tls_wants_write_ = result.needs_write;
    return update_wanted();
  }
  if (result.status != IoStatus::kDone) return end(CloseReason::kError);
  tls_wants_write_ = false;
  phase_ = Phase::kFirstByte;
  update_wanted();
  read_available();
}

void Connection::choose(char first) {
  const auto speech = detect_speech(first);
  const bool allowed = transport_.encrypted() || address_.loopback || server_.remote_plaintext;
  if (!allowed) return refuse_plaintext(speech);
  if (speech == Speech::kHttp) return begin_http();
  if (speech == Speech::kTls) return end(CloseReason::kError);  // TLS inside TLS
  phase_ = Phase::kLine;
  open(accepted_at_ + server_.limits.first_message_timeout);
}

void Connection::open(SteadyTime trust_deadline) {
  open_ = true;
  set_deadline(trust_deadline);
  server_.peers.on_open(*this);
}

void Connection::read_available() {
  for (int turn = 0; turn < kReadsPerTurn || transport_.has_pending(); ++turn) {
    const auto buffer = server_.read_buffer();
    const auto result = transport_.read(buffer);
    if (result.status == IoStatus::kAgain) {
      if (result.needs_write != tls_wants_write_) {
        tls_wants_write_ = result.needs_write;
        update_wanted();
      }
      return;
    }
    if (result.status != IoStatus::kDone) return end_of_input();
    process_shared(buffer.first(result.bytes));
    if (deaf() || (http_ && http_->busy)) return;
    // A short read has emptied the socket; asking again would only cost a system call.
    if (!transport_.encrypted() && result.bytes < buffer.size()) return;
  }
}

void Connection::drop_input() {
  for (int turn = 0; turn < kReadsPerTurn || transport_.has_pending(); ++turn) {
    const auto result = transport_.read(server_.read_buffer());
    if (result.status == IoStatus::kAgain) return;
    if (result.status != IoStatus::kDone) return end(doom_reason_);
  }
}

void Connection::end_of_input() {
  // Perhaps only its sending side is closed (nc -N): what is answered already, it shall get.
  if (!outbox_.empty()) outbox_.write_to(transport_, server_.write_buffer());
  end(CloseReason::kPeer);
}

void Connection::process_shared(std::span<char> bytes) {
  if (input_.empty()) {
    const auto used = process(bytes);
    if (used < bytes.size()) input_.assign(bytes.data() + used, bytes.size() - used);
    return;
  }
  input_.append(bytes.data(), bytes.size());
  const auto used = process(input_);
  if (used < input_.size()) {
    input_.erase(0, used);
  } else {
    std::string().swap(input_);  // an idle peer owns no buffer
  }
}

std::size_t Connection::process(std::span<char> input) {
  std::size_t used = 0;
  while (true) {
    const auto rest = input.subspan(used);
    const Phase before = phase_;
    if (phase_ == Phase::kFirstByte) {
      choose(rest.front());
    } else if (phase_ == Phase::kLine) {
      used += process_lines(rest);
    } else if (phase_ == Phase::kWebSocket) {
      used += process_frames(rest);
    } else if (phase_ == Phase::kHttp) {
      used += process_http(rest);
    }
    if (deaf()) return input.size();
    if (phase_ == before || used == input.size()) return used;
  }
}

std::size_t Connection::process_lines(std::span<char> input) {
  const std::string_view text(input.data(), input.size());
  std::size_t used = 0;
  while (!deaf()) {
    const auto step = lines_.next(text.substr(used), max_message_bytes());
    used += step.consumed;
    if (step.event == LineReader::Event::kNeedMore) break;
    if (step.event == LineReader::Event::kLine) {
      server_.peers.on_message(*this, step.line);
    } else {
      server_.peers.on_too_large(*this, step.bytes);
    }
  }
  return used;
}

std::size_t Connection::process_frames(std::span<char> input) {
  std::size_t used = 0;
  while (!deaf()) {
    const auto step = websocket_->reader.next(input.subspan(used), max_message_bytes());
    used += step.consumed;
    if (step.event == FrameReader::Event::kNeedMore && step.consumed == 0) break;
    handle_frame(step);
  }
  return used;
}

void Connection::handle_frame(const FrameReader::Step& step) {
  switch (step.event) {
    case FrameReader::Event::kNeedMore:
    case FrameReader::Event::kPong:
      return;
    case FrameReader::Event::kMessage:
      return server_.peers.on_message(*this, step.payload);
    case FrameReader::Event::kPing:
      return queue(std::make_shared<const std::string>(step.payload), Framing::kPong);
    case FrameReader::Event::kClose:
      queue(std::make_shared<const std::string>(step.payload.substr(0, 2)), Framing::kClose);
      return doom(CloseReason::kPeer);
    case FrameReader::Event::kFailed: {
      const bool too_large = step.code == CloseCode::kTooLarge;
      if (too_large) server_.peers.on_too_large(*this, step.bytes);
      queue(std::make_shared<const std::string>(close_payload(step.code)), Framing::kClose);
      return doom(too_large ? CloseReason::kTooLarge : CloseReason::kError);
    }
  }
}

}  // namespace verbund::net
