// What include/verbund/device.h promises, over device.h.
#include "verbund/device.h"

#include <unistd.h>

#include <array>
#include <memory>
#include <optional>

#include "base/messages.h"
#include "platform/os/clock.h"
#include "sync/device/application_device.h"
#include "sync/device/https_transport.h"

using verbund::ErrorCode;
using verbund::milliseconds;
using verbund::Result;
using verbund::Status;
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

template <typename T>
Result<T> told(verbund_error** to, Result<T> result) {
  if (!result) tell(to, result.error());
  return result;
}

int number(const Status& done) { return done ? 0 : -1; }

struct OwnedStatus {
  verbund_device_status shown{};  // first
  device::DeviceStatus status;
};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("device");
}

const char* word_of(const std::string& op) { return op == "I" ? "insert" : op == "U" ? "update" : "delete"; }

verbund_reject shown(const device::Reject& one) {
  return {one.id, one.subscription.c_str(), one.table.c_str(), word_of(one.op), one.key.c_str(), one.reason.c_str(), one.text.c_str(), one.mine.c_str(), one.theirs.c_str(), one.at.c_str(), one.state.c_str()};
}

verbund_sync_report shown(const Result<device::SyncReport>& done) {
  verbund_sync_report report{};
  report.result = done ? static_cast<verbund_sync_result>(done->result) : done.error().code == ErrorCode::kCancelled ? VERBUND_SYNC_CANCELED : VERBUND_SYNC_FAILED;
  if (!done) return report;
  report.sent = done->sent;
  report.applied = done->applied;
  report.rejected = done->rejected;
  report.waiting = done->waiting;
  for (const auto& session : done->sessions) {
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
std::optional<verbund::Error> reason_of(const Result<device::SyncReport>& done) {
  if (!done) return done.error();
  if (done->error) return done->error;
  for (const auto& session : done->sessions) {
    if (session.error) return session.error;
  }
  return std::nullopt;
}

}  // namespace

struct verbund_device {
  explicit verbund_device(const char* file) : device(file, the_clock()) {}
  device::ApplicationDevice device;
};

void verbund_error_free(verbund_error* error) { delete reinterpret_cast<OwnedError*>(error); }

verbund_device* verbund_device_enrol(const char* file, const char* server, const char* code, const char* name, verbund_error** error) {
  return told(error, device::guarded([&]() -> Result<verbund_device*> {
    if (file == nullptr || server == nullptr || code == nullptr) return fail(ErrorCode::kUsage, verbund::phrase("verbund_device_enrol: file, server and code are needed; one of them is NULL"));
    auto parsed = verbund::sync::parse_enrol_code(code);
    if (!parsed) return pass(parsed);
    const auto identity = device::identity_of(server, *parsed);
    auto transport = device::transport_to(identity);
    if (!transport) return pass(transport);
    auto enrolled = std::make_unique<verbund_device>(file);  // before the code is spent
    auto made = device::Device::enrol(file, identity, {code, name == nullptr ? host_name() : std::string(name)}, **transport, the_clock());
    if (!made) return pass(made);
    return enrolled.release();
  })).value_or(nullptr);
}

verbund_device* verbund_device_open(const char* file, verbund_error** error) {
  return told(error, device::guarded([&]() -> Result<verbund_device*> {
    if (file == nullptr) return fail(ErrorCode::kUsage, verbund::phrase("verbund_device_open: file is NULL"));
    auto opened = device::Device::open(file, the_clock());
    if (!opened) return pass(opened);
    return new verbund_device(file);
  })).value_or(nullptr);
}

void verbund_device_close(verbund_device* device) { delete device; }

void verbund_device_on_progress(verbund_device* device, verbund_on_progress callback, void* context) {
  device->device.change_events([&](auto& events) {
    events.sync.on_progress = nullptr;
    if (callback != nullptr) events.sync.on_progress = [callback, context](const std::string& name, std::uint64_t rows) { callback(name.c_str(), rows, context); };
  });
}

void verbund_device_on_waiting(verbund_device* device, verbund_on_waiting callback, void* context) {
  device->device.change_events([&](auto& events) {
    events.sync.on_waiting = nullptr;
    if (callback != nullptr) events.sync.on_waiting = [callback, context](std::uint64_t place) { callback(place, context); };
  });
}

void verbund_device_on_reject(verbund_device* device, verbund_on_reject callback, void* context) {
  device->device.change_events([&](auto& events) {
    events.sync.on_reject = nullptr;
    if (callback != nullptr) {
      events.sync.on_reject = [callback, context](const device::Reject& one) {
        const auto c = shown(one);
        callback(&c, context);
      };
    }
  });
}

void verbund_device_on_synced(verbund_device* device, verbund_on_synced callback, void* context) {
  device->device.change_events([&](auto& events) {
    events.on_synced = nullptr;
    if (callback != nullptr) {
      events.on_synced = [callback, context](const Result<device::SyncReport>& done) {
        const auto report = shown(done);
        const auto reason = reason_of(done);
        const auto error = reason ? std::optional<OwnedError>(std::in_place, *reason) : std::nullopt;
        callback(&report, error ? &error->shown : nullptr, context);
      };
    }
  });
}

verbund_sync_result verbund_device_sync(verbund_device* device, const char* set, verbund_sync_report* report, verbund_error** error) {
  const auto done = device::guarded([&] { return device->device.sync(set == nullptr ? "" : set); });
  const auto made = shown(done);
  if (report != nullptr) *report = made;
  if (const auto reason = reason_of(done)) tell(error, *reason);
  return made.result;
}

void verbund_device_cancel(verbund_device* device) { device->device.cancel(); }

int verbund_device_start_background(verbund_device* device, const char* set, uint32_t every_ms, verbund_error** error) {
  return number(told(error, device::guarded([&] { return device->device.start_background(set == nullptr ? "" : set, {milliseconds{every_ms}}); })));
}

void verbund_device_wake(verbund_device* device) { device->device.wake(); }

void verbund_device_stop_background(verbund_device* device) { device->device.stop_background(); }

verbund_device_status* verbund_device_status_read(verbund_device* device, verbund_error** error) {
  return told(error, device::guarded([&]() -> Result<verbund_device_status*> {
    auto opened = device->device.open();
    auto status = opened ? opened->status() : Result<device::DeviceStatus>(std::unexpected(opened.error()));
    if (!status) return pass(status);
    auto* owned = new OwnedStatus{{}, std::move(*status)};
    const auto& of = owned->status;
    owned->shown = {of.id.c_str(), of.user.c_str(), of.server.c_str(), of.last_sync.c_str(), of.last_result.c_str(), of.pending, of.undecided, of.rejects, of.revoked.c_str(), of.lease_until.c_str(), of.locked ? 1 : 0};
    return &owned->shown;
  })).value_or(nullptr);
}

void verbund_device_status_free(verbund_device_status* status) { delete reinterpret_cast<OwnedStatus*>(status); }

int verbund_device_rejects(verbund_device* device, int all, verbund_on_reject each, void* context, verbund_error** error) {
  return number(told(error, device::guarded([&]() -> Status {
    auto opened = device->device.open();
    auto rejects = opened ? opened->rejects(all != 0) : Result<std::vector<device::Reject>>(std::unexpected(opened.error()));
    if (!rejects) return pass(rejects);
    for (const auto& one : *rejects) {
      const auto c = shown(one);
      each(&c, context);
    }
    return {};
  })));
}

int verbund_device_dismiss(verbund_device* device, int64_t reject, verbund_error** error) {
  return number(told(error, device::guarded([&] {
    auto opened = device->device.open();
    return opened ? opened->dismiss(reject) : Status(std::unexpected(opened.error()));
  })));
}

int verbund_device_take_mine(verbund_device* device, int64_t reject, verbund_error** error) {
  return number(told(error, device::guarded([&] {
    auto opened = device->device.open();
    return opened ? opened->take_mine(reject) : Status(std::unexpected(opened.error()));
  })));
}
