#pragma once
/// Streams in memory, for tests.
#include <algorithm>
#include <cstring>
#include <random>

#include <fmt/format.h>

#include "backup/stream.h"

namespace verbund::backup {

class StringSink final : public Sink {
 public:
  explicit StringSink(std::string& into) : into_(into) {}
  Status write(std::string_view bytes) override {
    into_ += bytes;
    return {};
  }
  Status finish() override { return {}; }

 private:
  std::string& into_;
};

/// Gives at most `step` bytes at a time.
class StringSource final : public Source {
 public:
  explicit StringSource(std::string text, std::size_t step = 10'000) : text_(std::move(text)), step_(step) {}
  Result<std::size_t> read(std::span<char> into) override {
    const std::size_t bytes = std::min({into.size(), step_, text_.size() - at_});
    std::memcpy(into.data(), text_.data() + at_, bytes);
    at_ += bytes;
    return bytes;
  }

 private:
  std::string text_;
  std::size_t step_;
  std::size_t at_ = 0;
};

inline Result<std::string> read_all(Source& source) {
  std::string all;
  std::string buffer(50'000, '\0');
  while (true) {
    auto got = source.read(buffer);
    if (!got) return pass(got);
    if (*got == 0) return all;
    all.append(buffer, 0, *got);
  }
}

/// Bytes that compress about as a dump does: words, numbers and some noise. The same for the same seed.
inline std::string sample_bytes(std::uint64_t seed, std::size_t bytes) {
  std::mt19937_64 random(seed);
  std::string out;
  while (out.size() < bytes) {
    const std::uint64_t number = random();
    out += fmt::format("{}\tpatient {}\tvisit\t{:x}\n", number % 100'000, number >> 50, number);
    if (number % 16 == 0) out.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  out.resize(bytes);
  return out;
}

}  // namespace verbund::backup
