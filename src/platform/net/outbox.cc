#include "platform/net/outbox.h"

#include <cstring>

namespace verbund::net {
namespace {

constexpr std::size_t kMaxPieces = 64;
/// A message of this size is referred to, not copied: about where a copy costs more than another iovec.
constexpr std::size_t kReferBytes = 8192;
/// A queue of more slots gives its memory back when it is empty.
constexpr std::size_t kKeptSlots = 4;

Opcode opcode_of(Framing framing) {
  if (framing == Framing::kText) return Opcode::kText;
  return framing == Framing::kPong ? Opcode::kPong : Opcode::kClose;
}

bool in_frame(Framing framing) { return framing != Framing::kRaw && framing != Framing::kLine; }

/// Collects pieces; neighbouring small ones share one iovec in the scratch buffer.
class Gatherer {
 public:
  Gatherer(std::span<char> scratch, std::vector<iovec>& pieces) : scratch_(scratch), pieces_(pieces) {}

  /// Leaves out the first `skip` bytes, and takes what it leaves out from `skip`. False: no room for more.
  bool add(std::string_view piece, std::size_t& skip) {
    const auto left_out = std::min(skip, piece.size());
    skip -= left_out;
    piece.remove_prefix(left_out);
    if (piece.empty()) return true;
    return piece.size() < kReferBytes ? copy(piece) : refer(piece);
  }

 private:
  bool copy(std::string_view piece) {
    if (piece.size() > scratch_.size() - used_ || (!open_ && pieces_.size() == kMaxPieces)) return false;
    char* const at = scratch_.data() + used_;
    std::memcpy(at, piece.data(), piece.size());
    used_ += piece.size();
    if (open_) {
      pieces_.back().iov_len += piece.size();
    } else {
      pieces_.push_back({at, piece.size()});
      open_ = true;
    }
    return true;
  }

  bool refer(std::string_view piece) {
    if (pieces_.size() == kMaxPieces) return false;
    pieces_.push_back({const_cast<char*>(piece.data()), piece.size()});  // only read by the kernel
    open_ = false;
    return true;
  }

  std::span<char> scratch_;
  std::vector<iovec>& pieces_;
  std::size_t used_ = 0;
  bool open_ = false;  ///< the last piece lies in the scratch buffer and may grow
};

}  // namespace

std::size_t Outbox::framed_bytes(const Item& item) {
  const auto size = item.message->size();
  if (item.framing == Framing::kRaw) return size;
  return item.framing == Framing::kLine ? size + 1 : size + frame_header_bytes(size);
}

void Outbox::push(Buffer message, Framing framing) {
  Item item{std::move(message), framing};
  if (framed_bytes(item) == 0) return;
  bytes_ += framed_bytes(item);
  items_.push_back(std::move(item));
}

void Outbox::gather(std::span<char> scratch, std::vector<iovec>& pieces) const {
  pieces.clear();
  Gatherer gatherer(scratch, pieces);
  std::size_t skip = sent_of_head_;
  for (std::size_t i = head_; i < items_.size(); ++i) {
    const auto& [message, framing] = items_[i];
    if (in_frame(framing)) {
      const auto header = frame_header(opcode_of(framing), message->size());
      if (!gatherer.add({header.bytes.data(), header.size}, skip)) return;
    }
    if (!gatherer.add(*message, skip)) return;
    if (framing == Framing::kLine && !gatherer.add("\n", skip)) return;
  }
}

Outbox::Written Outbox::write_to(Transport& transport, std::span<char> scratch) {
  static thread_local std::vector<iovec> pieces;
  std::size_t total = 0;
  while (bytes_ > 0) {
    gather(scratch, pieces);
    std::size_t gathered = 0;
    for (const auto& piece : pieces) gathered += piece.iov_len;
    const auto result = transport.write(pieces);
    if (result.status == IoStatus::kAgain) return {Progress::kBlocked, total};
    if (result.status != IoStatus::kDone) return {Progress::kFailed, total};
    total += result.bytes;
    advance(result.bytes);
    // A socket that took less than it was offered is full. (TLS stops at its record size instead.)
    if (result.bytes < gathered && !transport.encrypted()) return {Progress::kBlocked, total};
  }
  return {Progress::kDrained, total};
}

void Outbox::advance(std::size_t bytes) {
  bytes_ -= bytes;
  sent_of_head_ += bytes;
  while (head_ < items_.size() && sent_of_head_ >= framed_bytes(items_[head_])) {
    sent_of_head_ -= framed_bytes(items_[head_]);
    items_[head_++].message.reset();
  }
  if (head_ < items_.size()) {
    if (head_ > 64 && head_ * 2 > items_.size()) {
      items_.erase(items_.begin(), items_.begin() + head_);
      head_ = 0;
    }
    return;
  }
  head_ = 0;
  items_.clear();
  if (items_.capacity() > kKeptSlots) items_.shrink_to_fit();
}

void Outbox::keep_begun_message_only() {
  const std::size_t kept = sent_of_head_ > 0 ? head_ + 1UL : head_;
  items_.resize(std::min(kept, items_.size()));
  bytes_ = sent_of_head_ > 0 && head_ < items_.size() ? framed_bytes(items_[head_]) - sent_of_head_ : 0;
}

}  // namespace verbund::net
