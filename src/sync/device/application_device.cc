#include "sync/device/application_device.h"

#include <exception>

#include "base/messages.h"
#include "platform/os/random.h"
#include "sync/device/https_transport.h"

namespace verbund::sync::device {

Error caught() {
  try {
    throw;
  } catch (const std::exception& thrown) {
    return make_error(ErrorCode::kInternal, phrase("device library: {}", thrown.what()));
  } catch (...) {
    return make_error(ErrorCode::kInternal, phrase("device library: a callback has thrown something that is no std::exception"));
  }
}

ApplicationDevice::~ApplicationDevice() {
  stop_background();
  life_.request_stop();
  std::unique_lock lock(mutex_);
  turn_.wait(lock, [this] { return callers_ == 0; });
}

void ApplicationDevice::change_events(const std::function<void(Events&)>& change) {
  const std::scoped_lock lock(mutex_);
  change(events_);
}

ApplicationDevice::Events ApplicationDevice::events() {
  const std::scoped_lock lock(mutex_);
  return events_;
}

Result<SyncReport> ApplicationDevice::sync(const std::string& set, const std::stop_token& stop) {
  // Whoever asked for the end before this sync had its turn has asked for it, too.
  std::stop_source mine;
  const auto end = [&mine] { mine.request_stop(); };
  const std::stop_callback when_stopped(stop, end);
  const std::stop_callback when_closed(life_.get_token(), end);
  std::unique_lock lock(mutex_);
  ++callers_;
  const bool has_turn = turn_.wait(lock, mine.get_token(), [this] { return !busy_; });
  if (has_turn) {
    busy_ = true;
    running_ = mine;
    lock.unlock();
  }
  auto done = has_turn ? guarded([&] { return sync_now(set, mine.get_token()); }) : fail(ErrorCode::kCancelled, phrase("sync: it was cancelled"));
  if (has_turn) {
    lock.lock();
    busy_ = false;
  }
  --callers_;
  turn_.notify_all();  // with the lock: whoever waits for the last caller may be the end of this object
  return done;
}

Result<SyncReport> ApplicationDevice::sync_now(const std::string& set, const std::stop_token& stop) {
  auto opened = open();
  if (!opened) return pass(opened);
  auto identity = opened->identity();
  if (!identity) return pass(identity);
  auto transport = transport_to(*identity);
  if (!transport) return pass(transport);
  return opened->sync(**transport, set, events().sync, stop);
}

void ApplicationDevice::cancel() {
  const std::scoped_lock lock(mutex_);
  running_.request_stop();
}

Status ApplicationDevice::start_background(std::string set, Pace pace) {
  const std::scoped_lock lock(mutex_);
  if (background_.joinable()) return fail(ErrorCode::kInUse, phrase("sync in the background: it runs already"));
  background_ = std::jthread([this, set = std::move(set), pace](const std::stop_token& stop) { run_background(stop, set, pace); });
  return {};
}

void ApplicationDevice::run_background(const std::stop_token& stop, const std::string& set, Pace pace) {
  unsigned failures = 0;
  while (!stop.stop_requested()) {
    const auto done = sync(set, stop);
    if (stop.stop_requested()) return;
    const auto* error = !done ? &done.error() : done->error ? &*done->error : nullptr;
    // A sync that the application has ended says nothing about the server.
    if (error == nullptr || error->code != ErrorCode::kCancelled) failures = error == nullptr ? 0 : failures + 1;
    if (const auto call = events().on_synced) call(done);
    const auto chance = std::stoull(os::random_hex(2), nullptr, 16);
    const auto pause = pause_after(pace, failures, done ? done->next_in : milliseconds{0}, chance);
    std::unique_lock lock(mutex_);
    pace_changed_.wait_for(lock, stop, pause, [this] { return woken_; });
    woken_ = false;
  }
}

void ApplicationDevice::wake() {
  const std::scoped_lock lock(mutex_);
  woken_ = true;
  pace_changed_.notify_all();
}

void ApplicationDevice::stop_background() {
  std::jthread ending;
  {
    const std::scoped_lock lock(mutex_);
    ending = std::move(background_);
    ending.request_stop();
  }
  if (ending.joinable()) ending.join();
}

}  // namespace verbund::sync::device
