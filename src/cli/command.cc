#include "cli/command.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <iostream>

#include <boost/json.hpp>

#include "base/messages.h"
#include "node/installation.h"
#include "platform/os/config_file.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> find_client_toml(const Globals& globals) {
  if (!globals.config.empty()) return globals.config;
  if (const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir)); fs::exists(dir / "client.toml")) {
    return dir / "client.toml";
  }
  if (const char* home = std::getenv("HOME"); home && fs::exists(fs::path(home) / ".config/verbund/client.toml")) {
    return fs::path(home) / ".config/verbund/client.toml";
  }
  return std::nullopt;
}

std::string default_workstation() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "verbund";
  name.resize(name.find('\0'));
  if (const char* terminal = ttyname(STDIN_FILENO)) name += std::string(" ") + (terminal + std::string_view("/dev/").size());
  return name;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

Status read_client_toml(const fs::path& path, ClientSettings& settings) {
  auto config = os::ConfigFile::read_toml(path);
  if (!config) return pass(config);
  auto servers = config->list("servers", settings.servers);
  auto user = config->text("user", "");
  auto token = config->text("token", "");
  auto ca = config->text("ca", "");
  auto workstation = config->text("workstation", "");
  auto tls = config->boolean("tls", true);
  if (!servers) return pass(servers);
  for (const auto* field : {&user, &token, &ca, &workstation}) {
    if (!*field) return std::unexpected(field->error());
  }
  if (!tls) return pass(tls);
  settings.servers = *servers;
  settings.user = *user;
  settings.token = *token;
  settings.workstation = *workstation;
  settings.tls = *tls;
  if (!ca->empty()) settings.ca_file = (path.parent_path() / *ca).string();
  return config->refuse_unknown();
}

}  // namespace

Result<ClientSettings> client_settings(const Globals& globals) {
  ClientSettings settings;
  const auto path = find_client_toml(globals);
  if (path) {
    if (auto read = read_client_toml(*path, settings); !read) return pass(read);
  } else if (globals.server.empty() || globals.user.empty()) {
    return fail(ErrorCode::kNotFound, phrase("find the client settings: there is no client.toml"),
                phrase("name one with --config, or the installation with --dir, or say --server and --user"));
  }
  if (!globals.server.empty()) settings.servers = split(globals.server, ',');
  if (!globals.workstation.empty()) settings.workstation = globals.workstation;
  if (settings.workstation.empty()) settings.workstation = default_workstation();
  if (globals.plaintext) settings.tls = false;
  if (!globals.user.empty()) {
    auto password = read_password(globals, msgid("password"));
    if (!password) return pass(password);
    settings.user = globals.user;
    settings.password = *password;
    settings.token.clear();
  }
  settings.app = "verbund-cli";
  settings.tool = true;
  settings.language = globals.language == Language::kGerman ? "de" : "en";
  return settings;
}

Result<RestTarget> rest_target(const Globals& globals) {
  auto settings = client_settings(globals);
  if (!settings) return pass(settings);
  auto address = node::parse_host_port(settings->servers.empty() ? "127.0.0.1:2222" : settings->servers.front());
  if (!address) return pass(address);
  RestTarget target;
  target.endpoint.host = address->first;
  target.endpoint.port = address->second;
  target.endpoint.tls = settings->tls;
  target.token = settings->token;
  if (settings->tls && !settings->ca_file.empty()) {
    auto ca = os::read_file(settings->ca_file, 1024 * 1024);
    if (!ca) return pass(ca, "read the authority's certificate");
    target.endpoint.ca_pem = *ca;
  }
  return target;
}

Result<std::string> rest_call(const Globals& globals, const std::string& method, const std::string& path,
                              const std::string& body, const std::map<std::string, std::string>& query, seconds patience) {
  const auto target = rest_target(globals);
  if (!target) return std::unexpected(target.error());
  return rest_call(globals, *target, method, path, body, query, patience);
}

