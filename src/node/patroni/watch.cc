#include "node/patroni/watch.h"

namespace verbund::node {
namespace {

constexpr seconds kEvery{1};

}  // namespace

PatroniWatch::PatroniWatch(PatroniRest rest, const Clock& clock, Log& log, Counters& counters)
    : rest_(std::move(rest)),
      clock_(clock),
      log_(log),
      reachable_(counters.gauge("verbund_patroni_reachable", "1 while Patroni's REST interface answers")),
      members_(counters.gauge("verbund_patroni_members", "Members of the Patroni cluster")),
      running_(counters.gauge("verbund_patroni_members_running", "Of these, running or following")),
      timeline_(counters.gauge("verbund_patroni_leader_timeline", "Timeline of the leader; 0: there is none")),
      lag_(counters.gauge("verbund_patroni_lag_bytes", "How far the best follower is behind the leader; -1: nobody follows, or not known")),
      thread_([this] { run(); }) {}

PatroniWatch::~PatroniWatch() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

PatroniSeen PatroniWatch::seen() const {
  const std::lock_guard guard(mutex_);
  PatroniSeen seen = seen_;
  if (answered_) seen.age = clock_.now() - *answered_;
  return seen;
}

void PatroniWatch::run() {
  while (true) {
    look();
    std::unique_lock guard(mutex_);
    if (changed_.wait_for(guard, kEvery, [this] { return stopping_; })) return;
  }
}

void PatroniWatch::look() {
  auto view = rest_.cluster();
  const auto own = view && seen().system_id.empty() ? rest_.member() : Result<mirror::PatroniOwn>(mirror::PatroniOwn{});
  const auto* leader = view ? view->leader() : nullptr;
  const std::string leads = leader ? leader->name : "";
  if (view && leads != std::exchange(leader_, leads)) log_.info("patroni.leader", {{"leader", leads}, {"timeline", leader ? leader->timeline : 0U}});
  count(view ? &*view : nullptr);
  const std::string error = view ? std::string() : view.error().message;
  const std::lock_guard guard(mutex_);
  if (error != seen_.error) log_.write(error.empty() ? LogLevel::kInfo : LogLevel::kWarning, "patroni.rest", {{"answers", error.empty()}, {"reason", error}});
  seen_.error = error;
  if (!view) return;
  seen_.view = std::move(*view);
  answered_ = clock_.now();
  if (!own || own->version.empty()) return;
  seen_.scope = own->scope;
  seen_.version = own->version;
  seen_.system_id = own->system_id;
}

void PatroniWatch::count(const mirror::PatroniView* view) {
  reachable_.set(view ? 1 : 0);
  if (view == nullptr) return;
  std::optional<std::uint64_t> best;
  std::size_t running = 0;
  for (const auto& member : view->members) {
    if (member.runs()) ++running;
    if (member.lag_bytes && member.runs()) best = std::min(best.value_or(*member.lag_bytes), *member.lag_bytes);
  }
  members_.set(static_cast<double>(view->members.size()));
  running_.set(static_cast<double>(running));
  timeline_.set(view->leader() ? view->leader()->timeline : 0);
  lag_.set(best ? static_cast<double>(*best) : -1);
}

}  // namespace verbund::node
