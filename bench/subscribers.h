#pragma once
/// Those who are to hear of a publication: clients of a server, or sessions of PostgreSQL that LISTEN.
#include <memory>

#include "outcome.h"
#include "socket.h"

namespace verbund::bench {

class Subscribers {
 public:
  virtual ~Subscribers() = default;
  [[nodiscard]] virtual std::size_t count() const = 0;
  virtual void watch_with(Epoll& epoll) = 0;
  /// How many publications have come with what can be read on subscriber `number`'s socket.
  virtual std::size_t receive(std::size_t number) = 0;
  /// Bytes of the last publication on the wire, framing aside.
  [[nodiscard]] virtual std::size_t last_bytes() const = 0;
  virtual void leave() = 0;
};

/// `marker`: how a publication's message begins (other messages, such as pings, are skipped).
std::unique_ptr<Subscribers> subscribe(const Target& target, std::size_t count, std::string marker);
/// LISTEN bench on `count` connections of their own.
std::unique_ptr<Subscribers> listen_in_postgres(const std::string& conninfo, std::size_t count);

}  // namespace verbund::bench
