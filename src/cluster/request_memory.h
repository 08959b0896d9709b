#pragma once
/// Outcomes of the last requests of one session, so that a request repeated after a lost reply is not done twice
/// (ZOOKEEPER-1262). Pure, one thread. Empty it takes no heap.
#include <string>
#include <string_view>
#include <vector>

namespace verbund::cluster {

template <typename Outcome>
class RequestMemory {
 public:
  static constexpr std::size_t kRemembered = 64;

  /// Null when unknown or forgotten. Valid until the next `put`.
  [[nodiscard]] const Outcome* find(std::string_view request) const {
    const auto hash = std::hash<std::string_view>{}(request);
    for (std::size_t i = 0; i < hashes_.size(); ++i) {
      if (hashes_[i] == hash && slots_[i].request == request) return &slots_[i].outcome;
    }
    return nullptr;
  }
  /// A request that is there gets the new outcome.
  void put(std::string request, Outcome outcome) {
    if (auto* known = const_cast<Outcome*>(find(request))) {
      *known = std::move(outcome);
      return;
    }
    const auto hash = std::hash<std::string_view>{}(request);
    if (slots_.size() < kRemembered) {
      hashes_.push_back(hash);
      slots_.push_back({std::move(request), std::move(outcome)});
      return;
    }
    hashes_[next_] = hash;
    slots_[next_] = {std::move(request), std::move(outcome)};
    next_ = (next_ + 1) % kRemembered;
  }
  /// It was not done after all: it may be tried again.
  void forget(std::string_view request) {
    for (auto& slot : slots_) {
      if (slot.request != request) continue;
      hashes_[static_cast<std::size_t>(&slot - slots_.data())] = std::hash<std::string_view>{}({});
      slot.request.clear();
    }
  }

 private:
  struct Slot {
    std::string request;
    Outcome outcome;
  };
  std::vector<std::size_t> hashes_;  ///< apart from the slots: a search touches 512 bytes
  std::vector<Slot> slots_;
  std::size_t next_ = 0;  ///< oldest, overwritten next
};

}  // namespace verbund::cluster
