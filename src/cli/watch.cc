/// verbund watch [--since CURSOR] [--types T,…]: what happens in the cluster, as it happens.
#include "cli/command.h"

namespace verbund::cli {
namespace {

struct Options {
  std::string since;
  std::vector<std::string> types{"*"};
  bool changes_only = false;
};

class Printer {
 public:
  explicit Printer(const Globals& globals) : globals_(globals) {}

  void attach(Client& client) {
    if (globals_.json) {
      client.on_event_json([](std::string_view json) { line("{}", json); });
      return;
    }
    client.on_changes([this](const Changes& changes) { print(changes); });
    client.on_snapshot([this](const std::string& reason, const std::string& cursor) {
      line("{}", translated(globals_.language, "snapshot needed ({}): read everything anew, go on from {}", shown_word(globals_, reason), cursor));
    });
    client.on_locks([this](const std::string& event, const std::vector<LockInfo>& locks) {
      for (const auto& lock : locks) {
        const char* shown = event == "granted" ? msgid("lock      {}  by {} ({})") : msgid("unlock    {}  by {} ({})");
        line("{}", translated(globals_.language, shown, lock.key, lock.workstation, lock.user));
      }
    });
    client.on_session([this](const std::string& event, const SessionInfo& session) {
      const char* shown = event == "joined" ? msgid("joined    {} ({}) {}")
                          : event == "left" ? msgid("left      {} ({}) {}")
                                            : msgid("state     {} ({}) {}");
      line("{}", translated(globals_.language, shown, session.workstation, session.user, shown_word(globals_, session.state)));
    });
    client.on_text([this](const Text& text) {
      line("{}", translated(globals_.language, "message   {} ({}): {}", text.from.workstation, text.from.user, text.text));
    });
  }

 private:
  template <typename... Args>
  static void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::print(format, std::forward<Args>(args)...);
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }

  void print(const Changes& changes) {
    std::string by;
    if (!changes.by_workstation.empty()) by = translated(globals_.language, "  by {} ({})", changes.by_workstation, changes.by_user);
    for (const auto& change : changes.changes) {
      const auto op = shown_word(globals_, change.op);
      const auto was = change.was.empty() ? "" : fmt::format(" (was {})", change.was);
      line("{:<9} {}{}  {}{}  [{}]", op, change.key, was, fmt::join(change.tables, ", "), by, changes.cursor);
    }
    for (const auto& [type, count] : changes.bulk) {
      line("{}", translated(globals_.language, "bulk      {}: {} changes  [{}]", type, count, changes.cursor));
    }
    for (const auto& type : changes.truncated) {
      line("{}", translated(globals_.language, "emptied   {}  [{}]", type, changes.cursor));
    }
  }

  const Globals& globals_;
};

int watch(const Globals& globals, const Options& options) {
  auto settings = client_settings(globals);
  if (!settings) return report(globals, settings.error());
  settings->watch_types = options.types;
  settings->cursor = options.since;
  if (options.changes_only) settings->watch_locks = settings->watch_presence = false;
  Interrupt interrupt;
  Printer printer(globals);
  Client client(std::move(*settings));
  printer.attach(client);
  client.on_state([&](ConnectionState state, const std::string& reason) {
    if (state == ConnectionState::kReadOnly) {
      fmt::print(stderr, "verbund: {}\n", translated(globals.language, "no connection, trying again: {}", reason));
    } else if (state == ConnectionState::kConnected) {
      fmt::print(stderr, "verbund: {}\n", translate(globals.language, "connected"));
    } else if (state == ConnectionState::kEnded) {
      interrupt.wake();
    }
  });
  if (auto connected = client.connect(); !connected) return report(globals, connected.error());
  interrupt.wait();
  return interrupt.signal() != 0 ? 0 : exit_code(ErrorCode::kNotReachable);
}

}  // namespace

void add_watch(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("watch", text("show changes, locks and workstations as they happen"));
  auto options = std::make_shared<Options>();
  command->add_option("--since", options->since, text("cursor of an earlier watch (HISTORY:CSN)"));
  command->add_option("--types", options->types, text("only changes of these record types"))->delimiter(',');
  command->add_flag("--changes", options->changes_only, text("only changes, no locks and workstations"));
  command->callback([&globals, run, options] { run([&globals, options] { return watch(globals, *options); }); });
}

}  // namespace verbund::cli
