// MessageClient: reading and writing of an open connection.
#include <openssl/rand.h>

#include "base/messages.h"

#include "platform/net/client_impl.h"

namespace verbund::net {
namespace {

/// The server's messages have no limit of their own; this one keeps a broken server from filling our memory.
constexpr std::size_t kMaxMessageBytes = 64UL * 1024 * 1024;
constexpr int kReadsPerTurn = 4;

/// RFC 6455 §5.3 wants masks that nobody can foretell.
std::uint32_t new_mask() {
  std::uint32_t mask = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&mask), sizeof mask);
  return mask;
}

}  // namespace

void MessageClient::Impl::on_ready(std::uint32_t ready) {
  const auto self = shared_from_this();  // a callback may drop the MessageClient
  if (phase == Phase::kConnecting) return connected();
  if (phase == Phase::kHandshake) return shake_hands();
  if ((ready & EPOLLOUT) != 0) write_out();
  if (phase == Phase::kUpgrading || phase == Phase::kOpen) read_available();
}

void MessageClient::Impl::read_available() {
  for (int turn = 0; turn < kReadsPerTurn || (transport && transport->has_pending()); ++turn) {
    auto& buffer = loop.impl().read_buffer;
    const auto result = transport->read(buffer);
    if (result.status == IoStatus::kAgain) return;
    if (result.status != IoStatus::kDone) {
      // With TLS 1.3 a refusal of the handshake may come as late as here.
      if (phase == Phase::kUpgrading) return fail_with(not_reachable(endpoint, phrase("the server closed the connection")));
      return fail_with(make_error(ErrorCode::kNotReachable, phrase("{} closed the connection", name_of(endpoint))));
    }
    process(std::span(buffer).first(result.bytes));
    if (phase == Phase::kClosed) return;
    if (!transport->encrypted() && result.bytes < buffer.size()) return;
  }
}

void MessageClient::Impl::process(std::span<char> bytes) {
  const bool kept = !input.empty();
  if (kept) input.append(bytes.data(), bytes.size());
  std::span<char> rest = kept ? std::span<char>(input) : bytes;
  const auto whole = rest;
  if (phase == Phase::kUpgrading) rest = rest.subspan(process_upgrade(rest));
  if (phase == Phase::kOpen) {
    rest = rest.subspan(endpoint.wire == Wire::kLine ? process_lines(rest) : process_frames(rest));
  }
  if (phase == Phase::kClosed) return;
  if (kept) {
    input.erase(0, whole.size() - rest.size());
  } else {
    input.assign(rest.data(), rest.size());
  }
  if (input.empty()) std::string().swap(input);
}

std::size_t MessageClient::Impl::process_upgrade(std::span<char> bytes) {
  std::size_t consumed = 0;
  auto whole = upgrade->next({bytes.data(), bytes.size()}, consumed);
  if (!whole) {
    fail_with(not_reachable(endpoint, std::move(whole.error())));
  } else if (*whole && upgrade->accepts_websocket(websocket_key)) {
    upgrade.reset();
    opened();
  } else if (*whole) {
    fail_with(not_reachable(endpoint, phrase("no WebSocket there (HTTP status {})", upgrade->status())));
  }
  return consumed;
}

std::size_t MessageClient::Impl::process_lines(std::span<char> bytes) {
  const std::string_view text(bytes.data(), bytes.size());
  std::size_t used = 0;
  while (phase == Phase::kOpen) {
    const auto step = lines.next(text.substr(used), kMaxMessageBytes);
    used += step.consumed;
    if (step.event == LineReader::Event::kNeedMore) break;
    if (step.event == LineReader::Event::kLine && events.on_message) events.on_message(step.line);
  }
  return used;
}

std::size_t MessageClient::Impl::process_frames(std::span<char> bytes) {
  std::size_t used = 0;
  while (phase == Phase::kOpen) {
    const auto step = frames.next(bytes.subspan(used), kMaxMessageBytes);
    used += step.consumed;
    if (step.event == FrameReader::Event::kNeedMore && step.consumed == 0) break;
    take_frame(step);
  }
  return used;
}

void MessageClient::Impl::take_frame(const FrameReader::Step& step) {
  switch (step.event) {
    case FrameReader::Event::kNeedMore:
    case FrameReader::Event::kPong:
      return;
    case FrameReader::Event::kMessage:
      if (events.on_message) events.on_message(step.payload);
      return;
    case FrameReader::Event::kPing:
      return send_frame(Opcode::kPong, step.payload);
    case FrameReader::Event::kClose:
      send_frame(Opcode::kClose, step.payload.substr(0, 2));
      write_out();
      return fail_with(make_error(ErrorCode::kNotReachable, phrase("{} closed the connection", name_of(endpoint))));
    case FrameReader::Event::kFailed:
      send_frame(Opcode::kClose, close_payload(step.code));
      write_out();
      return fail_with(make_error(ErrorCode::kBadMessage, phrase("{} sent a malformed WebSocket frame", name_of(endpoint))));
  }
}

void MessageClient::Impl::send(std::string_view message) {
  if (endpoint.wire == Wire::kWebSocket) return send_frame(Opcode::kText, message);
  output += message;
  output += '\n';
  schedule_write();
}

void MessageClient::Impl::send_frame(Opcode opcode, std::string_view payload) {
  append_masked_frame(output, opcode, payload, new_mask());
  schedule_write();
}

void MessageClient::Impl::schedule_write() {
  if (std::exchange(write_scheduled, true)) return;
  loop.at_end_of_round([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->write_scheduled = false;
    self->write_out();
  });
}

void MessageClient::Impl::write_out() {
  if (phase != Phase::kUpgrading && phase != Phase::kOpen) return;
  std::size_t written = 0;
  while (written < output.size()) {
    const iovec piece{output.data() + written, output.size() - written};
    const auto result = transport->write(std::span(&piece, 1));
    if (result.status == IoStatus::kAgain) break;
    if (result.status != IoStatus::kDone) {
      // What the server said before it closed may still wait to be read: the poller reports it, then the end.
      written = output.size();
      break;
    }
    written += result.bytes;
  }
  output.erase(0, written);
  if (output.empty() && output.capacity() > 4096) std::string().swap(output);
  want(output.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void MessageClient::Impl::want(std::uint32_t wish) {
  if (wanted == wish || !transport) return;
  wanted = wish;
  loop.impl().poller.modify(transport->fd(), *this, wish);
}

}  // namespace verbund::net
