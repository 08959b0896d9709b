// What include/verbund/device.h promises, over device.h.
#include "verbund/device.h"

#include <unistd.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/random.h"
#include "sync/device/https_transport.h"
#include "sync/device/pace.h"

using verbund::ErrorCode;
using verbund::Result;
using verbund::milliseconds;
namespace device = verbund::sync::device;

namespace {

const verbund::Clock& the_clock() {
  static const verbund::os::SystemClock clock;
  return clock;
}

struct OwnedError {
  verbund_error shown{};  // first: the caller has its address
  std::string code, message, hint;

  explicit OwnedError(const verbund::Error& error)
      : code(verbund::wire_name(error.code)), message(error.message), hint(error.hint) {
    shown = {code.c_str(), message.c_str(), hint.c_str(), verbund::exit_code(error.code)};
  }
};

void tell(verbund_error** to, const verbund::Error& error) {
  if (to != nullptr) *to = &(new OwnedError(error))->shown;
}

struct OwnedStatus {
  verbund_device_status shown{};  // first
  device::DeviceStatus status;
};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("device");
}

verbund_reject shown(const device::Reject& one) {
  return {one.id, one.subscription.c_str(), one.table.c_str(), one.op.c_str(), one.key.c_str(), one.reason.c_str(), one.text.c_str(), one.mine.c_str(), one.theirs.c_str(), one.at.c_str(), one.state.c_str()};
}

verbund_sync_report nothing_synced() {
  verbund_sync_report report{};
  report.result = VERBUND_SYNC_FAILED;
  return report;
}

verbund_sync_report shown(const device::SyncReport& done) {
  verbund_sync_report report{};
  report.result = static_cast<verbund_sync_result>(done.result);
  report.sent = done.sent;
  report.applied = done.applied;
  report.rejected = done.rejected;
  report.waiting = done.waiting;
  for (const auto& session : done.sessions) {
    report.upserted += session.upserted;
    report.deleted += session.deleted;
    report.kept += session.kept;
    if (session.error) ++report.failed_subscriptions;
  }
  return report;
}
static_assert(static_cast<int>(device::SyncResult::kCanceled) == VERBUND_SYNC_CANCELED && static_cast<int>(device::SyncResult::kFailed) == VERBUND_SYNC_FAILED &&
              static_cast<int>(device::SyncResult::kSucceeded) == VERBUND_SYNC_SUCCEEDED);

/// Why it is not SUCCEEDED: of the whole, or of the first subscription that failed.
std::optional<verbund::Error> reason_of(const device::SyncReport& done) {
  if (done.error) return done.error;
  for (const auto& session : done.sessions) {
    if (session.error) return session.error;
  }
  return std::nullopt;
}

}  // namespace

struct verbund_device {
  explicit verbund_device(std::string path) : file(std::move(path)) {}

  const std::string file;
  std::mutex syncing;  // one sync at a time
  std::mutex mutex;
  verbund_on_progress progress = nullptr;  // mutex, and the next six
  void* progress_context = nullptr;
  verbund_on_reject reject = nullptr;
  void* reject_context = nullptr;
  verbund_on_synced synced = nullptr;
  void* synced_context = nullptr;
  std::stop_source cancelling;             // mutex; of the sync that runs or the next one
  bool woken = false;                      // mutex
  std::condition_variable_any pace_changed;
  std::jthread background;                 // mutex, but for joining

  /// Each call has an object of its own: SQLite keeps them apart.
  Result<device::Device> open() const { return device::Device::open(file, the_clock()); }

  device::SyncEvents events() {
    const std::scoped_lock lock(mutex);
    device::SyncEvents events;
    if (progress != nullptr) events.on_progress = [call = progress, context = progress_context](const std::string& name, std::uint64_t rows) { call(name.c_str(), rows, context); };
    if (reject != nullptr) {
      events.on_reject = [call = reject, context = reject_context](const device::Reject& one) {
        const auto c = shown(one);
        call(&c, context);
      };
    }
    return events;
  }

  Result<device::SyncReport> sync(const std::string& set) {
    const std::scoped_lock one_at_a_time(syncing);
    std::stop_token stop;
    {
      const std::scoped_lock lock(mutex);
      cancelling = {};
      stop = cancelling.get_token();
    }
    auto opened = open();
    if (!opened) return pass(opened);
    auto identity = opened->identity();
    if (!identity) return pass(identity);
    auto transport = device::transport_to(*identity);
    if (!transport) return pass(transport);
    return opened->sync(**transport, set, events(), stop);
  }

  void cancel() {
    const std::scoped_lock lock(mutex);
    cancelling.request_stop();
  }

  void run_background(const std::stop_token& stop, const std::string& set, device::Pace pace) {
    unsigned failures = 0;
    while (!stop.stop_requested()) {
      const auto done = sync(set);
      if (stop.stop_requested()) return;
      const bool well = done && !done->error;
      failures = well ? 0 : failures + 1;
      tell_synced(done);
      const auto chance = std::stoull(verbund::os::random_hex(2), nullptr, 16);
      const auto pause = device::pause_after(pace, failures, done ? done->next_in : milliseconds{0}, chance);
      std::unique_lock lock(mutex);
      pace_changed.wait_for(lock, stop, pause, [this] { return woken; });
      woken = false;
    }
  }

