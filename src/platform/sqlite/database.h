#pragma once
/// SQLite: a database, its statements, a transaction.
///
/// Threads: a Database and what belongs to it to one thread at a time; other processes and connections may write the same file.
/// Errors: kInUse (locked by somebody else for longer than the patience), kDiskFull, kConstraint, kDamaged (no database, or a broken one), kCancelled (interrupted),
/// kIo, kDatabase (all else, with SQLite's words). Texts are UTF-8. Statements live no longer than their database.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace verbund::sqlite {

class Statement {
 public:
  enum class Type { kNull, kInteger, kReal, kText, kBlob };

  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  // Parameters from 1. Bytes are copied.
  Statement& null(int at);
  Statement& integer(int at, std::int64_t value);
  Statement& real(int at, double value);
  Statement& text(int at, std::string_view value);
  Statement& blob(int at, std::string_view value);

  /// True: a row is there. After false or an error the statement can be bound and run again. Errors of binding come here.
  Result<bool> step();
  /// For statements without rows.
  Status run();
  void reset();

  // Columns from 0, of the row that is there; views are valid until the next step.
  [[nodiscard]] int columns() const;
  [[nodiscard]] Type type(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string_view text(int column) const;  ///< of a text or a blob: its bytes

 private:
  sqlite3_stmt* statement_;
  int bound_ = 0;  // the first error of binding
};

class Database {
 public:
  enum class Mode { kOpen, kCreate };
  /// `patience`: so long it waits for locks of others.
  static Result<Database> open(const std::filesystem::path& file, Mode mode, milliseconds patience);
  ~Database();
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;

  Result<Statement> prepare(std::string_view sql);
  /// Any number of statements without parameters.
  Status execute(std::string_view sql);
  /// The first column of the first row; empty without one.
  Result<std::string> value(std::string_view sql);
  /// Rows touched by the last statement.
  [[nodiscard]] std::int64_t changes() const;
  /// From any thread: what runs ends with kCancelled.
  void interrupt();

  /// Rolls back when it goes out of scope without commit. Takes the write lock at once.
  class Transaction;
  Result<Transaction> begin();

 private:
  explicit Database(sqlite3* database) : database_(database) {}
  sqlite3* database_;
};

class Database::Transaction {
 public:
  explicit Transaction(Database& database) : database_(&database) {}
  ~Transaction();
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  Status commit();

 private:
  Database* database_;
};

/// "a""b"
std::string quote_name(std::string_view name);
/// 'a''b'
std::string quote_text(std::string_view text);

}  // namespace verbund::sqlite
