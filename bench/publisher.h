#pragma once
/// Publishes one thing that all subscribers are to hear.
#include <memory>
#include <string>

#include "socket.h"

namespace verbund::bench {

class Publisher {
 public:
  virtual ~Publisher() = default;
  /// Says it and returns at once; the clock of the publication starts before this call.
  virtual void publish(std::size_t number) = 0;
  /// Called when all have heard of it: waits for the publisher's own answer, prepares the next.
  virtual void settle() = 0;
};

/// Over a server's own protocol: "changed" and "tell" (ours), "publish" (Redis, NATS) with `payload_bytes`.
std::unique_ptr<Publisher> over_the_wire(const Target& target, const std::string& what, std::size_t payload_bytes);
/// COMMIT of a transaction that ran `statement` ("%d" becomes the number) before the clock started.
std::unique_ptr<Publisher> by_commit(const std::string& conninfo, std::string statement);

}  // namespace verbund::bench
