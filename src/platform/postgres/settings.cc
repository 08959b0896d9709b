#include "base/ids.h"
#include "base/messages.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

struct OptionsDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

Status take(ConnectionSettings& settings, std::string_view key, const std::string& value) {
  if (key == "host" || (key == "hostaddr" && settings.host.empty())) {
    settings.host = value;
  } else if (key == "port") {
    const auto port = parse_u64(value);
    if (!port || *port == 0 || *port > 65535) {
      return fail(ErrorCode::kBadConfig, phrase("connection string: port = {}: not a port", value),
                  phrase("One port from 1 to 65535."));
    }
    settings.port = static_cast<std::uint16_t>(*port);
  } else if (key == "dbname") {
    settings.database = value;
  } else if (key == "user") {
    settings.user = value;
  } else if (key == "password") {
    settings.password = value;
  } else if (key == "application_name") {
    settings.application_name = value;
  } else {
    std::string quoted;
    for (const char c : value) {
      if (c == '\'' || c == '\\') quoted.push_back('\\');
      quoted.push_back(c);
    }
    settings.options += fmt::format("{}{}='{}'", settings.options.empty() ? "" : " ", key, quoted);
  }
  return {};
}

}  // namespace

std::string ConnectionSettings::shown() const {
  return fmt::format("{}:{}/{} as {}", host.empty() ? "local" : host, port, database.empty() ? user : database,
                     user.empty() ? "the system user" : user);
}

Result<ConnectionSettings> parse_connection_string(std::string_view text) {
  char* reason = nullptr;
  const std::unique_ptr<PQconninfoOption, OptionsDeleter> options(
      PQconninfoParse(std::string(text).c_str(), &reason));
  if (!options) {
    // libpq quotes the part it stumbles over, which may be a password: only its kind of complaint is handed on.
    std::string cause = trimmed(reason != nullptr ? reason : "out of memory");
    PQfreemem(reason);
    cause.resize(std::min(cause.find('"'), cause.size()));
    return fail(ErrorCode::kBadConfig, phrase("connection string: {}", trimmed(cause)),
                phrase("Write host=… port=… dbname=… user=…, or postgresql://user@host:port/database."));
  }
  ConnectionSettings settings;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    if (auto taken = take(settings, option->keyword, option->val); !taken) return pass(taken);
  }
  return settings;
}

}  // namespace verbund::postgres
