#pragma once
/// Inside platform/postgres only: libpq's handles as owners, connecting with a bound, errors as codes.
#include <libpq-fe.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/postgres/connection.h"

namespace verbund::postgres {

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, ResultDeleter>;

struct ConnectionDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using ConnectionHandle = std::unique_ptr<PGconn, ConnectionDeleter>;

struct KeyValue {
  std::string key;
  std::string value;
};

/// Connects within `timeout` over all addresses together. `extra` wins over `settings`.
/// Errors: kUnauthenticated (SQLSTATE class 28), kNotFound (3D000), kBadConfig (unknown option), kDatabaseDown (all else).
Result<ConnectionHandle> connect(const ConnectionSettings& settings, const std::vector<KeyValue>& extra,
                                 seconds timeout);

/// The code that belongs to an SQLSTATE.
ErrorCode code_of_sqlstate(std::string_view sqlstate);
/// The error in `result`, or in `connection` when there is no result. `what` is what was tried.
/// PostgreSQL's DETAIL is left out: it quotes rows, and records have no place in logs.
Error error_of(PGconn* connection, const PGresult* result, std::string_view what);
/// The start of a statement up to its first literal, for messages.
std::string brief(std::string_view sql);
std::string sqlstate_of(const PGresult* result);
/// One line, no blanks at its ends.
std::string trimmed(std::string_view text);

}  // namespace verbund::postgres
