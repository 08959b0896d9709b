// Figures of capture on this machine, each in one run against one scratch server with fsync on:
//   feed_bench [all|large|reconcile|latency|backlog|pgbench|rate] [rows]
//                          backlog rate in bulk and in single-row transactions, memory of one large transaction,
//                          latency from commit to event, pgbench -c 16 with and without capture: saturated, at a fixed rate
// CPU seconds stand beside the rates: they hold on a busy machine too.
// Not a test: it prints, it does not judge.
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <sstream>

#include "feed/feed.h"
#include "platform/os/clock.h"
#include "platform/os/log_sink.h"
#include "testing/scratch_directory.h"
#include "testing/scratch_postgres.h"

namespace verbund::feed {
namespace {

using Steady = std::chrono::steady_clock;

class Quiet final : public Log {
 public:
  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) override {
    if (level < LogLevel::kWarning) return;
    fmt::print(stderr, "{}", event);
    for (const LogField& field : fields) fmt::print(stderr, " {}={}", field.name, field.value);
    fmt::print(stderr, "\n");
  }
};
/// Keeps what the histograms observe.
class Observed final : public Counters, private Counter, private Gauge {
 public:
  struct Values final : Histogram {
    void observe(double value) override {
      const std::lock_guard guard(mutex);
      seconds.push_back(value);
    }
    std::mutex mutex;
    std::vector<double> seconds;
  };
  Counter& counter(std::string_view, std::string_view) override { return *this; }
  Gauge& gauge(std::string_view, std::string_view) override { return *this; }
  Histogram& histogram(std::string_view name, std::string_view) override { return values_[std::string(name)]; }

  void clear() {
    for (auto& [name, values] : values_) {
      const std::lock_guard guard(values.mutex);
      values.seconds.clear();
    }
  }
  double median_milliseconds(const std::string& name) {
    Values& values = values_[name];
    const std::lock_guard guard(values.mutex);
    std::ranges::sort(values.seconds);
    return values.seconds.empty() ? 0 : values.seconds[values.seconds.size() / 2] * 1000;
  }

 private:
  void add(double) override {}
  void set(double) override {}
  std::map<std::string, Values> values_;
};

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(20);
}
void must(Status status) {
  if (status) return;
  fmt::print(stderr, "{}\n", status.error().message);
  std::exit(20);
}

double seconds_since(Steady::time_point start) { return std::chrono::duration<double>(Steady::now() - start).count(); }

/// The mid-tier has a server of its own, as in a cluster: decoding reads all the WAL of the source's server.
class MidTierServer {
 public:
  MidTierServer() : server_(settings(), os::null_log(), clock_) {
    must(server_.initialise());
    must(server_.start(Deadline::in(clock_, seconds{60})));
    auto connection = must(postgres::Connection::open(server_.connection("postgres")));
    must(connection.execute("CREATE DATABASE mitte"));
  }
  ~MidTierServer() { must(server_.stop(postgres::StopMode::kImmediate, Deadline::in(clock_, seconds{60}))); }
  [[nodiscard]] postgres::ConnectionSettings database() const { return server_.connection("mitte"); }

 private:
  postgres::OwnedServerSettings settings() const {
    postgres::OwnedServerSettings settings;
    settings.directory = directory_.path() / "pg";
    settings.superuser_password = "scratch";
    settings.sync_initdb = false;
    settings.settings = {{"max_wal_size", "4GB"}};
    return settings;
  }

  testing::ScratchDirectory directory_;
  os::SystemClock clock_;
  postgres::OwnedServer server_;
};

/// Highest resident size since `reset`, in MB.
double peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}
void reset_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

double load_average() {
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return load;
}

