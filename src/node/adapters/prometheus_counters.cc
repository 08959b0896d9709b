#include "node/adapters/prometheus_counters.h"

#include <map>
#include <mutex>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace verbund::node {
namespace {

// Seconds: from 100 µs (a local round trip) to 30 s (a lease).
const prometheus::Histogram::BucketBoundaries kBuckets{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};

class PrometheusCounter final : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void add(double amount) override { counter_.Increment(amount); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge final : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value) override { gauge_.Set(value); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram final : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

}  // namespace

struct PrometheusCounters::Impl {
  prometheus::Registry registry;
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Counter>, std::less<>> counters;
  std::map<std::string, std::unique_ptr<Gauge>, std::less<>> gauges;
  std::map<std::string, std::unique_ptr<Histogram>, std::less<>> histograms;

  template <typename Map, typename Make>
  auto& once(Map& map, std::string_view name, Make make) {
    const std::scoped_lock lock(mutex);
    auto found = map.find(name);
    if (found == map.end()) found = map.emplace(std::string(name), make()).first;
    return *found->second;
  }
};

PrometheusCounters::PrometheusCounters() : impl_(std::make_unique<Impl>()) {}
PrometheusCounters::~PrometheusCounters() = default;

Counter& PrometheusCounters::counter(std::string_view name, std::string_view help) {
  return impl_->once(impl_->counters, name, [&] {
    auto& family = prometheus::BuildCounter().Name(std::string(name)).Help(std::string(help)).Register(impl_->registry);
    return std::make_unique<PrometheusCounter>(family.Add({}));
  });
}

Gauge& PrometheusCounters::gauge(std::string_view name, std::string_view help) {
  return impl_->once(impl_->gauges, name, [&] {
    auto& family = prometheus::BuildGauge().Name(std::string(name)).Help(std::string(help)).Register(impl_->registry);
    return std::make_unique<PrometheusGauge>(family.Add({}));
  });
}

Histogram& PrometheusCounters::histogram(std::string_view name, std::string_view help) {
  return impl_->once(impl_->histograms, name, [&] {
    auto& family = prometheus::BuildHistogram().Name(std::string(name)).Help(std::string(help)).Register(impl_->registry);
    return std::make_unique<PrometheusHistogram>(family.Add({}, kBuckets));
  });
}

std::string PrometheusCounters::text() const { return prometheus::TextSerializer().Serialize(impl_->registry.Collect()); }

}  // namespace verbund::node
