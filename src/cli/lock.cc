/// verbund lock KEY… [--wait S] [--note TEXT] [-- COMMAND…]: takes work locks and holds them while COMMAND runs, or until Ctrl-C.
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"

namespace verbund::cli {
namespace {

struct Options {
  std::vector<std::string> keys;
  double wait_seconds = 0;
  std::string note;
  std::vector<std::string> command;
};

/// Runs the command in the foreground with the fencing token in VERBUND_LOCK_TOKEN; its exit code, 128 + signal.
int run_command(const std::vector<std::string>& command, std::uint64_t token, Language language) {
  const auto text = std::to_string(token);
  const pid_t child = fork();
  if (child == 0) {
    setenv("VERBUND_LOCK_TOKEN", text.c_str(), 1);
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    fmt::print(stderr, "verbund: {}\n", said(language, phrase("run {}: {}", command[0], std::strerror(errno))));
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void print_granted(const Globals& globals, const Options& options, const Grant& grant) {
  if (globals.json) {
    std::string tokens;
    for (const auto& [key, token] : grant.tokens) {
      tokens += fmt::format("{}{}:\"{}\"", tokens.empty() ? "" : ",", json_string(key), token);
    }
    fmt::print("{{\"granted\":{{{}}}}}\n", tokens);
  } else {
    fmt::print("{}\n", translated(globals.language, "locked {} (token {})", fmt::join(options.keys, ", "), grant.token));
  }
  std::fflush(stdout);
}

/// The node says who holds it, in the session's language; only this command knows its --wait.
int report_refused(const Globals& globals, Failure failure) {
  if (failure.code == wire_name(ErrorCode::kHeld)) failure.hint = translate(globals.language, "wait in line with --wait SECONDS");
  return report(globals, failure);
}

int lock(const Globals& globals, const Options& options) {
  auto settings = client_settings(globals);
  if (!settings) return report(globals, settings.error());
  settings->watch_types.clear();
  settings->watch_locks = settings->watch_presence = false;
  settings->tool = false;  // whoever holds a record is a workstation that others see
  Interrupt interrupt;
  std::atomic<bool> lost = false;
  auto client = std::make_unique<Client>(std::move(*settings));
  client->on_lock_lost([&](const std::vector<std::string>& keys, const std::string& reason) {
    fmt::print(stderr, "verbund: {}\n", translated(globals.language, "work lock lost: {} ({})", fmt::join(keys, ", "), shown_word(globals, reason)));
    lost = true;
    interrupt.wake();
  });
  // Whoever was told to stop is told to go on; a lock that did not come back is said by on_lock_lost.
  client->on_state([&, read_only = false](ConnectionState state, const std::string& reason) mutable {
    if (state == ConnectionState::kConnected && std::exchange(read_only, false)) {
      fmt::print(stderr, "verbund: {}\n", translate(globals.language, "connected again"));
    } else if (state == ConnectionState::kReadOnly) {
      read_only = true;
      fmt::print(stderr, "verbund: {}\n", translated(globals.language, "no connection, don't edit: {}", reason));
    } else if (state == ConnectionState::kEnded) {
      lost = true;
      interrupt.wake();
    }
  });
  if (auto connected = client->connect(); !connected) return report(globals, connected.error());
  auto grant = client->lock(options.keys, milliseconds{static_cast<std::int64_t>(options.wait_seconds * 1000)}, options.note);
  if (!grant) return report_refused(globals, grant.error());
  print_granted(globals, options, *grant);
  int code = 0;
  if (!options.command.empty()) {
    code = run_command(options.command, grant->token, globals.language);
  } else {
    interrupt.wait();
  }
  if (lost) return exit_code(ErrorCode::kNotHeld);
  // What the command has written is announced before the record is free again.
  if (auto released = client->unlock(options.keys, {}, !options.command.empty()); !released) return report(globals, released.error());
  return code;
}

}  // namespace

void add_lock(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("lock", text("lock records: verbund lock KEY... [--wait S] [-- COMMAND...]"));
  auto options = std::make_shared<Options>();
  command->add_option("--wait", options->wait_seconds, text("seconds to wait in line when somebody else holds it"))->check(in_range(globals, 0, 600));
  command->add_option("--note", options->note, text("shown to others beside the lock"));
  command->add_option("keys", options->keys, text("records, for example patient/4711"))->required();
  command->callback([&globals, run, options] {
    options->command = globals.after_dashes;
    run([&globals, options] { return lock(globals, *options); });
  });
}

}  // namespace verbund::cli
