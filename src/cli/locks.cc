/// verbund locks [PREFIX]: who holds which record.
#include "cli/command.h"

namespace verbund::cli {
namespace {

int locks(const Globals& globals, const std::string& prefix) {
  auto connected = connect_quietly(globals);
  if (!connected.client) return connected.exit_code;
  auto held = connected.client->locks(prefix);
  if (!held) return report(globals, held.error());
  if (globals.json) {
    std::string rows;
    for (const auto& l : *held) {
      rows += fmt::format(
          R"({}{{"key":{},"token":{},"session":{},"workstation":{},"user":{},"address":{},"since":{},"note":{},"state":{},"waiting":{}}})",
          rows.empty() ? "" : ",", json_string(l.key), json_string(l.token), json_string(l.session), json_string(l.workstation), json_string(l.user),
          json_string(l.address), json_string(l.since), json_string(l.note), json_string(l.state), l.waiting);
    }
    fmt::print("[{}]\n", rows);
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& l : *held) {
    rows.push_back({l.key, l.workstation, l.user, l.address, local_time(l.since), std::to_string(l.waiting), l.note});
  }
  print_table({text("RECORD"), text("WORKSTATION"), text("USER"), text("ADDRESS"), text("SINCE"), text("WAITING"), text("NOTE")}, rows);
  return 0;
}

}  // namespace

void add_locks(CLI::App& app, Globals& globals, const Runner& run) {
  auto* command = app.add_subcommand("locks", std::string(translate(globals.language, "list the work locks")));
  auto prefix = std::make_shared<std::string>();
  command->add_option("prefix", *prefix, std::string(translate(globals.language, "only keys that begin so, for example patient/")));
  command->callback([&globals, run, prefix] { run([&globals, prefix] { return locks(globals, *prefix); }); });
}

}  // namespace verbund::cli
