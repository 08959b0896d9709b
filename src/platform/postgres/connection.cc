#include "platform/postgres/connection.h"

#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

/// Statements kept prepared per connection. Each costs the server a few kB to a few 100 kB of plan.
constexpr std::size_t kMaxPrepared = 128;

std::string text_of(std::string_view sql) { return std::string(sql); }

}  // namespace

struct Connection::Statements {
  std::unordered_map<std::string, std::string> names;  // SQL text → prepared name
  std::deque<std::string> order;                       // oldest first
  std::uint64_t next = 1;
  std::string last_sqlstate;
};

Result<Connection> Connection::open(const ConnectionSettings& settings, seconds connect_timeout) {
  auto handle = connect(settings, {}, connect_timeout);
  if (!handle) return pass(handle);
  return Connection(handle->release());
}

Connection::Connection(pg_conn* connection) : connection_(connection), statements_(std::make_unique<Statements>()) {}
Connection::Connection(Connection&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)), statements_(std::move(other.statements_)) {}
Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(connection_, other.connection_);
  std::swap(statements_, other.statements_);
  return *this;
}
Connection::~Connection() { PQfinish(connection_); }

std::unexpected<Error> Connection::failed(const pg_result* result, std::string_view what) {
  statements_->last_sqlstate = sqlstate_of(result);
  return std::unexpected(error_of(connection_, result, what));
}

const std::string& Connection::last_sqlstate() const { return statements_->last_sqlstate; }

Result<std::string> Connection::prepared(std::string_view sql) {
  std::string text = text_of(sql);
  if (const auto found = statements_->names.find(text); found != statements_->names.end()) return found->second;
  if (statements_->names.size() >= kMaxPrepared) {
    const auto oldest = statements_->names.find(statements_->order.front());
    const ResultHandle gone(PQexec(connection_, ("DEALLOCATE " + oldest->second).c_str()));
    if (PQresultStatus(gone.get()) != PGRES_COMMAND_OK) return failed(gone.get(), "DEALLOCATE");
    statements_->names.erase(oldest);
    statements_->order.pop_front();
  }
  std::string name = fmt::format("verbund_{}", statements_->next++);
  const ResultHandle result(PQprepare(connection_, name.c_str(), text.c_str(), 0, nullptr));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return failed(result.get(), brief(sql));
  statements_->order.push_back(text);
  statements_->names.emplace(std::move(text), name);
  return name;
}

void Connection::forget(std::string_view sql) {
  const auto found = statements_->names.find(text_of(sql));
  if (found == statements_->names.end()) return;
  const ResultHandle gone(PQexec(connection_, ("DEALLOCATE " + found->second).c_str()));
  std::erase(statements_->order, found->first);
  statements_->names.erase(found);
}

Result<Rows> Connection::query_once(std::string_view sql, std::span<const Parameter> parameters) {
  const auto name = prepared(sql);
  if (!name) return std::unexpected(name.error());
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const Parameter& parameter : parameters) {
    // A zero byte would end the value early in text format: refused here, as PostgreSQL would.
    if (parameter && parameter->find('\0') != std::string::npos) {
      return fail(ErrorCode::kBadUtf8, fmt::format("PostgreSQL, {}: a parameter contains a zero byte", brief(sql)));
    }
    values.push_back(parameter ? parameter->c_str() : nullptr);
    lengths.push_back(parameter ? static_cast<int>(parameter->size()) : 0);
  }
  ResultHandle result(PQexecPrepared(connection_, name->c_str(), static_cast<int>(values.size()), values.data(),
                                     lengths.data(), nullptr, 0));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return Rows(result.release());
  if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) return refuse_copy(sql);
  return failed(result.get(), brief(sql));
}

Result<Rows> Connection::query(std::string_view sql, std::span<const Parameter> parameters) {
  const bool idle = PQtransactionStatus(connection_) == PQTRANS_IDLE;
  auto rows = query_once(sql, parameters);
  if (rows || !healthy()) return rows;
  // 0A000: a table changed its columns since the statement was prepared. 26000: somebody ran DISCARD or DEALLOCATE.
  const std::string& state = statements_->last_sqlstate;
  const bool stale = rows.error().code == ErrorCode::kDatabase && (state == "0A000" || state == "26000") &&
                     statements_->names.contains(text_of(sql));
  if (!stale) return rows;
  forget(sql);
  // Inside a transaction the error has aborted it already; the caller's next attempt finds a fresh statement.
  return idle ? query_once(sql, parameters) : std::move(rows);
}

Status Connection::execute(std::string_view sql) {
  const ResultHandle result(PQexec(connection_, text_of(sql).c_str()));
  switch (PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      return {};
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
      return refuse_copy(sql);
    default:
      return failed(result.get(), brief(sql));
  }
}

Result<Connection::Transaction> Connection::begin(std::string_view options) {
  if (auto begun = execute(fmt::format("BEGIN {}", options)); !begun) return pass(begun);
  return Transaction(*this);
}

bool Connection::healthy() const { return PQstatus(connection_) == CONNECTION_OK; }
bool Connection::in_transaction() const {
  const PGTransactionStatusType status = PQtransactionStatus(connection_);
  return status != PQTRANS_IDLE && status != PQTRANS_UNKNOWN;
}
int Connection::backend_pid() const { return PQbackendPID(connection_); }
int Connection::socket() const { return PQsocket(connection_); }
int Connection::server_version() const { return PQserverVersion(connection_); }

std::string Connection::quote_identifier(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + '"';
}

std::string Connection::quote_literal(std::string_view text) {
  // E'' whenever a backslash occurs: right whatever standard_conforming_strings says.
  std::string quoted = text.find('\\') != std::string_view::npos ? "E'" : "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted.push_back(c);
    quoted.push_back(c);
  }
  return quoted + '\'';
}

Connection::Transaction::~Transaction() { rollback(); }

Status Connection::Transaction::commit() {
  Connection* connection = std::exchange(connection_, nullptr);
  if (connection == nullptr) return fail(ErrorCode::kInternal, "PostgreSQL, COMMIT: the transaction has ended already");
  const ResultHandle result(PQexec(connection->connection_, "COMMIT"));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return connection->failed(result.get(), "COMMIT");
  // PostgreSQL answers COMMIT of an aborted transaction with success and the tag ROLLBACK.
  if (std::string_view(PQcmdStatus(result.get())) != "COMMIT") {
    return fail(ErrorCode::kDatabase, "PostgreSQL, COMMIT: rolled back, because an earlier statement of it failed");
  }
  return {};
}

void Connection::Transaction::rollback() {
  Connection* connection = std::exchange(connection_, nullptr);
  if (connection == nullptr || !connection->in_transaction()) return;
  // A rollback that fails leaves a broken connection, which ends the transaction as well.
  const ResultHandle result(PQexec(connection->connection_, "ROLLBACK"));
}

}  // namespace verbund::postgres
