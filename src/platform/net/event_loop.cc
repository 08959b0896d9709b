#include "platform/net/event_loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "platform/net/event_loop_impl.h"

namespace verbund::net {

namespace asio = boost::asio;

// --- Timer ---

struct Timer::Impl {
  /// Shared with the wait under way: a handler that is already queued when the Timer goes must find `cancelled`.
  struct State {
    explicit State(asio::io_context& io) : timer(io) {}
    asio::steady_timer timer;
    std::function<void()> task;
    nanoseconds period{0};  ///< zero: once
    bool cancelled = false;
  };
  explicit Impl(std::shared_ptr<State> shared) : state(std::move(shared)) {}
  ~Impl() {
    state->cancelled = true;
    state->timer.cancel();
  }
  static void wait(const std::shared_ptr<State>& state, nanoseconds delay) {
    state->timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(delay));
    state->timer.async_wait([state](const boost::system::error_code& error) {
      if (error || state->cancelled) return;
      state->task();
      if (state->period.count() > 0 && !state->cancelled) wait(state, state->period);
    });
  }
  std::shared_ptr<State> state;
};

Timer::Timer() noexcept = default;
Timer::Timer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Timer::Timer(Timer&&) noexcept = default;
Timer& Timer::operator=(Timer&&) noexcept = default;
Timer::~Timer() = default;
void Timer::cancel() { impl_.reset(); }

// --- EventLoop ---

EventLoop::Impl::Impl() : read_buffer(kSharedBufferBytes), write_buffer(kSharedBufferBytes) {
  watch.assign(poller.fd());
  wait_ready();
}

EventLoop::Impl::~Impl() { watch.release(); }

void EventLoop::Impl::wait_ready() {
  watch.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    const bool was_scheduled = std::exchange(round_scheduled, true);
    poller.run_ready();
    round_scheduled = was_scheduled;
    run_round_tasks();
    wait_ready();
  });
}

void EventLoop::Impl::run_round_tasks() {
  const bool was_scheduled = std::exchange(round_scheduled, true);
  // By index: a task may add others, which belong to this round too.
  for (std::size_t i = 0; i < round_tasks.size(); ++i) {
    const auto task = std::move(round_tasks[i]);
    task();
  }
  round_tasks.clear();
  round_scheduled = was_scheduled;
}

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  impl_->io.run();
  // A stopped io_context would return at once from the next run; a stop that comes before that run still counts.
  impl_->io.restart();
}
void EventLoop::stop() { impl_->io.stop(); }

void EventLoop::post(std::function<void()> task) { asio::post(impl_->io, std::move(task)); }

Timer EventLoop::after(nanoseconds delay, std::function<void()> task) {
  auto state = std::make_shared<Timer::Impl::State>(impl_->io);
  state->task = std::move(task);
  Timer::Impl::wait(state, delay);
  return Timer(std::make_unique<Timer::Impl>(std::move(state)));
}

Timer EventLoop::every(nanoseconds period, std::function<void()> task) {
  auto state = std::make_shared<Timer::Impl::State>(impl_->io);
  state->task = std::move(task);
  state->period = period;
  Timer::Impl::wait(state, period);
  return Timer(std::make_unique<Timer::Impl>(std::move(state)));
}

void EventLoop::on_signals(std::initializer_list<int> signals, std::function<void(int)> task) {
  auto& set = *impl_->signals.emplace_back(std::make_unique<asio::signal_set>(impl_->io));
  for (const int signal : signals) set.add(signal);
  // Waits again after each signal; ends with the set, which the loop owns.
  struct Wait {
    asio::signal_set& set;
    std::shared_ptr<std::function<void(int)>> task;
    void operator()(const boost::system::error_code& error, int signal) const {
      if (error) return;
      (*task)(signal);
      set.async_wait(*this);
    }
  };
  set.async_wait(Wait{set, std::make_shared<std::function<void(int)>>(std::move(task))});
}

void EventLoop::at_end_of_round(std::function<void()> task) {
  impl_->round_tasks.push_back(std::move(task));
  if (std::exchange(impl_->round_scheduled, true)) return;
  asio::post(impl_->io, [impl = impl_.get()] {
    impl->round_scheduled = false;
    impl->run_round_tasks();
  });
}

}  // namespace verbund::net
