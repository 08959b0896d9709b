#pragma once
/// libpq in RAII: connections, results, parameters, COPY. Thin: SQL stays SQL.
///
/// Threads: a Connection belongs to one thread at a time; Pool is safe from any thread.
/// Errors: kDatabaseDown (connection broken; SQLSTATE class 08, 57P0x), kConstraint (class 23), kTimedOut (57014 by
/// our deadline), kDiskFull (53100), kForbidden (42501), kDatabase (all else, with PostgreSQL's message and SQLSTATE).
/// When connecting also kUnauthenticated (class 28) and kNotFound (no such database).
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"

struct pg_conn;
struct pg_result;

namespace verbund::postgres {

/// What is needed to connect. Passwords travel in memory only (PQconnectdbParams), never in argv or the environment.
struct ConnectionSettings {
  std::string host;      ///< name, address, or absolute directory of the Unix socket
  std::uint16_t port = 5432;
  std::string database;
  std::string user;
  std::string password;
  std::string application_name = "verbund";
  std::string options;   ///< further libpq "key=value" pairs (sslmode …), of a user's connection string
  /// For logs and messages: no password.
  [[nodiscard]] std::string shown() const;
};
/// Reads a libpq connection string or URI. Errors: kBadConfig.
Result<ConnectionSettings> parse_connection_string(std::string_view text);

/// One text-format parameter; nullopt is SQL NULL.
using Parameter = std::optional<std::string>;

/// One of the statements of Connection::run.
struct Statement {
  std::string sql;
  std::vector<Parameter> parameters;
};

/// Rows of a finished statement. Values are text format, valid as long as the Rows.
class Rows {
 public:
  explicit Rows(pg_result* result);
  Rows(Rows&&) noexcept;
  Rows& operator=(Rows&&) noexcept;
  ~Rows();
  [[nodiscard]] int size() const;
  [[nodiscard]] int columns() const;
  [[nodiscard]] bool null(int row, int column) const;
  [[nodiscard]] std::string_view text(int row, int column) const;  ///< empty when NULL
  [[nodiscard]] std::string_view column_name(int column) const;
  [[nodiscard]] std::uint32_t column_type(int column) const;  ///< type oid
  /// Rows touched by INSERT, UPDATE, DELETE, COPY.
  [[nodiscard]] std::uint64_t affected() const;

 private:
  pg_result* result_;
};

class Connection {
 public:
  /// `connect_timeout` bounds all addresses together.
  static Result<Connection> open(const ConnectionSettings& settings, seconds connect_timeout = seconds{10});
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  /// One statement with parameters, prepared once per connection and text (cache bounded).
  Result<Rows> query(std::string_view sql, std::span<const Parameter> parameters = {});
  Result<Rows> query(std::string_view sql, std::initializer_list<Parameter> parameters) {
    return query(sql, std::span<const Parameter>(parameters.begin(), parameters.size()));
  }
  /// Statements in one round trip (libpq's pipeline mode), each prepared as by `query`; one Rows per statement. When one
  /// fails, those behind it are not executed and its error is returned. Outside a transaction block they are one
  /// transaction, which is committed when this returns without error. At most kMaxPipelined, no COPY, small results only:
  /// nothing is read before all is sent.
  Result<std::vector<Rows>> run(std::span<const Statement> statements);
  static constexpr std::size_t kMaxPipelined = 64;
  /// Any number of statements without parameters (migrations, SET, DDL).
  Status execute(std::string_view sql);

  /// COPY … FROM STDIN: `begin`, any number of `write` (raw COPY data, whole or partial rows), `finish` → rows.
  Status copy_in_begin(std::string_view sql);
  Status copy_in_write(std::string_view data);
  Result<std::uint64_t> copy_in_finish();
  /// Ends the COPY with an error so that PostgreSQL takes nothing of it.
  void copy_in_abort(std::string_view reason);
  /// COPY … TO STDOUT: calls `sink` with each CopyData message; false from it cancels.
  Status copy_out(std::string_view sql, const std::function<bool(std::string_view)>& sink);

  /// Rolls back when it goes out of scope without commit. The connection outlives it and is not moved meanwhile.
  class Transaction;
  Result<Transaction> begin(std::string_view options = {});

  [[nodiscard]] bool healthy() const;    ///< not CONNECTION_BAD
  [[nodiscard]] bool in_transaction() const;
  [[nodiscard]] int backend_pid() const;
  [[nodiscard]] int server_version() const;  ///< 150007
  /// SQLSTATE of the last statement that failed ("40001"); empty when the connection itself broke.
  [[nodiscard]] const std::string& last_sqlstate() const;
  /// DETAIL of the same error, as the server wrote it; empty when it had none.
  [[nodiscard]] const std::string& last_detail() const;
  [[nodiscard]] int socket() const;  ///< to poll; readable while idle means that the server has ended the connection
  pg_conn* native() { return connection_; }

  static std::string quote_identifier(std::string_view name);
  static std::string quote_literal(std::string_view text);
  /// Appends one value in COPY text format (escapes \ tab newline CR; nullopt is \N).
  static void append_copy_text(std::string& out, std::optional<std::string_view> value);

 private:
  explicit Connection(pg_conn* connection);
  std::unexpected<Error> failed(const pg_result* result, std::string_view what);
  std::unexpected<Error> refuse_copy(std::string_view sql);
  Result<std::string> prepared(std::string_view sql);
  Result<Rows> query_once(std::string_view sql, std::span<const Parameter> parameters);
  void forget(std::string_view sql);
  Result<std::vector<std::string>> prepare_all(std::span<const Statement> statements);
  Result<std::vector<Rows>> run_prepared(std::span<const Statement> statements, std::span<const std::string> names);
  Result<std::vector<Rows>> collect(std::span<const Statement> statements);
  pg_conn* connection_;
  struct Statements;
  std::unique_ptr<Statements> statements_;
};

class Connection::Transaction {
 public:
  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  ~Transaction();
  Status commit();
  void rollback();

 private:
  friend class Connection;
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

/// A bounded set of connections to one database. Broken ones are replaced at the next acquire.
class Pool {
 public:
  struct Impl;
  Pool(ConnectionSettings settings, std::size_t max_connections, const Clock& clock);
  ~Pool();
  /// Returned to the pool by its destructor.
  class Lease {
   public:
    Lease(Lease&&) noexcept;
    ~Lease();
    Connection& operator*();
    Connection* operator->();

   private:
    friend class Pool;
    Lease(Impl* pool, std::unique_ptr<Connection> connection);
    Impl* pool_;
    std::unique_ptr<Connection> connection_;
  };
  /// Errors: kTimedOut (all in use), kDatabaseDown.
  Result<Lease> acquire(Deadline deadline);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::postgres
