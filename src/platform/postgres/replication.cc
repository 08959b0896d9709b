#include "platform/postgres/replication.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/messages.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

// Sizes of the fixed parts, message byte included ("Streaming Replication Protocol" of the manual).
constexpr std::size_t kDataHeaderBytes = 1 + 8 + 8 + 8;  // 'w', start, end of WAL, send time
constexpr std::size_t kKeepaliveBytes = 1 + 8 + 8 + 1;   // 'k', end of WAL, send time, reply requested
constexpr std::size_t kStatusBytes = 1 + 8 + 8 + 8 + 8 + 1;

/// PostgreSQL counts microseconds from 2000-01-01.
constexpr std::chrono::sys_days kPostgresEpoch{std::chrono::year{2000} / 1 / 1};

std::uint64_t read_u64(const char* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

void append_u64(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}

struct CopyDeleter {
  void operator()(char* text) const { PQfreemem(text); }
};

/// The slot's changes are gone: max_slot_wal_keep_size was exceeded, or the files were removed.
bool changes_gone(const std::string& sqlstate, const std::string& message) {
  // 55000 also says that wal_level is too low; the setting's name stays the same in every language.
  return sqlstate == "58P01" || (sqlstate == "55000" && message.find("wal_level") == std::string::npos);
}

Error slot_error(PGconn* connection, const PGresult* result, const std::string& what) {
  Error error = error_of(connection, result, what);
  const std::string state = sqlstate_of(result);
  if (state == "42710") error.code = ErrorCode::kAlreadyExists;
  if (state == "42704") error.code = ErrorCode::kNotFound;
  if (state == "55006") error.code = ErrorCode::kInUse;
  if (state == "55P03") error.code = ErrorCode::kTimedOut;  // lock_timeout: a new slot waits for open transactions
  if (changes_gone(state, error.message)) {
    error.code = ErrorCode::kSnapshotNeeded;
  } else if (state == "55000") {
    error.code = ErrorCode::kServerSetting;
    error.advise(phrase("ALTER SYSTEM SET wal_level = 'logical', then restart PostgreSQL."));
  } else if (state == "53400") {
    error.code = ErrorCode::kServerSetting;
    error.advise(phrase("ALTER SYSTEM SET max_replication_slots = 20, then restart PostgreSQL; or drop a slot that nobody reads."));
  } else if (state == "42501") {
    error.code = ErrorCode::kServerSetting;
    error.advise(verbatim(fmt::format("ALTER ROLE {} REPLICATION", Connection::quote_identifier(PQuser(connection)))));
  }
  return error;
}

}  // namespace

