// Engine time of a lock+unlock pair, fan-out of one change, memory of a session; by number of registered sessions.
#include <malloc.h>

#include <benchmark/benchmark.h>

#include "cluster/broadcaster.h"
#include "cluster/engine.h"

namespace verbund::cluster {
namespace {

void lock_and_unlock(benchmark::State& state) {
  const Now now{TimePoint{seconds{1}}, {}};
  Engine engine({}, {{1}, 1}, {}, {1}, now);
  const auto sessions = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < sessions; ++i) {
    StoredSession session;
    session.id = engine.next_session();
    (void)engine.add_session(session, {i + 1}, false, now);
  }
  engine.take_actions();
  std::uint64_t turn = 0;
  for (auto _ : state) {
    const SessionId session{turn % sessions + 1};
    const RecordKey key{"patient", std::to_string(turn % 1000)};
    engine.lock({session, {++turn}, {}, {key}, {}, {}}, now);
    engine.unlock({session, {turn}, {}, {key}, {}, {}}, now);
    auto actions = engine.take_actions();
    benchmark::DoNotOptimize(actions.data());
    engine.recycle(std::move(actions));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lock_and_unlock)->Arg(1)->Arg(500);

struct Counting final : Receiver {
  std::uint64_t id() const override { return number; }
  void send(Buffer message) override { bytes += message->size(); }
  std::size_t queued_bytes() const override { return 0; }
  void notify_when_drained() override {}
  std::uint64_t number = 0, bytes = 0;
};
struct Nothing final : BroadcastSink {
  void fell_behind(std::uint64_t) override {}
  void replay(std::uint64_t, Cursor, std::size_t) override {}
};

/// From a change to the last of so many subscribers; sockets not counted.
void fan_out(benchmark::State& state) {
  Nothing sink;
  Broadcaster broadcaster({}, {{"h"}, {1}}, sink);
  std::vector<Counting> receivers(static_cast<std::size_t>(state.range(0)));
  for (std::size_t i = 0; i < receivers.size(); ++i) {
    receivers[i].number = i;
    broadcaster.join(receivers[i], {}, {});
    broadcaster.start(i);
  }
  std::uint64_t csn = 1;
  for (auto _ : state) {
    broadcaster.publish(protocol::Changes{
        {{"h"}, {++csn}}, {csn}, {}, {}, {{{"patient", "4711"}, protocol::ChangeOp::kUpdate, {}, {}}}, {}, {}});
    while (broadcaster.pump(32)) {
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(fan_out)->Arg(100)->Arg(10'000)->Unit(benchmark::kMicrosecond);

/// What a registered session with one lock takes of the heap, without its socket.
void session_memory(benchmark::State& state) {
  const Now now{TimePoint{seconds{1}}, {}};
  constexpr std::uint64_t kSessions = 10'000;
  double bytes = 0;
  for (auto _ : state) {
    const auto before = mallinfo2().uordblks;
    Engine engine({}, {{1}, 1}, {}, {1}, now);
    for (std::uint64_t i = 1; i <= kSessions; ++i) {
      StoredSession session;
      session.id = engine.next_session();
      session.secret_hash.assign(128, 'a');
      session.identity = {"benutzer" + std::to_string(i), "staff", false};
      session.workstation = "Arbeitsplatz " + std::to_string(i);
      session.address = "192.0.2.7";
      (void)engine.add_session(session, {i}, false, now);
      engine.lock({{i}, {i}, {}, {{"patient", std::to_string(i)}}, {}, {}}, now);
      engine.take_actions();
    }
    bytes = static_cast<double>(mallinfo2().uordblks - before) / kSessions;
  }
  state.counters["bytes_per_session"] = bytes;
}
BENCHMARK(session_memory)->Iterations(3)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace verbund::cluster