  void tell_synced(const Result<device::SyncReport>& done) {
    verbund_on_synced call = nullptr;
    void* context = nullptr;
    {
      const std::scoped_lock lock(mutex);
      call = synced;
      context = synced_context;
    }
    if (call == nullptr) return;
    const auto report = done ? shown(*done) : nothing_synced();
    const auto reason = done ? reason_of(*done) : std::optional(done.error());
    const auto error = reason ? std::optional<OwnedError>(std::in_place, *reason) : std::nullopt;
    call(&report, error ? &error->shown : nullptr, context);
  }

  void stop_background() {
    std::jthread ending;
    {
      const std::scoped_lock lock(mutex);
      ending = std::move(background);
      ending.request_stop();
      cancelling.request_stop();
    }
    if (ending.joinable()) ending.join();
  }
};

void verbund_error_free(verbund_error* error) { delete reinterpret_cast<OwnedError*>(error); }

verbund_device* verbund_device_enrol(const char* file, const char* server, const char* code, const char* name, verbund_error** error) {
  const auto enrol = [&]() -> verbund::Status {
    auto parsed = verbund::sync::parse_enrol_code(code);
    if (!parsed) return pass(parsed);
    const auto identity = device::identity_of(server, *parsed);
    auto transport = device::transport_to(identity);
    if (!transport) return pass(transport);
    auto made = device::Device::enrol(file, identity, {code, name == nullptr ? host_name() : std::string(name)}, **transport, the_clock());
    if (!made) return pass(made);
    return {};
  };
  if (auto done = enrol(); !done) {
    tell(error, done.error());
    return nullptr;
  }
  return new verbund_device(file);
}

verbund_device* verbund_device_open(const char* file, verbund_error** error) {
  auto opened = device::Device::open(file, the_clock());
  if (opened) return new verbund_device(file);
  tell(error, opened.error());
  return nullptr;
}

void verbund_device_close(verbund_device* device) {
  if (device == nullptr) return;
  device->stop_background();
  device->cancel();
  {
    const std::scoped_lock over(device->syncing);
  }
  delete device;
}

void verbund_device_on_progress(verbund_device* device, verbund_on_progress callback, void* context) {
  const std::scoped_lock lock(device->mutex);
  device->progress = callback;
  device->progress_context = context;
}
void verbund_device_on_reject(verbund_device* device, verbund_on_reject callback, void* context) {
  const std::scoped_lock lock(device->mutex);
  device->reject = callback;
  device->reject_context = context;
}
void verbund_device_on_synced(verbund_device* device, verbund_on_synced callback, void* context) {
  const std::scoped_lock lock(device->mutex);
  device->synced = callback;
  device->synced_context = context;
}

verbund_sync_result verbund_device_sync(verbund_device* device, const char* set, verbund_sync_report* report, verbund_error** error) {
  const auto done = device->sync(set == nullptr ? "" : set);
  if (report != nullptr) *report = done ? shown(*done) : nothing_synced();
  const auto reason = done ? reason_of(*done) : std::optional(done.error());
  if (reason) tell(error, *reason);
  return done ? static_cast<verbund_sync_result>(done->result) : VERBUND_SYNC_FAILED;
}

void verbund_device_cancel(verbund_device* device) { device->cancel(); }

int verbund_device_start_background(verbund_device* device, const char* set, uint32_t every_ms, verbund_error** error) {
  const std::scoped_lock lock(device->mutex);
  if (device->background.joinable()) {
    tell(error, verbund::make_error(ErrorCode::kInUse, verbund::phrase("sync in the background: it runs already")));
    return -1;
  }
  device->background = std::jthread([device, set = std::string(set == nullptr ? "" : set), every_ms](const std::stop_token& stop) {
    device->run_background(stop, set, {milliseconds{every_ms}});
  });
  return 0;
}

void verbund_device_wake(verbund_device* device) {
  const std::scoped_lock lock(device->mutex);
  device->woken = true;
  device->pace_changed.notify_all();
}

void verbund_device_stop_background(verbund_device* device) { device->stop_background(); }

verbund_device_status* verbund_device_status_read(verbund_device* device, verbund_error** error) {
  auto opened = device->open();
  auto status = opened ? opened->status() : Result<device::DeviceStatus>(std::unexpected(opened.error()));
  if (!status) {
    tell(error, status.error());
    return nullptr;
  }
  auto* owned = new OwnedStatus{{}, std::move(*status)};
  const auto& of = owned->status;
  owned->shown = {of.id.c_str(), of.user.c_str(), of.server.c_str(), of.last_sync.c_str(), of.last_result.c_str(), of.pending, of.undecided, of.rejects};
  return &owned->shown;
}

void verbund_device_status_free(verbund_device_status* status) { delete reinterpret_cast<OwnedStatus*>(status); }

int verbund_device_rejects(verbund_device* device, int all, verbund_on_reject each, void* context, verbund_error** error) {
  auto opened = device->open();
  auto rejects = opened ? opened->rejects(all != 0) : Result<std::vector<device::Reject>>(std::unexpected(opened.error()));
  if (!rejects) {
    tell(error, rejects.error());
    return -1;
  }
  for (const auto& one : *rejects) {
    const auto c = shown(one);
    each(&c, context);
  }
  return 0;
}

int verbund_device_dismiss(verbund_device* device, int64_t reject, verbund_error** error) {
  auto opened = device->open();
  auto done = opened ? opened->dismiss(reject) : verbund::Status(std::unexpected(opened.error()));
  if (done) return 0;
  tell(error, done.error());
  return -1;
}

int verbund_device_take_mine(verbund_device* device, int64_t reject, verbund_error** error) {
  auto opened = device->open();
  auto done = opened ? opened->take_mine(reject) : verbund::Status(std::unexpected(opened.error()));
  if (done) return 0;
  tell(error, done.error());
  return -1;
}
