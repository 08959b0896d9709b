#include "platform/postgres/libpq.h"

#include <poll.h>

#include <cerrno>

#include "base/messages.h"

namespace verbund::postgres {
namespace {

using Steady = std::chrono::steady_clock;

struct Parameters {
  std::vector<KeyValue> pairs;
  void add(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    for (KeyValue& pair : pairs) {
      if (pair.key == key) {
        pair.value = value;
        return;
      }
    }
    pairs.push_back({std::string(key), std::string(value)});
  }
};

struct OptionsDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

Status add_options(Parameters& parameters, const std::string& text) {
  char* reason = nullptr;
  const std::unique_ptr<PQconninfoOption, OptionsDeleter> options(PQconninfoParse(text.c_str(), &reason));
  if (!options) {
    const std::string cause = trimmed(reason != nullptr ? reason : "out of memory");
    PQfreemem(reason);
    return fail(ErrorCode::kBadConfig, phrase("connect: connection options: {}", cause));
  }
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) parameters.add(option->keyword, option->val);
  }
  return {};
}

Result<Parameters> parameters_of(const ConnectionSettings& settings, const std::vector<KeyValue>& extra) {
  Parameters parameters;
  parameters.add("client_encoding", "UTF8");
  // A peer that vanished with unacknowledged data is noticed by neither keepalive nor read (LESSONS).
  parameters.add("tcp_user_timeout", "30000");
  parameters.add("keepalives_idle", "30");
  // Several ports, one for each host, stand in the options.
  parameters.add("port", std::to_string(settings.port));
  if (!settings.options.empty()) {
    if (auto added = add_options(parameters, settings.options); !added) return pass(added);
  }
  parameters.add("host", settings.host);
  parameters.add("dbname", settings.database);
  parameters.add("user", settings.user);
  parameters.add("password", settings.password);
  parameters.add("application_name", settings.application_name);
  for (const KeyValue& pair : extra) parameters.add(pair.key, pair.value);
  return parameters;
}

ConnectionHandle start(const Parameters& parameters) {
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const KeyValue& pair : parameters.pairs) {
    keys.push_back(pair.key.c_str());
    values.push_back(pair.value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  return ConnectionHandle(PQconnectStartParams(keys.data(), values.data(), 0));
}

/// False at the deadline. PQconnectPoll says what to wait for.
bool wait_for(PGconn* connection, PostgresPollingStatusType wanted, Steady::time_point deadline) {
  pollfd entry{PQsocket(connection), static_cast<short>(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Steady::now()).count();
    if (left <= 0) return false;
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min<long long>(left, 60'000)));
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
  }
}

/// The SQLSTATE in a verbose message of libpq ("FATAL:  28P01: password …"); empty when the server sent none.
std::string sqlstate_in(std::string_view message) {
  const auto is_code = [](std::string_view word) {
    return std::ranges::all_of(word, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
  };
  for (std::size_t at = message.find(":  "); at != std::string_view::npos; at = message.find(":  ", at + 1)) {
    const std::string_view word = message.substr(at + 3, 5);
    if (word.size() == 5 && is_code(word) && message.substr(at + 8, 2) == ": ") return std::string(word);
  }
  return {};
}

Error connect_error(PGconn* connection, const ConnectionSettings& settings) {
  std::string message = PQerrorMessage(connection);
  const std::string sqlstate = sqlstate_in(message);
  if (const auto location = message.find("\nLOCATION:"); location != std::string::npos) message.resize(location);
  ErrorCode code = ErrorCode::kDatabaseDown;
  if (sqlstate.starts_with("28")) code = ErrorCode::kUnauthenticated;
  if (sqlstate == "3D000") code = ErrorCode::kNotFound;
  return make_error(code, phrase("connect to PostgreSQL {}: {}", settings.shown(), trimmed(message)));
}

}  // namespace

std::string trimmed(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!blank) out.push_back(c);
    else if (!out.empty() && out.back() != ' ') out.push_back(' ');
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

Result<ConnectionHandle> connect(const ConnectionSettings& settings, const std::vector<KeyValue>& extra,
                                 seconds timeout) {
  const auto deadline = Steady::now() + timeout;
  auto parameters = parameters_of(settings, extra);
  if (!parameters) return pass(parameters);
  ConnectionHandle connection = start(*parameters);
  if (!connection) return fail(ErrorCode::kInternal, phrase("connect to PostgreSQL: out of memory"));
  if (PQstatus(connection.get()) == CONNECTION_BAD) return std::unexpected(connect_error(connection.get(), settings));
  // Verbose, because libpq hands out the SQLSTATE of a refused connection in no other way.
  PQsetErrorVerbosity(connection.get(), PQERRORS_VERBOSE);
  PQsetNoticeReceiver(connection.get(), [](void*, const PGresult*) {}, nullptr);
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED) return std::unexpected(connect_error(connection.get(), settings));
    if (!wait_for(connection.get(), wanted, deadline)) {
      return fail(ErrorCode::kDatabaseDown, phrase("connect to PostgreSQL {}: no answer within {} s",
                                                        settings.shown(), timeout.count()));
    }
    wanted = PQconnectPoll(connection.get());
  }
  PQsetErrorVerbosity(connection.get(), PQERRORS_DEFAULT);
  return connection;
}

ErrorCode code_of_sqlstate(std::string_view sqlstate) {
  if (sqlstate.starts_with("08") || sqlstate.starts_with("57P")) return ErrorCode::kDatabaseDown;
  if (sqlstate.starts_with("23")) return ErrorCode::kConstraint;
  if (sqlstate == "57014") return ErrorCode::kTimedOut;
  if (sqlstate == "53100") return ErrorCode::kDiskFull;
  if (sqlstate == "42501") return ErrorCode::kForbidden;
  return ErrorCode::kDatabase;
}

std::string sqlstate_of(const PGresult* result) {
  const char* state = result != nullptr ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  return state != nullptr ? state : "";
}

std::string brief(std::string_view sql) {
  constexpr std::size_t kShown = 60;
  std::string text = trimmed(sql.substr(0, std::min(sql.find_first_of("'$"), kShown)));
  return text.empty() ? "statement" : text;
}

Error error_of(PGconn* connection, const PGresult* result, std::string_view what) {
  const std::string sqlstate = sqlstate_of(result);
  if (sqlstate.empty()) {
    // Without SQLSTATE libpq itself speaks: the connection broke, or it was used out of turn.
    const ErrorCode code =
        PQstatus(connection) == CONNECTION_BAD ? ErrorCode::kDatabaseDown : ErrorCode::kDatabase;
    return make_error(code, phrase("PostgreSQL, {}: {}", what, trimmed(PQerrorMessage(connection))));
  }
  const auto field = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return std::string(text != nullptr ? text : "");
  };
  const std::string constraint = field(PG_DIAG_CONSTRAINT_NAME);
  return make_error(code_of_sqlstate(sqlstate),
                    phrase("PostgreSQL, {}: {} [{}]{}", what, trimmed(field(PG_DIAG_MESSAGE_PRIMARY)), sqlstate,
                           constraint.empty() ? verbatim("") : phrase(", constraint {}", constraint)),
                    verbatim(field(PG_DIAG_MESSAGE_HINT)));
}

}  // namespace verbund::postgres
