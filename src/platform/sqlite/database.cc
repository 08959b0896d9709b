#include "platform/sqlite/database.h"

#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/messages.h"

namespace verbund::sqlite {
namespace {

ErrorCode code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kInUse;
    case SQLITE_FULL:
      return ErrorCode::kDiskFull;
    case SQLITE_CONSTRAINT:
      return ErrorCode::kConstraint;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::kDamaged;
    case SQLITE_INTERRUPT:
      return ErrorCode::kCancelled;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return ErrorCode::kIo;
    default:
      return ErrorCode::kDatabase;
  }
}

std::unexpected<Error> failed(sqlite3* database, int result) {
  return fail(code_of(result), phrase("SQLite: {}", database == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(database)));
}

}  // namespace

std::string quote_name(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text + "\"";
}

std::string quote_text(std::string_view value) {
  std::string text = "'";
  for (const char c : value) text.append(c == '\'' ? 2 : 1, c);
  return text + "'";
}

Statement::~Statement() { sqlite3_finalize(statement_); }
Statement::Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)), bound_(other.bound_) {}
Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  std::swap(bound_, other.bound_);
  return *this;
}

Statement& Statement::null(int at) {
  if (const int result = sqlite3_bind_null(statement_, at); bound_ == 0) bound_ = result;
  return *this;
}
Statement& Statement::integer(int at, std::int64_t value) {
  if (const int result = sqlite3_bind_int64(statement_, at, value); bound_ == 0) bound_ = result;
  return *this;
}
Statement& Statement::real(int at, double value) {
  if (const int result = sqlite3_bind_double(statement_, at, value); bound_ == 0) bound_ = result;
  return *this;
}
Statement& Statement::text(int at, std::string_view value) {
  // A null pointer would be NULL.
  const char* bytes = value.data() == nullptr ? "" : value.data();
  if (const int result = sqlite3_bind_text64(statement_, at, bytes, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8); bound_ == 0) bound_ = result;
  return *this;
}
Statement& Statement::blob(int at, std::string_view value) {
  const int result = value.empty() ? sqlite3_bind_zeroblob(statement_, at, 0) : sqlite3_bind_blob64(statement_, at, value.data(), value.size(), SQLITE_TRANSIENT);
  if (bound_ == 0) bound_ = result;
  return *this;
}

Result<bool> Statement::step() {
  if (bound_ != 0) {
    const int result = std::exchange(bound_, 0);
    reset();
    return failed(nullptr, result);
  }
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    reset();
    return false;
  }
  auto error = failed(sqlite3_db_handle(statement_), result);
  reset();
  return error;
}

Status Statement::run() {
  for (;;) {
    auto more = step();
    if (!more) return pass(more);
    if (!*more) return {};
  }
}

void Statement::reset() { sqlite3_reset(statement_); }
int Statement::columns() const { return sqlite3_column_count(statement_); }

Statement::Type Statement::type(int column) const {
  switch (sqlite3_column_type(statement_, column)) {
    case SQLITE_INTEGER:
      return Type::kInteger;
    case SQLITE_FLOAT:
      return Type::kReal;
    case SQLITE_TEXT:
      return Type::kText;
    case SQLITE_BLOB:
      return Type::kBlob;
    default:
      return Type::kNull;
  }
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }
std::string_view Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

Result<Database> Database::open(const std::filesystem::path& file, Mode mode, milliseconds patience) {
  sqlite3* opened = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (mode == Mode::kCreate ? SQLITE_OPEN_CREATE : 0);
  const int result = sqlite3_open_v2(file.c_str(), &opened, flags, nullptr);
  Database database(opened);
  if (result != SQLITE_OK) return std::unexpected(failed(opened, result).error().in(phrase("open {}", file.string())));
  sqlite3_busy_timeout(opened, static_cast<int>(patience.count()));
  // What is no database shows only when it is read.
  if (auto looked = database.value("SELECT count(*) FROM sqlite_schema"); !looked) return pass(looked, phrase("open {}", file.string()));
  return database;
}

Database::~Database() { sqlite3_close_v2(database_); }
Database::Database(Database&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
Database& Database::operator=(Database&& other) noexcept {
  std::swap(database_, other.database_);
  return *this;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()), 0, &statement, nullptr);
  if (result != SQLITE_OK) return failed(database_, result);
  return Statement(statement);
}

Status Database::execute(std::string_view sql) {
  const int result = sqlite3_exec(database_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return failed(database_, result);
  return {};
}

Result<std::string> Database::value(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return pass(statement);
  auto row = statement->step();
  if (!row) return pass(row);
  return *row ? std::string(statement->text(0)) : std::string();
}

std::int64_t Database::changes() const { return sqlite3_changes64(database_); }
void Database::interrupt() { sqlite3_interrupt(database_); }

Result<Database::Transaction> Database::begin() {
  if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return pass(begun);
  return Transaction(*this);
}

Database::Transaction::~Transaction() {
  // Nothing can be done about an error here: SQLite has rolled back by itself, or does so when it is opened again.
  if (database_ != nullptr && sqlite3_get_autocommit(database_->database_) == 0) sqlite3_exec(database_->database_, "ROLLBACK", nullptr, nullptr, nullptr);
}
Database::Transaction::Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

Status Database::Transaction::commit() {
  auto done = database_->execute("COMMIT");
  if (done) database_ = nullptr;
  return done;
}

}  // namespace verbund::sqlite
