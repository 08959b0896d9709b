#pragma once
/// Sums over rows, by which device and server find the few in which they differ (docs/protocol/devices.md, "Repair"). Pure; a value.
///
/// Each row counts for the slot of its key; a slot's sum is the XOR of its rows' hashes, so their order is nothing. Two slots that hold different rows have the same
/// sum once in 2^64.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::sync {

inline constexpr std::size_t kRowsPerSlot = 64;    ///< as many as are sent again for one that differs
inline constexpr std::size_t kMaxSlots = 65'536;

class RowSums {
 public:
  /// `slots`: a power of two, at most kMaxSlots.
  explicit RowSums(std::size_t slots = 1);
  static std::size_t slots_for(std::uint64_t rows);

  /// `key`, `row`: values one behind the other as append_value writes them; those of the key in the key's order.
  void add(std::string_view key, std::string_view row);
  [[nodiscard]] std::size_t slots() const { return sums_.size(); }
  [[nodiscard]] std::uint32_t slot_of(std::string_view key) const;
  /// Per slot; both have the same number of them.
  [[nodiscard]] std::vector<bool> differing(const RowSums& other) const;

  /// 8 bytes per slot, the lowest first.
  [[nodiscard]] std::string bytes() const;
  /// Errors: kBadMessage (no such number of slots).
  static Result<RowSums> read(std::string_view bytes);

 private:
  std::vector<std::uint64_t> sums_;
};

}  // namespace verbund::sync
