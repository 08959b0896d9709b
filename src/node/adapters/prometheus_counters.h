#pragma once
/// Counters by prometheus-cpp: a registry and its text for /metrics. Any thread.
#include <memory>
#include <string>

#include "base/counters.h"

namespace verbund::node {

class PrometheusCounters final : public Counters {
 public:
  PrometheusCounters();
  ~PrometheusCounters() override;
  Counter& counter(std::string_view name, std::string_view help) override;
  Gauge& gauge(std::string_view name, std::string_view help) override;
  Histogram& histogram(std::string_view name, std::string_view help) override;
  /// Prometheus text exposition format 0.0.4.
  [[nodiscard]] std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::node
