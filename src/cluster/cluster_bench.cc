// Engine time of a lock+unlock pair, by number of registered sessions.
#include <benchmark/benchmark.h>

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

}  // namespace
}  // namespace verbund::cluster
