#include "cluster/ports.h"

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::cluster {

Result<std::uint16_t> PortTable::offer(std::string ticket, TimePoint now) {
  for (std::uint16_t tried = 0; tried < count_; ++tried) {
    const auto port = static_cast<std::uint16_t>(first_ + (next_ + tried) % count_);
    if (ports_.contains(port)) continue;
    next_ = static_cast<std::uint16_t>((next_ + tried + 1) % count_);
    ports_[port] = {std::move(ticket), now + accept_};
    return port;
  }
  return fail(ErrorCode::kPortsExhausted,
              phrase("register: all {} ports from {} on are taken", count_, first_),
              phrase("raise ports.count in config/P2P.properties or end clients that are not needed"));
}

Status PortTable::redeem(std::uint16_t port, const std::string& ticket, TimePoint now) {
  const auto found = ports_.find(port);
  if (ticket.empty() || found == ports_.end() || found->second.ticket != ticket || now >= found->second.deadline) {
    return fail(ErrorCode::kTicketInvalid, phrase("register on port {}: the ticket is wrong, used or too old", port),
                phrase("register on the main port again"));
  }
  found->second.ticket.clear();
  return {};
}

void PortTable::release(std::uint16_t port) { ports_.erase(port); }

bool PortTable::withdraw(std::uint16_t port, const std::string& ticket) {
  const auto found = ports_.find(port);
  if (ticket.empty() || found == ports_.end() || found->second.ticket != ticket) return false;
  ports_.erase(found);
  return true;
}

std::vector<std::pair<std::uint16_t, std::string>> PortTable::expire(TimePoint now) {
  std::vector<std::pair<std::uint16_t, std::string>> expired;
  for (auto entry = ports_.begin(); entry != ports_.end();) {
    if (entry->second.ticket.empty() || entry->second.deadline > now) {
      ++entry;
      continue;
    }
    expired.emplace_back(entry->first, std::move(entry->second.ticket));
    entry = ports_.erase(entry);
  }
  return expired;
}

}  // namespace verbund::cluster