Result<std::string> rest_call(const Globals& globals, const RestTarget& target, const std::string& method, const std::string& path,
                              const std::string& body, const std::map<std::string, std::string>& query, seconds patience) {
  net::HttpRequest request;
  request.method = method;
  request.path = path;
  request.query = query;
  request.body = body;
  request.headers["authorization"] = "Bearer " + target.token;
  request.headers["accept-language"] = globals.language == Language::kGerman ? "de" : "en";
  auto response = net::http_request(target.endpoint, request, patience);
  if (!response) return pass(response);
  if (response->status < 400) return std::move(response->body);
  boost::system::error_code parse_error;
  const auto value = boost::json::parse(response->body, parse_error);
  const auto* object = parse_error ? nullptr : value.if_object();
  const auto* error = object ? object->if_contains("error") : nullptr;
  if (!error || !error->is_object()) {
    return fail(ErrorCode::kInternal, phrase("{} {}: HTTP status {}", method, path, response->status));
  }
  const auto text = [&](const char* name) {
    const auto* member = error->as_object().if_contains(name);
    return member && member->is_string() ? std::string(member->as_string()) : std::string();
  };
  return fail(code_from_wire(text("code")), text("message"), text("hint"));
}

int report(const Globals& globals, const Error& error) {
  if (globals.json) {
    fmt::print("{}\n", boost::json::serialize(boost::json::object{
                           {"error", {{"code", wire_name(error.code)}, {"message", error.message}, {"hint", error.hint}}}}));
  } else {
    fmt::print(stderr, "verbund: {}: {}\n", translate(globals.language, "error"),
               message_in(globals.language, error));
    if (!error.hint.empty()) fmt::print(stderr, "{}: {}\n", translate(globals.language, "hint"), hint_in(globals.language, error));
  }
  return exit_code(error.code);
}

int report(const Globals& globals, const Failure& failure) {
  return report(globals, Error{code_from_wire(failure.code), failure.message, failure.hint});
}

bool agreed(std::string_view question) {
  if (!isatty(STDIN_FILENO)) return false;
  fmt::print(stderr, "{} ", question);
  std::string answer;
  std::getline(std::cin, answer);
  // "ja" and "yes", whatever the language of the question.
  return !answer.empty() && std::string_view("yYjJ").find(answer.front()) != std::string_view::npos;
}

Result<std::string> read_password(const Globals& globals, std::string_view prompt) {
  if (!globals.password_file.empty() && globals.password_file != "-") {
    auto text = os::read_file(globals.password_file, 4096);
    if (!text) return pass(text, "read the password file");
    return text->substr(0, text->find_first_of("\r\n"));
  }
  termios saved{};
  const bool terminal = isatty(STDIN_FILENO) && globals.password_file.empty() && tcgetattr(STDIN_FILENO, &saved) == 0;
  if (terminal) {
    fmt::print(stderr, "{}: ", translate(globals.language, prompt));
    termios silent = saved;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  std::string line;
  const bool read = static_cast<bool>(std::getline(std::cin, line));
  if (terminal) {
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    fmt::print(stderr, "\n");
  }
  if (!read) return fail(ErrorCode::kUsage, phrase("read the password: standard input ended"));
  return line;
}

Connected connect(const Globals& globals, ClientSettings settings) {
  Connected connected{std::make_unique<Client>(std::move(settings)), 0};
  if (auto outcome = connected.client->connect(); !outcome) {
    connected.exit_code = report(globals, outcome.error());
    connected.client.reset();
  }
  return connected;
}

Connected connect_quietly(const Globals& globals) {
  auto settings = client_settings(globals);
  if (!settings) return {nullptr, report(globals, settings.error())};
  settings->watch_types.clear();
  settings->watch_locks = settings->watch_presence = false;
  settings->reconnect = false;
  return connect(globals, std::move(*settings));
}

std::string json_string(std::string_view text) { return boost::json::serialize(boost::json::value(text)); }

std::string local_time(std::string_view iso8601) {
  std::tm parts{};
  if (!strptime(std::string(iso8601).c_str(), "%Y-%m-%dT%H:%M:%S", &parts)) return std::string(iso8601);
  const std::time_t time = timegm(&parts);
  std::tm local{};
  localtime_r(&time, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

namespace {

// A signal handler may only touch what is async-signal-safe: an eventfd's write.
int interrupt_event = -1;
volatile std::sig_atomic_t interrupt_signal = 0;

void on_signal(int number) {
  interrupt_signal = number;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(interrupt_event, &one, sizeof one);
}

}  // namespace

Interrupt::Interrupt() {
  if (interrupt_event < 0) interrupt_event = eventfd(0, EFD_CLOEXEC);
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void Interrupt::wait() {
  std::uint64_t count = 0;
  while (read(interrupt_event, &count, sizeof count) < 0 && errno == EINTR) {
  }
  signal_ = interrupt_signal;
}

bool Interrupt::came() { return interrupt_signal != 0; }

void Interrupt::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(interrupt_event, &one, sizeof one);
}

}  // namespace verbund::cli
