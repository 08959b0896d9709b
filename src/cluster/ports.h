#pragma once
/// Terminalservice mode: which port belongs to which client. Pure engine: no I/O, no clock; one thread.
///
/// A port is free, offered (with a one-time ticket, until the accept deadline) or taken (until its connection ends).
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace verbund::cluster {

class PortTable {
 public:
  PortTable(std::uint16_t first, std::uint16_t count, milliseconds accept) : first_(first), count_(count), accept_(accept) {}

  /// Offers the next free port to whoever brings `ticket`. Errors: kPortsExhausted.
  Result<std::uint16_t> offer(std::string ticket, TimePoint now);
  /// The ticket's client has come to `port`: the port is its own. Errors: kTicketInvalid (wrong, used, too old, other port).
  Status redeem(std::uint16_t port, const std::string& ticket, TimePoint now);
  void release(std::uint16_t port);
  /// Takes an offer back that its ticket's client has not come for. False: it has come, or the offer is over.
  bool withdraw(std::uint16_t port, const std::string& ticket);
  /// Ports whose offer was not taken in time; free again. Their tickets are listed too.
  std::vector<std::pair<std::uint16_t, std::string>> expire(TimePoint now);
  [[nodiscard]] std::size_t used() const { return ports_.size(); }

 private:
  struct Port {
    std::string ticket;  ///< empty: taken
    TimePoint deadline;
  };
  std::uint16_t first_, count_;
  milliseconds accept_;
  std::uint16_t next_ = 0;  ///< round robin: a port just freed rests as long as possible
  std::map<std::uint16_t, Port> ports_;
};

}  // namespace verbund::cluster
