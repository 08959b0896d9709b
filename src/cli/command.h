#pragma once
/// What all subcommands share: global options, how a node is reached, how results and errors are shown.
/// The command line only parses, calls and prints. Threads: the main thread.
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include "base/messages.h"
#include "base/result.h"
#include "platform/net/client.h"
#include "verbund/client.h"

namespace verbund::cli {

/// Options that stand before the subcommand.
struct Globals {
  std::string server;       ///< HOST:PORT[,HOST:PORT…]; empty: from client.toml
  std::string workstation;  ///< empty: from client.toml, else host name and terminal
  std::string user;         ///< logs in with a password asked for (or from --password-file) instead of the token
  std::string password_file;
  std::string config;       ///< client.toml
  std::string dir;          ///< installation
  std::vector<std::string> after_dashes;  ///< the words behind "--": a command to run
  bool json = false;
  bool plaintext = false;   ///< no TLS (loopback)
  Language language = Language::kEnglish;
};

/// Where a node is and how to log in: --options, VERBUND_*, client.toml, in this order.
/// Errors: kBadConfig, kNotFound (hint: how to get a client.toml), kUsage.
Result<ClientSettings> client_settings(const Globals& globals);
/// The same node for REST; the token as bearer.
struct RestTarget {
  net::Endpoint endpoint;
  std::string token;
};
Result<RestTarget> rest_target(const Globals& globals);
/// One REST call; `path` and `query` unencoded; an error body becomes its Error. Returns the body.
Result<std::string> rest_call(const Globals& globals, const std::string& method, const std::string& path,
                              const std::string& body = {}, const std::map<std::string, std::string>& query = {},
                              seconds patience = seconds{30});

Result<std::string> rest_call(const Globals& globals, const RestTarget& target, const std::string& method, const std::string& path,
                              const std::string& body, const std::map<std::string, std::string>& query, seconds patience);

/// Prints "verbund: MESSAGE" and the hint on a line of its own; returns the exit code.
int report(const Globals& globals, const Error& error);
int report(const Globals& globals, const Failure& failure);

/// CLI11's own words in the user's language; before the subcommands are added, which inherit them.
void speak(CLI::App& app, const Globals& globals);
/// The same for what the subcommands are called together; afterwards.
void name_subcommands(CLI::App& app, const Globals& globals);
/// CLI::Range whose refusal speaks the user's language; `globals` outlives the validator.
CLI::Validator in_range(const Globals& globals, double low, double high);
/// A command line that is not understood.
int report_usage(const CLI::App& app, const Globals& globals, const CLI::ParseError& error);

/// Asks on the terminal without echo, or reads one line from standard input when it is no terminal.
Result<std::string> read_password(const Globals& globals, std::string_view prompt);

/// A connected client. Errors are reported and give an exit code.
struct Connected {
  std::unique_ptr<Client> client;
  int exit_code = 0;
};
Connected connect(const Globals& globals, ClientSettings settings);
Connected connect_quietly(const Globals& globals);  ///< watches nothing

/// Asks on the terminal; without one the answer is no. `question` is already said in the person's language.
bool agreed(std::string_view question);

/// Columns padded to the widest cell; German and English headers come translated. On a terminal the last one is folded to it.
void print_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
/// One line each: label, value; on a terminal long values go on below themselves.
void print_fields(const std::vector<std::pair<std::string, std::string>>& fields);
/// A word of the protocol ("active", "insert", "staff", "running"), as people call it.
std::string shown_word(const Globals& globals, std::string_view word);
/// Why a change of a device was rejected (docs/formats/sync-laws.md), for people.
std::string shown_reason(const Globals& globals, std::string_view reason);
/// A JSON string literal.
std::string json_string(std::string_view text);
/// Local time, "2026-11-22 03:04:05", of the protocol's time text.
std::string local_time(std::string_view iso8601);

/// Blocks until SIGINT or SIGTERM, or until `done` says so (asked after every wake-up).
class Interrupt {
 public:
  Interrupt();  ///< from now on the signals are caught, not deadly
  void wait();
  /// From any thread: ends wait().
  void wake();
  [[nodiscard]] int signal() const { return signal_; }
  /// Whether a signal has come since the first was caught. Any thread.
  static bool came();

 private:
  int signal_ = 0;
};

// One function per subcommand: adds itself to `app`; when chosen, sets the exit code.
using Runner = std::function<void(std::function<int()>)>;  ///< called in the subcommand's callback with what to run
void add_up(CLI::App& app, Globals& globals, const Runner& run);
void add_config(CLI::App& app, Globals& globals, const Runner& run);
void add_status(CLI::App& app, Globals& globals, const Runner& run);
void add_user(CLI::App& app, Globals& globals, const Runner& run);
void add_audit(CLI::App& app, Globals& globals, const Runner& run);
void add_history(CLI::App& app, Globals& globals, const Runner& run);
void add_erase(CLI::App& app, Globals& globals, const Runner& run);
void add_who(CLI::App& app, Globals& globals, const Runner& run);
void add_locks(CLI::App& app, Globals& globals, const Runner& run);
void add_lock(CLI::App& app, Globals& globals, const Runner& run);
void add_unlock(CLI::App& app, Globals& globals, const Runner& run);
void add_watch(CLI::App& app, Globals& globals, const Runner& run);
void add_tell(CLI::App& app, Globals& globals, const Runner& run);
void add_feed(CLI::App& app, Globals& globals, const Runner& run);
void add_feed_state(CLI::App& feed, Globals& globals, const Runner& run);  ///< subcommands of `feed`
void add_detach(CLI::App& app, Globals& globals, const Runner& run);
void add_import(CLI::App& app, Globals& globals, const Runner& run);
void add_guard(CLI::App& app, Globals& globals, const Runner& run);
void add_dump(CLI::App& app, Globals& globals, const Runner& run);
void add_restore(CLI::App& app, Globals& globals, const Runner& run);
void add_backup(CLI::App& app, Globals& globals, const Runner& run);
void add_mirror(CLI::App& app, Globals& globals, const Runner& run);
void add_witness(CLI::App& app, Globals& globals, const Runner& run);
void add_device(CLI::App& app, Globals& globals, const Runner& run);

}  // namespace verbund::cli
