#pragma once
/// What a generator found out: samples of durations, and one JSON object on standard output.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace verbund::bench {

using Clock = std::chrono::steady_clock;

/// Durations in microseconds.
class Samples {
 public:
  void add(Clock::duration duration) {
    values_.push_back(static_cast<float>(std::chrono::duration<double, std::micro>(duration).count()));
  }
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  /// The value below which `percent` of the samples lie; zero without samples.
  [[nodiscard]] double percentile(double percent);

 private:
  std::vector<float> values_;
};

/// A flat JSON object in the making.
class Outcome {
 public:
  void add(std::string_view name, double value);
  /// NAME_p50_us, NAME_p95_us, NAME_p99_us, NAME_max_us and NAME_count.
  void add(std::string_view name, Samples& samples);
  void print() const;

 private:
  std::string members_;
};

}  // namespace verbund::bench
