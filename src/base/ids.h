#pragma once
/// Strong ids: what is not the same thing does not have the same type. Values, no threads, no I/O.
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund {

template <typename Tag>
struct StrongId {
  std::uint64_t value = 0;  ///< 0: none
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  explicit constexpr operator bool() const { return value != 0; }
};

/// One registration of a workstation; never given twice by an installation.
using SessionId = StrongId<struct SessionTag>;
/// Grows only with a promotion; only terms fence. First term is 1. 16 bits are used in tokens, 23 in csns.
using Term = StrongId<struct TermTag>;

/// A position in PostgreSQL's write-ahead log, in bytes; text form "16/B374D848" as PostgreSQL prints it.
struct Lsn {
  std::uint64_t value = 0;  ///< 0: invalid, as in PostgreSQL
  friend constexpr auto operator<=>(Lsn, Lsn) = default;
};
std::string to_string(Lsn lsn);
Result<Lsn> parse_lsn(std::string_view text);

/// A change's number, in commit order: term ≪ 40 | counter, so a number lost in a failover is never given again.
struct Csn {
  std::uint64_t value = 0;  ///< 0: before the first change
  static constexpr int kCounterBits = 40;
  static constexpr Csn of(Term term, std::uint64_t counter) { return {term.value << kCounterBits | counter}; }
  [[nodiscard]] constexpr Term term() const { return {value >> kCounterBits}; }
  [[nodiscard]] constexpr std::uint64_t counter() const { return value & ((1ULL << kCounterBits) - 1); }
  friend constexpr auto operator<=>(Csn, Csn) = default;
};

/// Changes only when the feed's history forks; a random 128-bit number as 32 hex digits.
struct HistoryId {
  std::string value;
  friend auto operator<=>(const HistoryId&, const HistoryId&) = default;
};

/// (history id, csn) up to which somebody has read.
struct Cursor {
  HistoryId history;
  Csn csn;
  friend auto operator<=>(const Cursor&, const Cursor&) = default;
};

/// (term, start count) of a lock authority. A restart raises start_count, a promotion the term.
struct LockEpoch {
  Term term;
  std::uint16_t start_count = 0;
  friend constexpr auto operator<=>(const LockEpoch&, const LockEpoch&) = default;
};

/// Number that grows with every grant of a key: term ≪ 48 | start count ≪ 32 | counter.
struct FencingToken {
  std::uint64_t value = 0;  ///< 0: none
  static constexpr FencingToken of(LockEpoch epoch, std::uint32_t counter) {
    return {epoch.term.value << 48 | std::uint64_t{epoch.start_count} << 32 | counter};
  }
  [[nodiscard]] constexpr LockEpoch epoch() const {
    return {{value >> 48}, static_cast<std::uint16_t>(value >> 32 & 0xffff)};
  }
  [[nodiscard]] constexpr std::uint32_t counter() const { return static_cast<std::uint32_t>(value); }
  friend constexpr auto operator<=>(FencingToken, FencingToken) = default;
};

/// A record: type and id, on the wire "TYPE/ID" (split at the first '/'). Composite ids join their parts with ',',
/// a ',' or '\' inside a part is preceded by '\'.
struct RecordKey {
  std::string type;
  std::string id;
  friend auto operator<=>(const RecordKey&, const RecordKey&) = default;
};
inline constexpr std::size_t kMaxRecordTypeBytes = 64;
inline constexpr std::size_t kMaxRecordIdBytes = 256;
std::string to_string(const RecordKey& key);
/// Errors: kBadKey (no '/', empty or too long part, control character).
Result<RecordKey> parse_record_key(std::string_view text);

/// A decimal number without sign, blanks or leading '+'; used for 64-bit numbers, which are strings in JSON.
Result<std::uint64_t> parse_u64(std::string_view text);

}  // namespace verbund

template <typename Tag>
struct std::hash<verbund::StrongId<Tag>> {
  std::size_t operator()(verbund::StrongId<Tag> id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};
template <>
struct std::hash<verbund::RecordKey> {
  std::size_t operator()(const verbund::RecordKey& key) const noexcept {
    return std::hash<std::string>{}(key.type) * 31 + std::hash<std::string>{}(key.id);
  }
};
