/// verbund unlock KEY… --reason TEXT: breaks somebody's work lock (right lock.break; audited). The own lock of a
/// running `verbund lock` ends with Ctrl-C there.
#include "cli/command.h"

namespace verbund::cli {
namespace {

int unlock(const Globals& globals, const std::vector<std::string>& keys, const std::string& reason) {
  auto connected = connect_quietly(globals);
  if (!connected.client) return connected.exit_code;
  if (auto broken = connected.client->break_locks(keys, reason); !broken) return report(globals, broken.error());
  if (globals.json) {
    fmt::print("{{\"ok\":true}}\n");
  } else {
    fmt::print("{}\n", translated(globals.language, "unlocked {}", fmt::join(keys, ", ")));
  }
  return 0;
}

}  // namespace

void add_unlock(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("unlock", text("break the work lock on records (administrators; audited)"));
  auto keys = std::make_shared<std::vector<std::string>>();
  auto reason = std::make_shared<std::string>();
  command->add_option("keys", *keys, text("records, for example patient/4711"))->required();
  command->add_option("--reason", *reason, text("why; the holder and the audit trail get it"))->required();
  command->callback([&globals, run, keys, reason] { run([&globals, keys, reason] { return unlock(globals, *keys, *reason); }); });
}

}  // namespace verbund::cli
