/// Verbund's device library for C and C++: an SQLite file whose plain tables are kept in step with the office.
///
///   verbund_error *error = NULL;
///   verbund_device *device = verbund_device_enrol("notes.db", "praxis-server:2222", code, "Tablet", &error);
///   verbund_device_sync(device, NULL, NULL, &error);          // brings the tables, or what has changed
///   … any SQLite program reads and writes the tables …
///   verbund_device_start_background(device, NULL, 0, &error); // and from now on by itself
///   verbund_device_close(device);
///
/// The application's tables are ordinary STRICT tables with primary and foreign keys; changes are noted by triggers, whoever makes them. A sync sends what was
/// changed, hears what became of it and applies what came, each subscription in one transaction. Interrupted at any point, the next one goes on from there; a change
/// is done once. What the office refuses is a reject: the right row replaces the device's, the device's is kept beside it until it is resolved.
///
/// Threads: all functions of one device may be called from any thread; syncs of one device run one after the other. Callbacks come from the thread that syncs, must
/// not throw, and may call everything but verbund_device_sync, _stop_background and _close; that of progress, which comes while rows are applied, nothing that writes
/// either (_dismiss, _take_mine, the application's own changes). Other programs may use the file at any time; they wait for the moments in which a subscription is
/// applied (set a busy timeout).
/// Texts are UTF-8, zero-terminated; those handed to a callback are good until it returns. Times are ISO 8601 in UTC.
/// Errors: a function that takes `error` sets *error when it fails, unless `error` is NULL; free it with verbund_error_free. Codes are those of docs/errors.md:
/// "not_reachable", "unauthenticated", "forbidden" (the device is disabled), "revoked" (below), "not_found" (no device in this file), "in_use", "cancelled", "usage" (a text
/// that is needed is NULL), "internal" (there was no memory for it, or no thread), …. `device` is never NULL, but for _close.
/// Revoked: a sync that hears this of its own office removes all that came from there and was changed since: tables, files, changes, rejects, the device's secret. What the application has copied elsewhere it
/// removes itself when a function says "revoked" or the status does. Syncs of that file are over; the tables are gone.
/// Files: folders of the office lie in FILE-files/SUBSCRIPTION, brought up to date by each sync; what the application puts into a folder that goes up goes to the office, once (write
/// it elsewhere, then rename it into the folder). Counted like rows: those that came or went up, those that were removed; progress, too.
/// Stable: only this folder is installed. The C part needs C99, the C++ part C++20.
#ifndef VERBUND_DEVICE_H
#define VERBUND_DEVICE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct verbund_error {
  const char *code;
  const char *message;
  const char *hint;   /* what to do; may be empty */
  int exit_code;      /* what the command line ends with */
} verbund_error;
void verbund_error_free(verbund_error *error); /* NULL: nothing */

typedef struct verbund_device verbund_device;

/// Makes a file (or one that has tables of the application already) a device. `code`: from `verbund sync device invite`, good once; `name`: how the office calls it;
/// NULL: the host's name. NULL on failure.
verbund_device *verbund_device_enrol(const char *file, const char *server, const char *code, const char *name, verbund_error **error);
verbund_device *verbund_device_open(const char *file, verbund_error **error);
/// Ends the background, cancels a sync and waits for it. NULL: nothing.
void verbund_device_close(verbund_device *device);

typedef enum verbund_sync_result {
  VERBUND_SYNC_CANCELED = 0,
  VERBUND_SYNC_FAILED = 1,   /* the whole, or a subscription: the others were synced */
  VERBUND_SYNC_SUCCEEDED = 2
} verbund_sync_result;

typedef struct verbund_sync_report {
  verbund_sync_result result;
  uint64_t sent, applied, rejected, waiting; /* changes; those that wait are decided later */
  uint64_t upserted, deleted;                /* rows that came, rows that went */
  uint64_t kept;                             /* rows that the application changed meanwhile: the next sync decides */
  uint64_t failed_subscriptions;
} verbund_sync_report;

/// Rows of a subscription that have been taken so far.
typedef void (*verbund_on_progress)(const char *subscription, uint64_t rows, void *context);
/// So many devices stand before this one: the office is busy with others that begin anew. Again and again while the sync waits; it can be cancelled.
typedef void (*verbund_on_waiting)(uint64_t place, void *context);
typedef struct verbund_reject {
  int64_t id;
  const char *subscription, *table, *op, *key; /* op: insert, update, delete */
  const char *reason, *text;                   /* docs/formats/sync-laws.md: "version", "unique", …; text: of the database */
  const char *mine, *theirs;                   /* rows as JSON; theirs is empty where there is none */
  const char *at, *state;                      /* state: open, or how it was resolved */
} verbund_reject;
typedef void (*verbund_on_reject)(const verbund_reject *reject, void *context);
/// After each sync of the background; `error`: why it came to nothing, or NULL.
typedef void (*verbund_on_synced)(const verbund_sync_report *report, const verbund_error *error, void *context);

