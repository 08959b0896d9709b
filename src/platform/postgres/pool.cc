#include <poll.h>

#include <condition_variable>

#include "base/messages.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

/// An idle connection on which something can be read has been ended by the server (restart, pg_terminate_backend).
bool ended(Connection& connection) {
  if (!connection.healthy()) return true;
  pollfd entry{connection.socket(), POLLIN, 0};
  return ::poll(&entry, 1, 0) != 0;
}

}  // namespace

struct Pool::Impl {
  Impl(ConnectionSettings given, std::size_t limit, const Clock& given_clock)
      : settings(std::move(given)), max_connections(limit), clock(given_clock) {}

  void give_back(std::unique_ptr<Connection> connection) {
    // With a transaction or COPY still open nobody can say what state it is in: closed, not reused.
    if (connection && (!connection->healthy() || PQtransactionStatus(connection->native()) != PQTRANS_IDLE)) {
      connection.reset();
    }
    {
      const std::lock_guard lock(mutex);
      --in_use;
      if (connection) idle.push_back(std::move(connection));
    }
    freed.notify_one();
  }

  /// A place, with an idle connection when there is one.
  Result<std::unique_ptr<Connection>> take_place(Deadline deadline) {
    constexpr milliseconds kSlice{50};  // a clock that is advanced by hand is looked at this often
    std::unique_lock lock(mutex);
    while (in_use >= max_connections) {
      if (deadline.passed(clock)) {
        return fail(ErrorCode::kTimedOut, phrase("wait for a database connection to {}: all {} are in use",
                                                      settings.shown(), max_connections));
      }
      freed.wait_for(lock, std::min<nanoseconds>(deadline.left(clock), kSlice));
    }
    ++in_use;
    if (idle.empty()) return nullptr;
    auto connection = std::move(idle.back());
    idle.pop_back();
    return connection;
  }

  const ConnectionSettings settings;
  const std::size_t max_connections;
  const Clock& clock;
  std::mutex mutex;
  std::condition_variable freed;
  std::vector<std::unique_ptr<Connection>> idle;
  std::size_t in_use = 0;
};

Pool::Pool(ConnectionSettings settings, std::size_t max_connections, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(settings), max_connections, clock)) {}
Pool::~Pool() = default;

Result<Pool::Lease> Pool::acquire(Deadline deadline) {
  auto place = impl_->take_place(deadline);
  if (!place) return pass(place);
  if (*place && !ended(**place)) return Lease(impl_.get(), std::move(*place));
  place->reset();
  const auto left = std::chrono::ceil<seconds>(deadline.left(impl_->clock));
  auto opened = Connection::open(impl_->settings, std::max(left, seconds{1}));
  if (!opened) {
    impl_->give_back(nullptr);
    return pass(opened);
  }
  return Lease(impl_.get(), std::make_unique<Connection>(std::move(*opened)));
}

Pool::Lease::Lease(Impl* pool, std::unique_ptr<Connection> connection)
    : pool_(pool), connection_(std::move(connection)) {}
Pool::Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)) {}
Pool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->give_back(std::move(connection_));
}
Connection& Pool::Lease::operator*() { return *connection_; }
Connection* Pool::Lease::operator->() { return connection_.get(); }

}  // namespace verbund::postgres
