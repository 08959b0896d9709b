/// verbund config check: reads all configuration without starting anything.
#include "backup/config.h"
#include "cli/command.h"
#include "node/installation.h"

namespace verbund::cli {

void add_config(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("config", text("check the configuration"));
  command->require_subcommand(1);
  command->add_subcommand("check", text("read config/verbund.toml, P2P.properties and backup.toml and report what is wrong"))->callback([&globals, run] {
    run([&globals] {
      const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
      auto installation = node::Installation::load(dir);
      if (!installation) return report(globals, installation.error());
      // Record types are checked for their form here; their tables when the database runs.
      if (auto known = installation->config().refuse_unknown("record."); !known) return report(globals, known.error());
      if (auto backup = backup::load_config(dir); !backup) return report(globals, backup.error());
      if (auto password = alarm::password_of(installation->settings().alarm); !password) return report(globals, password.error());
      fmt::print("{}\n", globals.json ? "{\"ok\":true}" : translated(globals.language, "configuration in {} is in order", dir.string()));
      return 0;
    });
  });
}

}  // namespace verbund::cli
