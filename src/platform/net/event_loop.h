#pragma once
/// One thread that does all network I/O and runs what others post to it. The only door to Boost.Asio.
///
/// Threads: `post` from any thread; everything else on the loop's own thread (or before `run`) unless it says otherwise.
/// Timers, servers and clients go before their loop does.
#include <functional>
#include <memory>

#include "base/time.h"

namespace verbund::net {

/// Handle of a running timer; cancels in its destructor. Move-only.
class Timer {
 public:
  struct Impl;
  Timer() noexcept;
  explicit Timer(std::unique_ptr<Impl> impl);
  Timer(Timer&&) noexcept;
  Timer& operator=(Timer&&) noexcept;
  ~Timer();
  void cancel();

 private:
  std::unique_ptr<Impl> impl_;
};

class EventLoop {
 public:
  struct Impl;  ///< defined in event_loop_impl.h, seen by platform/net alone
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Runs until `stop`; may run again afterwards (farewells at the end). Handlers must not throw.
  void run();
  /// From any thread; `run` returns after the handler at work. Also safe before `run`.
  void stop();
  /// Runs `task` on the loop, in order of posting. From any thread.
  void post(std::function<void()> task);
  /// Calls `task` once after `delay`, on the loop.
  [[nodiscard]] Timer after(nanoseconds delay, std::function<void()> task);
  /// Calls `task` again and again, `period` after the last call ended, until the Timer goes.
  [[nodiscard]] Timer every(nanoseconds period, std::function<void()> task);
  /// Calls `task` on the loop when one of `signals` (SIGINT, SIGTERM, …) arrives.
  void on_signals(std::initializer_list<int> signals, std::function<void(int)> task);
  /// Calls `task` once after the handlers that are ready now have run: where sends are gathered into one write.
  void at_end_of_round(std::function<void()> task);

  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::net