struct ReplicationStream::Impl {
  explicit Impl(ConnectionHandle handle) : connection(std::move(handle)), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (wake >= 0) ::close(wake);
  }

  /// One message into `message` if there is one in libpq's buffer; false when more has to be read first.
  Result<bool> take() {
    char* bytes = nullptr;
    const int length = PQgetCopyData(connection.get(), &bytes, 1);
    message.reset(bytes);
    if (length > 0) {
      message_bytes = static_cast<std::size_t>(length);
      return true;
    }
    if (length == 0) return false;
    return std::unexpected(failure = ended());
  }

  Error ended() {
    streaming = false;
    const ResultHandle result(PQgetResult(connection.get()));
    const bool by_error = result && PQresultStatus(result.get()) == PGRES_FATAL_ERROR;
    if (by_error) return slot_error(connection.get(), result.get(), "replication stream");
    return make_error(ErrorCode::kDatabaseDown, phrase("PostgreSQL, replication stream: the server has ended it"));
  }

  Status read_socket() {
    if (PQconsumeInput(connection.get()) == 1) return {};
    streaming = false;
    return std::unexpected(failure = error_of(connection.get(), nullptr, "replication stream"));
  }

  /// Waits for input or `interrupt`. False when the time is over.
  bool wait_for_input(nanoseconds wait) const {
    std::array<pollfd, 2> entries{pollfd{PQsocket(connection.get()), POLLIN, 0}, pollfd{wake, POLLIN, 0}};
    const auto whole = std::chrono::floor<seconds>(wait);
    const timespec limit{static_cast<time_t>(whole.count()), static_cast<long>((wait - whole).count())};
    return ::ppoll(entries.data(), entries.size(), &limit, nullptr) != 0;
  }

  bool take_interrupt() {
    if (!interrupted.exchange(false)) return false;
    std::uint64_t count = 0;
    // EAGAIN is fine: `interrupt` sets the flag before it wakes.
    (void)!::read(wake, &count, sizeof count);
    return true;
  }

  Status send_status() {
    const auto since_epoch = std::chrono::duration_cast<microseconds>(std::chrono::system_clock::now() - kPostgresEpoch);
    std::string status(1, 'r');
    append_u64(status, std::max(received, flushed).value);
    append_u64(status, flushed.value);
    append_u64(status, flushed.value);
    append_u64(status, static_cast<std::uint64_t>(since_epoch.count()));
    status.push_back(0);
    if (PQputCopyData(connection.get(), status.data(), static_cast<int>(kStatusBytes)) != 1 ||
        PQflush(connection.get()) < 0) {
      return std::unexpected(error_of(connection.get(), nullptr, "standby status update"));
    }
    return {};
  }

  Result<Event> parse() {
    const char* bytes = message.get();
    Event event;
    if (bytes[0] == 'w' && message_bytes >= kDataHeaderBytes) {
      event.kind = Event::Kind::kData;
      event.wal_start = {read_u64(bytes + 1)};
      event.wal_end = {read_u64(bytes + 9)};
      event.data = {bytes + kDataHeaderBytes, message_bytes - kDataHeaderBytes};
      received = std::max(received, event.wal_start);
      return event;
    }
    if (bytes[0] == 'k' && message_bytes == kKeepaliveBytes) {
      event.kind = Event::Kind::kKeepalive;
      event.wal_end = {read_u64(bytes + 1)};
      event.reply_requested = bytes[17] != 0;
      // Answered here too, so that a consumer deep in a large transaction is not taken for dead.
      if (event.reply_requested) {
        if (auto sent = send_status(); !sent) return pass(sent);
      }
      return event;
    }
    return fail(ErrorCode::kBadStream, phrase("replication stream: message of type {} with {} bytes",
                                                   static_cast<int>(bytes[0]), message_bytes));
  }

  ConnectionHandle connection;
  const int wake;
  std::atomic<bool> interrupted{false};
  std::unique_ptr<char, CopyDeleter> message;
  std::size_t message_bytes = 0;
  bool message_waits = false;  // taken by `ready`, not handed out yet
  bool streaming = false;
  Error failure = make_error(ErrorCode::kDatabaseDown, phrase("PostgreSQL, replication stream: not started"));  // why not streaming
  Lsn received;
  Lsn flushed;
};

ReplicationStream::ReplicationStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ReplicationStream::ReplicationStream(ReplicationStream&&) noexcept = default;
ReplicationStream& ReplicationStream::operator=(ReplicationStream&&) noexcept = default;
ReplicationStream::~ReplicationStream() = default;

Result<ReplicationStream> ReplicationStream::open(const ConnectionSettings& settings) {
  auto connection = connect(settings, {{"replication", "database"}}, seconds{10});
  if (!connection) return pass(connection, "replication");
  auto impl = std::make_unique<Impl>(std::move(*connection));
  if (impl->wake < 0) return fail(ErrorCode::kIo, phrase("replication: eventfd: {}", std::strerror(errno)));
  return ReplicationStream(std::move(impl));
}

