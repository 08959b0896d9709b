#include "platform/postgres/connection.h"

#include "base/messages.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

/// Statements kept prepared per connection. Each costs the server a few kB to a few 100 kB of plan.
constexpr std::size_t kMaxPrepared = 128;

std::string text_of(std::string_view sql) { return std::string(sql); }

/// Parameters as libpq takes them; borrowed.
struct Values {
  std::vector<const char*> texts;
  std::vector<int> lengths;
  [[nodiscard]] int count() const { return static_cast<int>(texts.size()); }
};

Result<Values> values_of(std::span<const Parameter> parameters, std::string_view sql) {
  Values values;
  for (const Parameter& parameter : parameters) {
    // A zero byte would end the value early in text format: refused here, as PostgreSQL would.
    if (parameter && parameter->find('\0') != std::string::npos) {
      return fail(ErrorCode::kBadUtf8, phrase("PostgreSQL, {}: a parameter contains a zero byte", brief(sql)));
    }
    values.texts.push_back(parameter ? parameter->c_str() : nullptr);
    values.lengths.push_back(parameter ? static_cast<int>(parameter->size()) : 0);
  }
  return values;
}

/// 0A000: a table changed its columns since the statement was prepared. 26000: somebody ran DISCARD or DEALLOCATE.
bool is_stale(const std::string& sqlstate) { return sqlstate == "0A000" || sqlstate == "26000"; }

}  // namespace

struct Connection::Statements {
  std::unordered_map<std::string, std::string> names;  // SQL text → prepared name
  std::deque<std::string> order;                       // oldest first
  std::uint64_t next = 1;
  std::string last_sqlstate, last_detail;
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
  const char* detail = result != nullptr ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : nullptr;
  statements_->last_detail = detail != nullptr ? detail : "";
  return std::unexpected(error_of(connection_, result, what));
}

const std::string& Connection::last_sqlstate() const { return statements_->last_sqlstate; }
const std::string& Connection::last_detail() const { return statements_->last_detail; }

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
  auto values = values_of(parameters, sql);
  if (!values) return pass(values);
  ResultHandle result(PQexecPrepared(connection_, name->c_str(), values->count(), values->texts.data(),
                                     values->lengths.data(), nullptr, 0));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return Rows(result.release());
  if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) return refuse_copy(sql);
  return failed(result.get(), brief(sql));
}

Result<Rows> Connection::query(std::string_view sql, std::span<const Parameter> parameters) {
  const bool idle = PQtransactionStatus(connection_) == PQTRANS_IDLE;
  auto rows = query_once(sql, parameters);
  if (rows || !healthy()) return rows;
  const bool stale = rows.error().code == ErrorCode::kDatabase && is_stale(statements_->last_sqlstate) &&
                     statements_->names.contains(text_of(sql));
  if (!stale) return rows;
  forget(sql);
  // Inside a transaction the error has aborted it already; the caller's next attempt finds a fresh statement.
  return idle ? query_once(sql, parameters) : std::move(rows);
}

Result<std::vector<std::string>> Connection::prepare_all(std::span<const Statement> statements) {
  const auto missing = [&] {
    return std::ranges::find_if(statements, [&](const Statement& each) { return !statements_->names.contains(each.sql); });
  };
  // Preparing one may push another out; those prepared last stay, so this ends.
  for (auto next = missing(); next != statements.end(); next = missing()) {
    if (auto name = prepared(next->sql); !name) return pass(name);
  }
  std::vector<std::string> names;
  for (const Statement& each : statements) names.push_back(statements_->names.at(each.sql));
  return names;
}

Result<std::vector<Rows>> Connection::run(std::span<const Statement> statements) {
  if (statements.size() > kMaxPipelined) return fail(ErrorCode::kInternal, phrase("PostgreSQL: too many statements in one pipeline"));
  auto names = prepare_all(statements);
  if (!names) return pass(names);
  auto rows = run_prepared(statements, *names);
  // The caller's next attempt finds fresh statements.
  if (!rows && healthy() && is_stale(statements_->last_sqlstate)) {
    for (const Statement& each : statements) forget(each.sql);
  }
  return rows;
}

Result<std::vector<Rows>> Connection::run_prepared(std::span<const Statement> statements, std::span<const std::string> names) {
  std::vector<Values> values;
  for (const Statement& each : statements) {
    auto read = values_of(each.parameters, each.sql);
    if (!read) return pass(read);
    values.push_back(std::move(*read));
  }
  if (PQenterPipelineMode(connection_) != 1) return failed(nullptr, "pipeline");
  for (std::size_t i = 0; i < statements.size(); ++i) {
    const Values& each = values[i];
    if (PQsendQueryPrepared(connection_, names[i].c_str(), each.count(), each.texts.data(), each.lengths.data(), nullptr, 0) != 1) {
      return failed(nullptr, brief(statements[i].sql));
    }
  }
  if (PQpipelineSync(connection_) != 1) return failed(nullptr, "pipeline");
  auto rows = collect(statements);
  if (PQexitPipelineMode(connection_) != 1 && rows) return failed(nullptr, "pipeline");
  return rows;
}

Result<std::vector<Rows>> Connection::collect(std::span<const Statement> statements) {
  std::vector<Rows> all;
  std::optional<Error> failure;
  const auto take = [&](ResultHandle result, std::string_view what) {
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
      all.emplace_back(result.release());
    } else if (status != PGRES_PIPELINE_SYNC && status != PGRES_PIPELINE_ABORTED && !failure) {
      failure = failed(result.get(), what).error();
    }
    return status == PGRES_PIPELINE_SYNC;
  };
  for (const Statement& each : statements) {
    while (PGresult* result = PQgetResult(connection_)) take(ResultHandle(result), brief(each.sql));
  }
  // What fails only at the commit stands before the end of the pipeline. A lost connection gives no more results.
  for (bool ended = false; !ended && healthy();) {
    if (PGresult* result = PQgetResult(connection_)) ended = take(ResultHandle(result), "commit of a pipeline");
  }
  if (!failure && !healthy()) failure = failed(nullptr, "pipeline").error();
  if (failure) return std::unexpected(std::move(*failure));
  return all;
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
  if (connection == nullptr) return fail(ErrorCode::kInternal, phrase("PostgreSQL, COMMIT: the transaction has ended already"));
  const ResultHandle result(PQexec(connection->connection_, "COMMIT"));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return connection->failed(result.get(), "COMMIT");
  // PostgreSQL answers COMMIT of an aborted transaction with success and the tag ROLLBACK.
  if (std::string_view(PQcmdStatus(result.get())) != "COMMIT") {
    return fail(ErrorCode::kDatabase, phrase("PostgreSQL, COMMIT: rolled back, because an earlier statement of it failed"));
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
