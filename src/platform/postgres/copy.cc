// COPY in and out of a connection.
#include "base/messages.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

/// PQputCopyData takes an int; larger input goes in slices.
constexpr std::size_t kMaxCopySlice = 64 * 1024 * 1024;

struct CopyBuffer {
  char* text = nullptr;
  CopyBuffer() = default;
  CopyBuffer(const CopyBuffer&) = delete;
  CopyBuffer& operator=(const CopyBuffer&) = delete;
  ~CopyBuffer() { PQfreemem(text); }
};

/// Reads results until the command is over; the first that failed, else the last.
ResultHandle drain(PGconn* connection) {
  ResultHandle kept;
  bool failed = false;
  while (PGresult* next = PQgetResult(connection)) {
    ResultHandle result(next);
    const ExecStatusType status = PQresultStatus(next);
    if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) break;
    if (!failed) kept = std::move(result);
    failed = failed || status == PGRES_FATAL_ERROR;
    if (PQstatus(connection) == CONNECTION_BAD) break;
  }
  return kept;
}

void cancel(PGconn* connection) {
  PGcancel* handle = PQgetCancel(connection);
  if (handle == nullptr) return;
  std::array<char, 256> reason{};
  // A cancel that does not arrive only means that more rows are read and dropped.
  (void)PQcancel(handle, reason.data(), static_cast<int>(reason.size()));
  PQfreeCancel(handle);
}

}  // namespace

Status Connection::copy_in_begin(std::string_view sql) {
  const ResultHandle result(PQexec(connection_, std::string(sql).c_str()));
  if (PQresultStatus(result.get()) == PGRES_COPY_IN) return {};
  if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) return failed(result.get(), brief(sql));
  return fail(ErrorCode::kInternal, phrase("PostgreSQL, {}: no COPY … FROM STDIN", brief(sql)));
}

Status Connection::copy_in_write(std::string_view data) {
  while (!data.empty()) {
    const std::string_view slice = data.substr(0, kMaxCopySlice);
    if (PQputCopyData(connection_, slice.data(), static_cast<int>(slice.size())) != 1) return failed(nullptr, "COPY data");
    data.remove_prefix(slice.size());
  }
  return {};
}

Result<std::uint64_t> Connection::copy_in_finish() {
  if (PQputCopyEnd(connection_, nullptr) != 1) return failed(nullptr, "end of COPY");
  const ResultHandle result = drain(connection_);
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return failed(result.get(), "COPY");
  return parse_u64(PQcmdTuples(result.get())).value_or(0);
}

void Connection::copy_in_abort(std::string_view reason) {
  // Fails only on a broken connection, which aborts the COPY as well.
  (void)PQputCopyEnd(connection_, std::string(reason).c_str());
  const ResultHandle result = drain(connection_);
}

std::unexpected<Error> Connection::refuse_copy(std::string_view sql) {
  // COPY … FROM waits for data: ended with an error. COPY … TO sends some: cancelled and read to its end.
  if (PQputCopyEnd(connection_, "not a COPY call") != 1) {
    cancel(connection_);
    CopyBuffer buffer;
    while (PQgetCopyData(connection_, &buffer.text, 0) > 0) PQfreemem(std::exchange(buffer.text, nullptr));
  }
  const ResultHandle result = drain(connection_);
  return fail(ErrorCode::kInternal, phrase("PostgreSQL, {}: COPY goes through copy_in and copy_out", brief(sql)));
}

Status Connection::copy_out(std::string_view sql, const std::function<bool(std::string_view)>& sink) {
  const ResultHandle started(PQexec(connection_, std::string(sql).c_str()));
  if (PQresultStatus(started.get()) == PGRES_FATAL_ERROR) return failed(started.get(), brief(sql));
  if (PQresultStatus(started.get()) != PGRES_COPY_OUT) {
    return fail(ErrorCode::kInternal, phrase("PostgreSQL, {}: no COPY … TO STDOUT", brief(sql)));
  }
  bool wanted = true;
  for (;;) {
    CopyBuffer buffer;
    const int length = PQgetCopyData(connection_, &buffer.text, 0);
    if (length < 0) break;  // -1: the end, -2: an error; both are in the result
    if (wanted && !sink({buffer.text, static_cast<std::size_t>(length)})) {
      wanted = false;
      cancel(connection_);
    }
  }
  const ResultHandle result = drain(connection_);
  if (!wanted) return fail(ErrorCode::kCancelled, phrase("PostgreSQL, {}: cancelled by its reader", brief(sql)));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return failed(result.get(), brief(sql));
  return {};
}

void Connection::append_copy_text(std::string& out, std::optional<std::string_view> value) {
  if (!value) {
    out += "\\N";
    return;
  }
  for (const char c : *value) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      default: out.push_back(c);
    }
  }
}

}  // namespace verbund::postgres