/// CPU seconds used so far by processes of this server whose title contains `title`; empty: by this process.
double cpu_seconds(std::string_view title) {
  double ticks = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    if (title.empty() ? entry.path().filename() != std::to_string(::getpid()) : std::isdigit(entry.path().filename().string()[0]) == 0) continue;
    std::string command;
    std::getline(std::ifstream(entry.path() / "cmdline"), command);
    if (!title.empty() && (!command.starts_with("postgres:") || command.find(title) == std::string::npos)) continue;
    std::string stat;
    std::getline(std::ifstream(entry.path() / "stat"), stat);
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::vector<std::string> words{std::istream_iterator<std::string>(fields), {}};
    ticks += std::stod(words[11]) + std::stod(words[12]);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

class Bench {
 public:
  Bench() {
    auto& server = testing::ScratchPostgres::shared();
    settings_.source = server.database("praxis");
    settings_.mid_tier = mid_tier_.database();
    settings_.term = Term{1};
    auto mid_tier = must(postgres::Connection::open(settings_.mid_tier));
    const postgres::MigrationSet sets[] = {migrations()};
    must(postgres::migrate(mid_tier, sets, log_));
    source_.emplace(must(postgres::Connection::open(settings_.source)));
    sql("ALTER SYSTEM SET fsync = on");
    sql("ALTER SYSTEM SET max_wal_size = '4GB'");
    sql("SELECT pg_reload_conf()");
    sql("CREATE TABLE patient (id integer PRIMARY KEY, name text, born date, city text, changed timestamptz DEFAULT now());"
        "CREATE TABLE observation (id integer PRIMARY KEY, patient_id integer, code text, value numeric, at timestamptz DEFAULT now())");
    settings_.tables = {{"public", "patient", "patient", {}},
                        {"public", "observation", "patient", {{{"patient_id"}, "public", "patient", {"id"}}}}};
  }

  void sql(std::string_view statements) { must(source_->execute(statements)); }

  void start() {
    FeedEvents events;
    events.on_transaction = [this](const TransactionEvent& event) {
      const auto late = clock_.wall() - event.commit_time;
      const std::lock_guard guard(mutex_);
      latencies_.push_back(std::chrono::duration<double, std::milli>(late).count());
    };
    events.on_passed = [this](Lsn) { passed_.notify_all(); };
    feed_ = std::make_unique<Feed>(settings_, std::move(events), clock_, log_, counters_);
    must(feed_->start());
  }
  void stop() { feed_.reset(); }

  void drain() {
    const Lsn target = must(feed_->current_lsn());
    std::unique_lock guard(mutex_);
    passed_.wait(guard, [&] { return feed_->passed() >= target; });
  }

  /// Writes while nobody captures, then measures how fast the backlog is taken.
  void backlog(const char* name, std::string_view statements, double rows) {
    // Lets the slot's decoding begin here, not at what the part before wrote.
    start_if_stopped();
    for (int i = 0; i < 2; ++i) {
      sql("CHECKPOINT");
      sql("INSERT INTO patient VALUES (0); DELETE FROM patient WHERE id = 0");
      drain();
    }
    stop();
    sql(statements);
    const auto begun = Steady::now();
    const double own = cpu_seconds({});
    start();
    drain();
    const double took = seconds_since(begun);
    fmt::print("{:<44} {:>10.0f} rows/s  ({:.2f} s; CPU: feed {:.2f} s, decoding {:.2f} s, mid-tier {:.2f} s; load {:.1f})\n", name,
               rows / took, took, cpu_seconds({}) - own, cpu_seconds("walsender"), cpu_seconds("mitte"), load_average());
    std::fflush(stdout);
  }

  void large_transaction(int rows) {
    start_if_stopped();
    drain();
    reset_peak();
    const auto begun = Steady::now();
    sql(fmt::format("INSERT INTO observation SELECT i, 1 + i % 50000, 'bp', i % 200 FROM generate_series(10000001, {}) i", 10'000'000 + rows));
    const auto committed = Steady::now();
    drain();
    fmt::print("one transaction of {} rows: {:.2f} s after its commit ({:.0f} rows/s; whole {:.2f} s), peak memory {:.0f} MB\n", rows,
               seconds_since(committed), rows / seconds_since(committed), seconds_since(begun), peak_megabytes());
    std::fflush(stdout);
  }

  /// Of equal rows: both databases sum up, nothing is read.
  void reconcile(int rows) {
    large_transaction(rows);
    sql("VACUUM (ANALYZE, FREEZE) observation");
    reset_peak();
    const ReconcileReport report = must(feed_->reconcile());
    const double seconds = std::chrono::duration<double>(report.took).count();
    fmt::print("reconcile of {} equal rows: {:.2f} s ({:.0f} rows/s), {} differ, peak memory {:.0f} MB\n", report.rows_compared, seconds,
               static_cast<double>(report.rows_compared) / seconds, report.inserted + report.updated + report.deleted, peak_megabytes());
  }

  void latency(const char* name, std::string_view statement) {
    start_if_stopped();
    drain();
    {
      const std::lock_guard guard(mutex_);
      latencies_.clear();
      counters_.clear();
    }
    for (int i = 0; i < 2'000; ++i) {
      must(source_->query(statement, {std::to_string(1 + i % 1000)}));
      if (i % 10 == 0) drain();
    }
    drain();
    const std::lock_guard guard(mutex_);
    std::ranges::sort(latencies_);
    const auto at = [&](double part) { return latencies_[static_cast<std::size_t>(part * static_cast<double>(latencies_.size() - 1))]; };
    fmt::print("{:<44} p50 {:.2f} ms, p95 {:.2f} ms, p99 {:.2f} ms ({} events; load {:.1f})\n", name, at(.5), at(.95), at(.99),
               latencies_.size(), load_average());
    fmt::print("{:<44} commit to read p50 {:.2f} ms, batch written and committed p50 {:.2f} ms\n", "",
               counters_.median_milliseconds("verbund_feed_commit_to_read_seconds"),
               counters_.median_milliseconds("verbund_feed_batch_write_seconds"));
    std::fflush(stdout);
  }

  /// pgbench's tables captured (pgbench_history has no primary key) or not; interleaved, because hosts drift.
  void pgbench(int runs) {
    prepare_pgbench();
    for (int run = 0; run < runs; ++run) {
      fmt::print("without capture: {}", run_pgbench("-n -c 16 -j 2 -T 20 2>&1 | grep -E '^tps|error'"));
      capture_pgbench();
      fmt::print("with capture:    {}", run_pgbench("-n -c 16 -j 2 -T 20 2>&1 | grep -E '^tps|error'"));
      const auto status = feed_->status();
      const auto behind = must(feed_->current_lsn()).value - status.passed.value;
      const auto begun = Steady::now();
      drain();
      fmt::print("                 lag at the end {:.1f} MB, caught up after {:.2f} s; load {:.1f}\n", static_cast<double>(behind) / 1e6,
                 seconds_since(begun), load_average());
      std::fflush(stdout);
      leave_pgbench();
    }
  }

  /// Latency of pgbench's transactions, from when they were due, at 2,000 per second.
  void fixed_rate(int runs) {
    prepare_pgbench();
    for (int run = 0; run < runs; ++run) {
      paced("without capture");
      capture_pgbench();
      paced("with capture");
      leave_pgbench();
    }
  }

 private:
  void start_if_stopped() {
    if (!feed_) start();
  }

  void prepare_pgbench() {
    stop();
    ::setenv("PGPASSWORD", settings_.source.password.c_str(), 1);
    run_pgbench("-i -q -s 10 2>&1");
  }
  void capture_pgbench() {
    for (const auto* table : {"pgbench_accounts", "pgbench_tellers", "pgbench_branches"}) {
      settings_.tables.push_back({"public", table, table, {}});
    }
    start();
    drain();
  }
  void leave_pgbench() {
    stop();
    settings_.tables.resize(2);
    start();  // leaves the publication without pgbench's tables
    stop();
  }

  void paced(std::string_view name) {
    const testing::ScratchDirectory logs;
    run_pgbench(fmt::format("-n -c 16 -j 2 -R 2000 -T 15 --log --log-prefix={}/log 2>&1", logs.path().string()));
    std::vector<double> late;
    for (const auto& file : std::filesystem::directory_iterator(logs.path())) {
      std::ifstream lines(file.path());
      for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        double ignored = 0;
        double micros = 0;
        if (fields >> ignored >> ignored >> micros) late.push_back(micros / 1000);
      }
    }
    std::ranges::sort(late);
    const auto at = [&](double part) { return late.empty() ? 0 : late[static_cast<std::size_t>(part * static_cast<double>(late.size() - 1))]; };
    fmt::print("at 2,000/s {:<16} {} transactions, p50 {:.2f} ms, p99 {:.2f} ms; load {:.1f}\n", name, late.size(), at(.5), at(.99),
               load_average());
    std::fflush(stdout);
  }

  std::string run_pgbench(const std::string& options) {
    const auto& to = settings_.source;
    const std::string command = fmt::format("/usr/lib/postgresql/15/bin/pgbench -h {} -p {} -U {} {} {}", to.host, to.port,
                                            to.user, to.database, options);
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return "pgbench does not start\n";
    std::string text;
    std::array<char, 256> line{};
    while (std::fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr) text += line.data();
    ::pclose(pipe);
    return text;
  }

  MidTierServer mid_tier_;
  FeedSettings settings_;
  os::SystemClock clock_;
  Quiet log_;
  Observed counters_;
  std::optional<postgres::Connection> source_;
  std::mutex mutex_;
  std::condition_variable passed_;
  std::vector<double> latencies_;
  std::unique_ptr<Feed> feed_;
};

}  // namespace
}  // namespace verbund::feed

