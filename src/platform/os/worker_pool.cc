#include "platform/os/worker_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::os {

struct WorkerPool::Impl {
  explicit Impl(std::size_t max) : max_waiting(max) {}

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return ending || !tasks.empty(); });
      if (tasks.empty()) return;
      {
        const std::function<void()> task = std::move(tasks.front());
        tasks.pop_front();
        lock.unlock();
        task();
      }  // what the task captured is destroyed without the lock: its destructor may submit
      lock.lock();
    }
  }

  const std::size_t max_waiting;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> tasks;
  bool ending = false;
  std::vector<std::thread> threads;
};

WorkerPool::WorkerPool(std::size_t threads, std::size_t max_waiting) : impl_(std::make_unique<Impl>(max_waiting)) {
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->work(); });
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->changed.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

Status WorkerPool::submit(std::function<void()> task) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->ending) return fail(ErrorCode::kUnavailable, phrase("submit task: the worker pool is ending"));
    if (impl_->tasks.size() >= impl_->max_waiting) {
      return fail(ErrorCode::kUnavailable, phrase("submit task: {} tasks wait already", impl_->tasks.size()),
                  phrase("The server is busy; try again in a moment."));
    }
    impl_->tasks.push_back(std::move(task));
  }
  impl_->changed.notify_one();
  return {};
}

std::size_t WorkerPool::waiting() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->tasks.size();
}

}  // namespace verbund::os