/// One of each; NULL: none. Not while a sync runs.
void verbund_device_on_progress(verbund_device *device, verbund_on_progress callback, void *context);
void verbund_device_on_waiting(verbund_device *device, verbund_on_waiting callback, void *context);
void verbund_device_on_reject(verbund_device *device, verbund_on_reject callback, void *context);
void verbund_device_on_synced(verbund_device *device, verbund_on_synced callback, void *context);

/// One sync of a set (NULL: everything), and before it the one that was interrupted. `report` may be NULL. With any other result than SUCCEEDED *error says why.
verbund_sync_result verbund_device_sync(verbund_device *device, const char *set, verbund_sync_report *report, verbund_error **error);
/// Ends a sync that is running, here or in the background, within a moment: it is CANCELED, and the next one goes on from there. Nothing when none runs. Any thread,
/// also a callback.
void verbund_device_cancel(verbund_device *device);

/// Syncs in a thread of its own: now, then every `every_ms` (0: as the server says, about 5 minutes), and soon after verbund_device_wake. While the server can't be
/// reached it tries less and less often, 10 minutes at most, at moments of its own so that not all devices come at once. 0, or -1: it runs already ("in_use").
int verbund_device_start_background(verbund_device *device, const char *set, uint32_t every_ms, verbund_error **error);
/// Syncs soon, whatever the pace: something was changed, or the network is there again.
void verbund_device_wake(verbund_device *device);
/// Cancels its sync and waits for the thread's end; a sync of verbund_device_sync goes on. Nothing when it does not run.
void verbund_device_stop_background(verbund_device *device);

typedef struct verbund_device_status {
  const char *id, *user, *server;
  const char *last_sync, *last_result;  /* empty: none yet; canceled, failed, succeeded */
  uint64_t pending;                     /* changes that no sync has taken yet */
  uint64_t undecided;                   /* that went up and are not decided */
  uint64_t rejects;                     /* open ones */
  const char *revoked;                  /* when the office revoked this device; empty: it has not */
  const char *lease_until;              /* then it locks its data unless it has synced before; empty: never */
  int locked;                           /* its data are locked until its next sync: the tables are gone, what had not gone up is kept sealed */
} verbund_device_status;
/// NULL on failure; free it with verbund_device_status_free.
verbund_device_status *verbund_device_status_read(verbund_device *device, verbund_error **error);
void verbund_device_status_free(verbund_device_status *status);

/// The open rejects, or `all`. 0, or -1.
int verbund_device_rejects(verbund_device *device, int all, verbund_on_reject each, void *context, verbund_error **error);
/// The reject has been seen. 0, or -1 ("not_found").
int verbund_device_dismiss(verbund_device *device, int64_t reject, verbund_error **error);
/// What was rejected becomes a change of the row as it is now; the next sync takes it up. 0, or -1.
int verbund_device_take_mine(verbund_device *device, int64_t reject, verbund_error **error);

#ifdef __cplusplus
}

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <verbund/client.h>

