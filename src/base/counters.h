#pragma once
/// Counters as lower floors see them. Names follow Prometheus: verbund_<folder>_<what>_<unit>, counters end in _total.
/// Instances live as long as the registry; calls are cheap and may come from any thread.
#include <string_view>

namespace verbund {

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;
};

class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  /// In the unit that the name says, as a rule seconds.
  virtual void observe(double value) = 0;
};

class Counters {
 public:
  virtual ~Counters() = default;
  /// The same name gives the same instance.
  virtual Counter& counter(std::string_view name, std::string_view help) = 0;
  virtual Gauge& gauge(std::string_view name, std::string_view help) = 0;
  virtual Histogram& histogram(std::string_view name, std::string_view help) = 0;
};

}  // namespace verbund