namespace {

using verbund::feed::Bench;

void measure_latency(Bench& bench) {
  bench.sql("INSERT INTO patient SELECT i, 'Name', '1970-01-01', 'Ort' FROM generate_series(1, 1000) i;"
            "INSERT INTO observation SELECT i, i, 'bp', 120 FROM generate_series(1, 1000) i");
  bench.latency("commit to event, update of a root", "UPDATE patient SET name = name || '.' WHERE id = $1::integer");
  bench.latency("commit to event, update of a child row", "UPDATE observation SET value = value + 1 WHERE id = $1::integer");
  bench.sql("DELETE FROM observation; DELETE FROM patient");
}

void measure_backlog(Bench& bench) {
  bench.backlog("bulk insert, 20 transactions",
                "DO $$ BEGIN FOR t IN 0..19 LOOP INSERT INTO patient SELECT t * 50000 + i, 'Name ' || i, '1970-01-01', 'Ort'"
                " FROM generate_series(1, 50000) i; COMMIT; END LOOP; END $$", 1'000'000);
  bench.backlog("bulk update, 10 transactions",
                "DO $$ BEGIN FOR t IN 0..9 LOOP UPDATE patient SET city = 'X' || t WHERE id BETWEEN t * 50000 + 1 AND (t + 1) * 50000;"
                " COMMIT; END LOOP; END $$", 500'000);
  bench.backlog("bulk insert of child rows, 10 transactions",
                "DO $$ BEGIN FOR t IN 0..9 LOOP INSERT INTO observation SELECT t * 50000 + i, i, 'bp', 120 FROM generate_series(1, 50000) i;"
                " COMMIT; END LOOP; END $$", 500'000);
  bench.sql("SET synchronous_commit = off");
  bench.backlog("single-row update transactions",
                "DO $$ BEGIN FOR i IN 1..100000 LOOP UPDATE patient SET name = 'N' || i WHERE id = i;"
                " COMMIT; END LOOP; END $$", 100'000);
  bench.sql("SET synchronous_commit = on");
}

}  // namespace

int main(int count, char** words) {
  const std::string_view part = count > 1 ? words[1] : "all";
  const int rows = count > 2 ? std::atoi(words[2]) : 1'000'000;
  const auto wanted = [&](std::string_view name) { return part == "all" || part == name; };
  Bench bench;
  bench.start();
  if (wanted("large")) bench.large_transaction(rows);
  if (part == "reconcile") bench.reconcile(rows);
  if (wanted("latency")) measure_latency(bench);
  if (wanted("backlog")) measure_backlog(bench);
  if (wanted("pgbench")) bench.pgbench(3);
  if (wanted("rate")) bench.fixed_rate(1);
  return 0;
}
