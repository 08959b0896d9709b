/// verbund who: the registered workstations.
#include "cli/command.h"

namespace verbund::cli {
namespace {

std::string session_json(const SessionInfo& s) {
  return fmt::format(
      R"({{"session":{},"workstation":{},"user":{},"address":{},"app":{},"kind":{},"since":{},"state":{}}})", json_string(s.session),
      json_string(s.workstation), json_string(s.user), json_string(s.address), json_string(s.app), json_string(s.tool ? "tool" : "workstation"),
      json_string(s.since), json_string(s.state));
}

int who(const Globals& globals) {
  auto connected = connect_quietly(globals);
  if (!connected.client) return connected.exit_code;
  auto sessions = connected.client->who();
  if (!sessions) return report(globals, sessions.error());
  if (globals.json) {
    std::string rows;
    for (const auto& session : *sessions) rows += (rows.empty() ? "" : ",") + session_json(session);
    fmt::print("[{}]\n", rows);
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& s : *sessions) {
    rows.push_back({s.workstation, s.user, s.address, s.app, local_time(s.since), shown_word(globals, s.state), s.session});
  }
  print_table({text("WORKSTATION"), text("USER"), text("ADDRESS"), text("APPLICATION"), text("SINCE"), text("STATE"), text("SESSION")}, rows);
  return 0;
}

}  // namespace

void add_who(CLI::App& app, Globals& globals, const Runner& run) {
  auto* command = app.add_subcommand("who", std::string(translate(globals.language, "list the registered workstations")));
  command->callback([&globals, run] { run([&globals] { return who(globals); }); });
}

}  // namespace verbund::cli
