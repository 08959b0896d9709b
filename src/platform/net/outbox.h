#pragma once
/// What waits to be sent on one connection: shared messages plus how each is framed. One loop round's messages leave in
/// one write. Threads: the loop's thread.
#include <vector>

#include "platform/net/frame_reader.h"
#include "platform/net/server.h"
#include "platform/net/transport.h"

namespace verbund::net {

enum class Framing : std::uint8_t { kRaw, kLine, kText, kPong, kClose };

class Outbox {
 public:
  enum class Progress { kDrained, kBlocked, kFailed };
  struct Written {
    Progress progress;
    std::size_t bytes;
  };

  void push(Buffer message, Framing framing);
  /// With framing, not yet taken by the kernel.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return bytes_ == 0; }
  /// Writes until all is out or the kernel takes no more. `scratch` is the loop's write buffer.
  Written write_to(Transport& transport, std::span<char> scratch);
  /// Forgets all but the message whose first bytes are out: the stream stays well-formed.
  void keep_begun_message_only();

 private:
  struct Item {
    Buffer message;
    Framing framing;
  };
  void gather(std::span<char> scratch, std::vector<iovec>& pieces) const;
  void advance(std::size_t bytes);
  static std::size_t framed_bytes(const Item& item);

  std::vector<Item> items_;
  std::uint32_t head_ = 0;         ///< items before it are sent
  std::size_t sent_of_head_ = 0;   ///< bytes, framing included
  std::size_t bytes_ = 0;
};

}  // namespace verbund::net
