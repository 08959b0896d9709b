#include "sync/model/sums.h"

#include <algorithm>
#include <bit>

#include "base/messages.h"
#include "platform/os/short_hash.h"

namespace verbund::sync {
namespace {

constexpr std::uint64_t kOfSlots = 1, kOfRows = 2;
constexpr std::size_t kSumBytes = 8;

}  // namespace

RowSums::RowSums(std::size_t slots) : sums_(slots) {}

std::size_t RowSums::slots_for(std::uint64_t rows) { return std::min(kMaxSlots, std::bit_ceil(static_cast<std::size_t>(rows / kRowsPerSlot) + 1)); }

void RowSums::add(std::string_view key, std::string_view row) { sums_[slot_of(key)] ^= os::short_hash(row, kOfRows); }

std::uint32_t RowSums::slot_of(std::string_view key) const { return static_cast<std::uint32_t>(os::short_hash(key, kOfSlots) & (sums_.size() - 1)); }

std::vector<bool> RowSums::differing(const RowSums& other) const {
  std::vector<bool> differ(sums_.size());
  for (std::size_t at = 0; at < sums_.size() && at < other.sums_.size(); ++at) differ[at] = sums_[at] != other.sums_[at];
  return differ;
}

std::string RowSums::bytes() const {
  std::string bytes;
  bytes.reserve(sums_.size() * kSumBytes);
  for (const auto sum : sums_) {
    for (std::size_t at = 0; at < kSumBytes; ++at) bytes.push_back(static_cast<char>(sum >> (8 * at) & 0xff));
  }
  return bytes;
}

Result<RowSums> RowSums::read(std::string_view bytes) {
  const auto slots = bytes.size() / kSumBytes;
  if (bytes.size() % kSumBytes != 0 || !std::has_single_bit(slots) || slots > kMaxSlots) return fail(ErrorCode::kBadMessage, phrase("sums of rows: {} bytes are none", bytes.size()));
  RowSums sums(slots);
  for (std::size_t at = 0; at < bytes.size(); ++at) sums.sums_[at / kSumBytes] |= std::uint64_t{static_cast<std::uint8_t>(bytes[at])} << (8 * (at % kSumBytes));
  return sums;
}

}  // namespace verbund::sync
