#pragma once
/// A device as an application has it: its file, one sync at a time, and a thread that syncs by itself. What include/verbund/device.h promises, but for the words of C.
///
/// Threads: all functions from any thread; `sync`'s events and the background's come from the thread that syncs, which must not call `stop_background` or the
/// destructor. Errors: those of device.h; kInUse.
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "sync/device/device.h"
#include "sync/device/pace.h"

namespace verbund::sync::device {

/// Inside an exception's handler: what it says. Nothing of ours throws, but memory ends, threads can't be had, and callbacks are the application's.
Error caught();
/// `work`'s result; what it throws is an error: no exception goes to an application that may be written in C.
template <typename Work>
auto guarded(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (...) {
    return std::unexpected(caught());
  }
}

class ApplicationDevice {
 public:
  struct Events {
    SyncEvents sync;
    /// After each sync of the background.
    std::function<void(const Result<SyncReport>&)> on_synced = {};
  };

  /// `file` is a device's. `clock` outlives this.
  ApplicationDevice(std::filesystem::path file, const Clock& clock) : file_(std::move(file)), clock_(clock) {}
  ApplicationDevice(const ApplicationDevice&) = delete;
  ApplicationDevice& operator=(const ApplicationDevice&) = delete;
  /// Ends the background, cancels a sync and waits for it.
  ~ApplicationDevice();

  /// Each call has an object of its own: SQLite keeps them apart.
  [[nodiscard]] Result<Device> open() const { return Device::open(file_, clock_); }
  /// Of the syncs that begin from now on.
  void change_events(const std::function<void(Events&)>& change);
  /// Waits for its turn; `stop` ends the waiting and the sync.
  Result<SyncReport> sync(const std::string& set, const std::stop_token& stop = {});
  /// The sync that runs, if one does.
  void cancel();

  /// Errors: kInUse (it runs).
  Status start_background(std::string set, Pace pace);
  void wake();
  /// Its sync is cancelled; one of the application goes on.
  void stop_background();

 private:
  void run_background(const std::stop_token& stop, const std::string& set, Pace pace);
  Result<SyncReport> sync_now(const std::string& set, const std::stop_token& stop);
  Events events();

  const std::filesystem::path file_;
  const Clock& clock_;
  std::mutex mutex_;
  Events events_;                // mutex_, and the next three
  bool busy_ = false;            // one sync at a time
  unsigned callers_ = 0;         // in `sync`, also those that wait
  std::stop_source running_;     // of the sync that runs
  std::condition_variable_any turn_;
  std::stop_source life_;
  bool woken_ = false;
  std::condition_variable_any pace_changed_;
  std::jthread background_;      // mutex_, but for joining
};

}  // namespace verbund::sync::device
