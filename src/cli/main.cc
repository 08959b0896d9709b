#include <clocale>

#include "cli/archives.h"
#include "cli/attention.h"
#include "cli/command.h"
#include "cli/sync.h"
#include "node/version.h"

namespace {

using namespace verbund;

Language language_of_user() {
  std::setlocale(LC_ALL, "");
  const char* name = std::setlocale(LC_MESSAGES, nullptr);
  // A machine without the German locale data still has the user's wish in the environment.
  std::string locale = name ? name : "";
  for (const char* variable : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    if (const char* value = std::getenv(variable); value && *value) {
      locale = value;
      break;
    }
  }
  return language_from_locale(locale);
}

void add_globals(CLI::App& app, cli::Globals& globals) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  app.add_option("--server", globals.server, text("node to talk to: HOST:PORT, several separated by commas"))->envname("VERBUND_SERVER");
  app.add_option("--config", globals.config, text("client settings (client.toml)"))->envname("VERBUND_CONFIG");
  app.add_option("--dir", globals.dir, text("installation directory"));
  app.add_option("--workstation", globals.workstation, text("name under which others see you"))->envname("VERBUND_WORKSTATION");
  app.add_option("--user", globals.user, text("log in with this user's password instead of the token"))->envname("VERBUND_USER");
  app.add_option("--password-file", globals.password_file, text("file that holds the password; - for standard input"));
  app.add_flag("--json", globals.json, text("print JSON (a line per event for streams)"));
  app.add_flag("--plaintext", globals.plaintext, text("connect without TLS (only from the node's own machine)"));
}

}  // namespace

int main(int argc, char** argv) {
  cli::Globals globals;
  globals.language = language_of_user();
  CLI::App app{std::string(translate(globals.language, "Keeps an office's shared records in step.")), "verbund"};
  cli::speak(app, globals);
  app.set_version_flag("--version", std::string("verbund ") + node::kVersion,
                       std::string(translate(globals.language, "Display program version information and exit")));
  app.require_subcommand(1);
  app.fallthrough();
  add_globals(app, globals);

  // What stands behind "--" is somebody else's command line and none of CLI11's business.
  auto words = cli::command_words(argc, argv);
  const auto dashes = std::find(words.begin(), words.end(), "--");
  if (dashes != words.end()) globals.after_dashes.assign(dashes + 1, words.end());
  words.erase(dashes, words.end());
  std::reverse(words.begin(), words.end());  // as CLI11 wants them

  std::function<int()> chosen;
  const cli::Runner run = [&](std::function<int()> task) { chosen = std::move(task); };
  for (const auto add : {cli::add_up, cli::add_config, cli::add_status, cli::add_user, cli::add_audit, cli::add_history, cli::add_erase, cli::add_who,
                         cli::add_locks, cli::add_lock, cli::add_unlock, cli::add_watch, cli::add_tell, cli::add_import, cli::add_feed,
                         cli::add_detach, cli::add_guard, cli::add_dump, cli::add_restore, cli::add_sync, cli::add_backup, cli::add_mirror, cli::add_witness, cli::add_device}) {
    add(app, globals, run);
  }
  cli::name_subcommands(app, globals);
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : cli::report_usage(app, globals, error);  // 0: --help, --version
  }
  // Those show it themselves.
  const auto* backup = app.get_subcommand("backup");
  const bool shows = app.got_subcommand("status") || backup->got_subcommand("report") || backup->got_subcommand("check");
  if (!shows) cli::remind(globals);
  return chosen ? chosen() : exit_code(ErrorCode::kUsage);
}