namespace verbund {
inline namespace device_v1 {

/// The same in C++: owns its device, errors are values (client.h). Threads as above.
class Device {
 public:
  using Report = verbund_sync_report;
  struct Status {
    std::string id, user, server, last_sync, last_result;
    std::uint64_t pending = 0, undecided = 0, rejects = 0;
    std::string revoked;
    std::string lease_until;
    bool locked = false;
  };
  struct Reject {
    std::int64_t id = 0;
    std::string subscription, table, op, key, reason, text, mine, theirs, at, state;
  };

  static Expected<Device> enrol(const std::string& file, const std::string& server, const std::string& code, const std::string& name = {}) {
    verbund_error* error = nullptr;
    auto* made = verbund_device_enrol(file.c_str(), server.c_str(), code.c_str(), name.empty() ? nullptr : name.c_str(), &error);
    if (made == nullptr) return taken(error);
    return Device(made);
  }
  static Expected<Device> open(const std::string& file) {
    verbund_error* error = nullptr;
    auto* opened = verbund_device_open(file.c_str(), &error);
    if (opened == nullptr) return taken(error);
    return Device(opened);
  }

  void on_progress(std::function<void(const std::string& subscription, std::uint64_t rows)> callback) {
    calls_->progress = std::move(callback);
    verbund_device_on_progress(device_.get(), [](const char* subscription, std::uint64_t rows, void* calls) {
      if (const auto& call = static_cast<Calls*>(calls)->progress) call(subscription, rows);
    }, calls_.get());
  }
  void on_waiting(std::function<void(std::uint64_t place)> callback) {
    calls_->waiting = std::move(callback);
    verbund_device_on_waiting(device_.get(), [](std::uint64_t place, void* calls) {
      if (const auto& call = static_cast<Calls*>(calls)->waiting) call(place);
    }, calls_.get());
  }
  void on_reject(std::function<void(const Reject&)> callback) {
    calls_->reject = std::move(callback);
    verbund_device_on_reject(device_.get(), [](const verbund_reject* reject, void* calls) {
      if (const auto& call = static_cast<Calls*>(calls)->reject) call(copied(*reject));
    }, calls_.get());
  }
  /// `failure`: null when all went well.
  void on_synced(std::function<void(const Report&, const Failure* failure)> callback) {
    calls_->synced = std::move(callback);
    verbund_device_on_synced(device_.get(), [](const verbund_sync_report* report, const verbund_error* error, void* calls) {
      const auto& call = static_cast<Calls*>(calls)->synced;
      if (!call) return;
      const auto failure = error == nullptr ? Failure{} : copied(*error);
      call(*report, error == nullptr ? nullptr : &failure);
    }, calls_.get());
  }

  /// A Failure when nothing was synced or the sync was cancelled; a subscription that failed stands in the report.
  Expected<Report> sync(const std::string& set = {}) {
    Report report{};
    verbund_error* error = nullptr;
    verbund_device_sync(device_.get(), set.empty() ? nullptr : set.c_str(), &report, &error);
    if (error != nullptr && report.failed_subscriptions == 0) return taken(error);
    verbund_error_free(error);
    return report;
  }
  void cancel() { verbund_device_cancel(device_.get()); }
  Expected<Ok> start_background(const std::string& set = {}, std::uint32_t every_ms = 0) {
    verbund_error* error = nullptr;
    if (verbund_device_start_background(device_.get(), set.empty() ? nullptr : set.c_str(), every_ms, &error) != 0) return taken(error);
    return Ok{};
  }
  void wake() { verbund_device_wake(device_.get()); }
  void stop_background() { verbund_device_stop_background(device_.get()); }

  Expected<Status> status() {
    verbund_error* error = nullptr;
    auto* read = verbund_device_status_read(device_.get(), &error);
    if (read == nullptr) return taken(error);
    Status status{read->id, read->user, read->server, read->last_sync, read->last_result, read->pending, read->undecided, read->rejects, read->revoked, read->lease_until, read->locked != 0};
    verbund_device_status_free(read);
    return status;
  }
  Expected<std::vector<Reject>> rejects(bool all = false) {
    std::vector<Reject> list;
    verbund_error* error = nullptr;
    const auto each = [](const verbund_reject* reject, void* to) { static_cast<std::vector<Reject>*>(to)->push_back(copied(*reject)); };
    if (verbund_device_rejects(device_.get(), all ? 1 : 0, each, &list, &error) != 0) return taken(error);
    return list;
  }
  Expected<Ok> dismiss(std::int64_t reject) {
    verbund_error* error = nullptr;
    if (verbund_device_dismiss(device_.get(), reject, &error) != 0) return taken(error);
    return Ok{};
  }
  Expected<Ok> take_mine(std::int64_t reject) {
    verbund_error* error = nullptr;
    if (verbund_device_take_mine(device_.get(), reject, &error) != 0) return taken(error);
    return Ok{};
  }

 private:
  struct Calls {
    std::function<void(const std::string&, std::uint64_t)> progress;
    std::function<void(std::uint64_t)> waiting;
    std::function<void(const Reject&)> reject;
    std::function<void(const Report&, const Failure*)> synced;
  };
  struct Closer {
    void operator()(verbund_device* device) const { verbund_device_close(device); }
  };

  explicit Device(verbund_device* device) : device_(device) {}
  static Failure copied(const verbund_error& error) { return {error.code, error.message, error.hint, error.exit_code, nullptr}; }
  static Failure taken(verbund_error* error) {
    auto failure = copied(*error);
    verbund_error_free(error);
    return failure;
  }
  static Reject copied(const verbund_reject& one) { return {one.id, one.subscription, one.table, one.op, one.key, one.reason, one.text, one.mine, one.theirs, one.at, one.state}; }

  std::unique_ptr<Calls> calls_ = std::make_unique<Calls>();  // outlives the device, whose thread calls them
  std::unique_ptr<verbund_device, Closer> device_;
};

}  // namespace device_v1
}  // namespace verbund
#endif
#endif