Result<SystemIdentity> ReplicationStream::identify() {
  PGconn* connection = impl_->connection.get();
  const ResultHandle result(PQexec(connection, "IDENTIFY_SYSTEM"));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1) {
    return std::unexpected(error_of(connection, result.get(), "IDENTIFY_SYSTEM"));
  }
  SystemIdentity identity;
  identity.system_id = PQgetvalue(result.get(), 0, 0);
  const auto timeline = parse_u64(PQgetvalue(result.get(), 0, 1));
  const auto flushed = parse_lsn(PQgetvalue(result.get(), 0, 2));
  if (!timeline || !flushed) return fail(ErrorCode::kBadStream, phrase("IDENTIFY_SYSTEM: an answer that is not understood"));
  identity.timeline = static_cast<std::uint32_t>(*timeline);
  identity.flushed = *flushed;
  return identity;
}

Result<NewSlot> ReplicationStream::create_slot(std::string_view name) {
  PGconn* connection = impl_->connection.get();
  const std::string command = fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'export')",
                                          Connection::quote_identifier(name));
  const ResultHandle result(PQexec(connection, command.c_str()));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1) {
    return std::unexpected(slot_error(connection, result.get(), fmt::format("create replication slot {}", name)));
  }
  const auto point = parse_lsn(PQgetvalue(result.get(), 0, 1));
  if (!point) return std::unexpected(point.error());
  return NewSlot{PQgetvalue(result.get(), 0, 0), *point, PQgetvalue(result.get(), 0, 2)};
}

Status ReplicationStream::drop_slot(std::string_view name) {
  PGconn* connection = impl_->connection.get();
  const std::string command = fmt::format("DROP_REPLICATION_SLOT {}", Connection::quote_identifier(name));
  const ResultHandle result(PQexec(connection, command.c_str()));
  if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) return {};
  return std::unexpected(slot_error(connection, result.get(), fmt::format("drop replication slot {}", name)));
}

Status ReplicationStream::start(std::string_view slot, Lsn from, std::string_view publication) {
  PGconn* connection = impl_->connection.get();
  // The names are a list of identifiers inside a literal.
  const std::string command = fmt::format(
      "START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {}, messages 'true')",
      Connection::quote_identifier(slot), to_string(from),
      Connection::quote_literal(Connection::quote_identifier(publication)));
  const ResultHandle result(PQexec(connection, command.c_str()));
  if (PQresultStatus(result.get()) != PGRES_COPY_BOTH) {
    return std::unexpected(slot_error(connection, result.get(), fmt::format("start replication from slot {}", slot)));
  }
  impl_->streaming = true;
  impl_->flushed = from;
  impl_->received = from;
  return {};
}

Result<ReplicationStream::Event> ReplicationStream::next(nanoseconds wait) {
  const auto until = std::chrono::steady_clock::now() + wait;
  for (;;) {
    if (impl_->take_interrupt()) return fail(ErrorCode::kCancelled, phrase("replication stream: interrupted"));
    if (std::exchange(impl_->message_waits, false)) return impl_->parse();
    if (!impl_->streaming) return std::unexpected(impl_->failure);
    auto taken = impl_->take();
    if (!taken) return pass(taken);
    if (*taken) return impl_->parse();
    const nanoseconds left = until - std::chrono::steady_clock::now();
    if (!impl_->wait_for_input(std::max(left, nanoseconds{0})) && left <= nanoseconds{0}) return Event{};
    if (auto read = impl_->read_socket(); !read) return pass(read);
  }
}

bool ReplicationStream::ready() {
  if (impl_->message_waits) return true;
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!impl_->streaming) return true;  // `next` has an error to tell
    const auto taken = impl_->take();
    if (!taken) return true;
    if (*taken) return impl_->message_waits = true;
    if (attempt == 0 && !impl_->read_socket()) return true;
  }
  return false;
}

Status ReplicationStream::confirm(Lsn flushed) {
  impl_->flushed = std::max(impl_->flushed, flushed);
  return impl_->send_status();
}

void ReplicationStream::interrupt() {
  impl_->interrupted = true;
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the reader is awake anyway.
  (void)!::write(impl_->wake, &one, sizeof one);
}

}  // namespace verbund::postgres
