#include "base/ids.h"
#include "base/messages.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/hosts.h"
#include "platform/postgres/libpq.h"

namespace verbund::postgres {
namespace {

constexpr std::string_view kPorts = "port";

struct OptionsDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

std::string quoted(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "'";
}

void add_option(ConnectionSettings& settings, std::string_view key, std::string_view value) {
  settings.options += fmt::format("{}{}={}", settings.options.empty() ? "" : " ", key, quoted(value));
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto comma = list.find(',');
    parts.push_back(list.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    list.remove_prefix(comma + 1);
  }
}

/// One for each host: they stand in the options, where libpq reads them; `port` is the first's.
Status take_ports(ConnectionSettings& settings, const std::string& value) {
  for (const auto part : split(value)) {
    const auto port = parse_u64(part);
    if (!port || *port == 0 || *port > 65535) {
      return fail(ErrorCode::kBadConfig, phrase("connection string: port = {}: not a port", part), phrase("One port from 1 to 65535 for each host, or one for all."));
    }
    if (part.data() == value.data()) settings.port = static_cast<std::uint16_t>(*port);
  }
  add_option(settings, kPorts, value);
  return {};
}

Status take(ConnectionSettings& settings, std::string_view key, const std::string& value) {
  if (key == "host" || (key == "hostaddr" && settings.host.empty())) {
    settings.host = value;
  } else if (key == "port" && value.find(',') != std::string::npos) {
    return take_ports(settings, value);
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
    add_option(settings, key, value);
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

Result<std::vector<ConnectionSettings>> each_host(const ConnectionSettings& settings) {
  char* reason = nullptr;
  const std::unique_ptr<PQconninfoOption, OptionsDeleter> options(PQconninfoParse(settings.options.c_str(), &reason));
  if (!options) {
    PQfreemem(reason);
    return fail(ErrorCode::kBadConfig, phrase("connection string: its options can't be read"));
  }
  ConnectionSettings one = settings;
  one.options.clear();
  std::string ports;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    if (option->keyword == kPorts) {
      ports = option->val;
    } else {
      add_option(one, option->keyword, option->val);
    }
  }
  const auto hosts = split(settings.host);
  const auto numbers = split(ports);
  if (!ports.empty() && numbers.size() != hosts.size()) {
    return fail(ErrorCode::kBadConfig, phrase("connection string: {} hosts, but {} ports", hosts.size(), numbers.size()), phrase("One port from 1 to 65535 for each host, or one for all."));
  }
  std::vector<ConnectionSettings> all;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    one.host = std::string(hosts[i]);
    if (!ports.empty()) one.port = static_cast<std::uint16_t>(parse_u64(numbers[i]).value_or(settings.port));
    all.push_back(one);
  }
  return all;
}

}  // namespace verbund::postgres
