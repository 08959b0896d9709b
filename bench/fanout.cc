/// One publication reaches N subscribers: how long until each of them, and all of them, have it.
///
///   verbund_bench_fanout --wire line|websocket|redis|nats|notify --publish changed|tell|commit|publish
///     --clients N --publications K [--pause-ms M] [--port P] [--token-file client.toml] [--payload-bytes B]
///     [--database CONNINFO --statement SQL] [--server-pid PID] [--probe 1]
///
/// Closed loop: the next publication follows when all have the last one. All subscribers sit in one epoll loop of one
/// thread, so its own cost is part of every figure, ours and the peers' alike. With --probe the series is run a second
/// time while one more client locks and releases. `notify`: LISTEN connections of PostgreSQL, published by NOTIFY.
#include <fstream>
#include <thread>

#include "lock_probe.h"
#include "options.h"
#include "publisher.h"
#include "subscribers.h"

namespace verbund::bench {
namespace {

/// Not measured: first publications that touch memory and start threads.
constexpr std::size_t kWarmUp = 2;

struct Series {
  Samples each;  ///< from publication to one subscriber
  Samples all;   ///< to the last one
};

/// VmRSS in bytes.
double resident_bytes(long pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::string word;
  while (file >> word) {
    if (word == "VmRSS:") {
      double kilobytes = 0;
      file >> kilobytes;
      return kilobytes * 1024;
    }
  }
  return 0;
}

class Measurement {
 public:
  Measurement(Subscribers& subscribers, Publisher& publisher, std::chrono::milliseconds pause)
      : subscribers_(subscribers), publisher_(publisher), pause_(pause) {
    subscribers_.watch_with(epoll_);
  }

  Series run(std::size_t publications) {
    Series series;
    for (std::size_t i = 0; i < kWarmUp + publications; ++i) {
      Series ignored;
      once(i, i < kWarmUp ? ignored : series);
      publisher_.settle();
      std::this_thread::sleep_for(pause_);  // paces the load; nothing is waited for
    }
    return series;
  }

 private:
  void once(std::size_t number, Series& series) {
    std::size_t missing = subscribers_.count();
    const auto begin = Clock::now();
    publisher_.publish(number);
    while (missing > 0) {
      const auto ready = epoll_.wait(kPatience);
      if (ready.empty()) give_up("fan-out", fmt::format("{} of {} have not heard of it", missing, subscribers_.count()));
      for (const auto& event : ready) {
        const auto publications = subscribers_.receive(event.data.u32);
        if (publications == 0) continue;
        series.each.add(Clock::now() - begin);
        missing -= std::min(publications, missing);
      }
    }
    series.all.add(Clock::now() - begin);
  }

  Subscribers& subscribers_;
  Publisher& publisher_;
  std::chrono::milliseconds pause_;
  Epoll epoll_;
};

std::string marker_of(Wire wire, const std::string& publish) {
  if (wire == Wire::kRedis) return "*3\r\n$7\r\nmessage";
  if (wire == Wire::kNats) return "MSG ";
  return publish == "tell" ? R"({"event":"message")" : R"({"event":"changes")";
}

void report_memory(Outcome& outcome, long pid, double before, std::size_t clients) {
  if (pid == 0) return;
  const auto after = resident_bytes(pid);
  outcome.add("server_bytes", after);
  outcome.add("bytes_per_client", (after - before) / static_cast<double>(clients));
}

int measure(const Options& options) {
  const bool notify = options.text("wire") == "notify";
  const auto wire = notify ? std::optional(Wire::kLine) : wire_from(options.text("wire"));
  if (!wire) give_up("arguments", "--wire is line, websocket, redis, nats or notify");
  const auto publish = options.text("publish");
  Target target{*wire, static_cast<std::uint16_t>(options.number("port", 0)), {},
                R"({"types":["*"],"locks":false,"presence":false})"};
  if (is_ours(*wire) && !notify) target.token = token_of(options.text("token-file"));
  const auto clients = static_cast<std::size_t>(options.number("clients", 1000));
  const auto publications = static_cast<std::size_t>(options.number("publications", 20));
  const auto pid = options.number("server-pid", 0);
  raise_descriptor_limit(clients + 100);

  Outcome outcome;
  const auto before = resident_bytes(pid);
  const auto entering = Clock::now();
  auto subscribers = notify ? listen_in_postgres(options.text("database"), clients)
                            : subscribe(target, clients, marker_of(*wire, publish));
  outcome.add("enter_ms", std::chrono::duration<double, std::milli>(Clock::now() - entering).count());
  auto publisher = publish == "commit"
                       ? by_commit(options.text("database"), options.text("statement"))
                       : over_the_wire(target, publish, static_cast<std::size_t>(options.number("payload-bytes", 320)));
  Measurement measurement(*subscribers, *publisher, std::chrono::milliseconds(options.number("pause-ms", 20)));
  auto series = measurement.run(publications);
  outcome.add("each", series.each);
  outcome.add("all", series.all);
  outcome.add("event_bytes", static_cast<double>(subscribers->last_bytes()));
  report_memory(outcome, pid, before, clients);
  if (options.number("probe", 0) != 0) {
    LockProbe probe(target);
    measurement.run(publications);
    outcome.add("grant", probe.stop());
  }
  subscribers->leave();
  outcome.print();
  return 0;
}

}  // namespace
}  // namespace verbund::bench

int main(int argc, char** argv) { return verbund::bench::measure(verbund::bench::Options(argc, argv)); }
