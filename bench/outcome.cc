#include "outcome.h"

#include <cmath>

namespace verbund::bench {

double Samples::percentile(double percent) {
  if (values_.empty()) return 0;
  const auto rank = std::ceil(percent / 100 * static_cast<double>(values_.size()));
  const auto at = std::min(values_.size() - 1, static_cast<std::size_t>(std::max(rank - 1, 0.0)));
  std::nth_element(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(at), values_.end());
  return values_[at];
}

void Outcome::add(std::string_view name, double value) {
  members_ += fmt::format("{}\"{}\": {:.1f}", members_.empty() ? "" : ", ", name, value);
}

void Outcome::add(std::string_view name, Samples& samples) {
  for (const auto& [suffix, percent] : {std::pair{"p50", 50.0}, {"p95", 95.0}, {"p99", 99.0}, {"max", 100.0}}) {
    add(fmt::format("{}_{}_us", name, suffix), samples.percentile(percent));
  }
  add(fmt::format("{}_count", name), static_cast<double>(samples.size()));
}

void Outcome::print() const { fmt::print("{{{}}}\n", members_); }

}  // namespace verbund::bench
