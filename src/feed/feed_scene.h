#pragma once
/// A source database like a small practice, a mid-tier database and a feed between them, for the tests of this folder.
#include <condition_variable>

#include "feed/feed.h"
#include "feed/tables.h"
#include "platform/os/clock.h"
#include "testing/scratch_postgres.h"

namespace verbund::feed::testing_scene {

class NoLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};
class NoCounters final : public Counters, private Counter, private Gauge, private Histogram {
 public:
  Counter& counter(std::string_view, std::string_view) override { return *this; }
  Gauge& gauge(std::string_view, std::string_view) override { return *this; }
  Histogram& histogram(std::string_view, std::string_view) override { return *this; }

 private:
  void add(double) override {}
  void set(double) override {}
  void observe(double) override {}
};

/// patient ← encounter ← observation; patient ← note (no primary key); tag belongs to patient by a unique code.
class Scene {
 public:
  Scene();
  ~Scene();

  FeedSettings& settings() { return settings_; }
  void start();
  void stop() { feed_.reset(); }
  /// Waits until the server has noticed that the slot's reader has gone.
  void free_slot();
  Feed& feed() { return *feed_; }
  postgres::Connection& source() { return *source_; }
  postgres::Connection& mid_tier() { return *mid_tier_; }
  /// Both connections anew, after the server was restarted.
  void reconnect();
  void sql(std::string_view statements);
  std::string value(std::string_view query);         ///< one value of the source
  std::string mid_tier_value(std::string_view query);

  /// Waits until the feed has passed all that is committed on the source.
  void settle();
  /// Waits until `count` transactions were told, then all of them as text, as `shown`.
  std::vector<std::string> told(std::size_t count);
  std::vector<TransactionEvent> events();
  std::vector<std::string> snapshots();
  bool waited_for(const std::function<bool()>& condition);

  /// What differs between source and shadow tables; empty: nothing.
  std::string differences();
  std::string difference(std::string_view schema, std::string_view table);
  /// As `feed tables` shows it: "captured", "paused: why"; empty: not configured.
  std::string state_of(std::string_view table);

 private:

  FeedSettings settings_;
  std::unique_ptr<postgres::Connection> source_;
  std::unique_ptr<postgres::Connection> mid_tier_;
  os::SystemClock clock_;
  NoLog log_;
  NoCounters counters_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TransactionEvent> events_;
  std::vector<std::string> snapshots_;
  std::unique_ptr<Feed> feed_;
};

/// "U patient/2 was 1 [patient]; D patient/3 [patient]", "bulk patient 5000", "truncated patient", "by 17"
std::string shown(const TransactionEvent& event);

}  // namespace verbund::feed::testing_scene
