#pragma once
/// Inside backup only: rows in the text form of COPY as one number, whatever their order (docs/adr/0016). One thread.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace verbund::backup {

/// A 64-bit hash of bytes that come in pieces. XXH3, whose values are promised to stay the same from 0.8.0 on.
class Hash64 {
 public:
  Hash64();
  Hash64(Hash64&&) noexcept;
  Hash64& operator=(Hash64&&) noexcept;
  ~Hash64();
  void begin();
  void update(std::string_view bytes);
  [[nodiscard]] std::uint64_t value() const;
  static std::uint64_t of(std::string_view bytes);

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

/// Adds up 64-bit hashes: two equal ones don't cancel out, and the order does not matter.
class HashSum {
 public:
  void add(std::uint64_t hash) { sum_ += hash; }
  /// "c" and 32 hex digits; the letter names the function.
  [[nodiscard]] std::string text() const;

 private:
  unsigned __int128 sum_ = 0;
};

/// The lines of `COPY … TO STDOUT`, in pieces as they come. pg_dump ends them with a line `\.`, a server does not; no row is `\.`.
class RowSum {
 public:
  void take(std::string_view bytes);
  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  [[nodiscard]] std::string text() const { return sum_.text(); }
  /// No line is half there.
  [[nodiscard]] bool whole() const { return !within_; }

 private:
  void end_of_line(std::string_view last);

  HashSum sum_;
  std::uint64_t rows_ = 0;
  Hash64 line_;               // of one that came in several pieces
  std::string head_;          // its first bytes, at most three
  bool within_ = false;       // a line has begun in an earlier piece
  bool over_ = false;
};

}  // namespace verbund::backup
