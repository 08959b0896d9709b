/// verbund tell WHO TEXT: a message to one workstation, user or session, or to all ("*").
#include "cli/command.h"

namespace verbund::cli {
namespace {

int tell(const Globals& globals, const std::string& to, const std::string& text) {
  auto connected = connect_quietly(globals);
  if (!connected.client) return connected.exit_code;
  auto delivered = connected.client->tell(to, text);
  if (!delivered) return report(globals, delivered.error());
  if (globals.json) {
    fmt::print("{{\"delivered\":{}}}\n", *delivered);
  } else if (*delivered == 0) {
    fmt::print("{}\n", translate(globals.language, "nobody got it: no such workstation, user or session is here"));
  } else {
    fmt::print("{}\n", translated(globals.language, "delivered to {}", *delivered));
  }
  return 0;
}

}  // namespace

void add_tell(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("tell", text("send a message to a workstation, a user, or all (*)"));
  auto to = std::make_shared<std::string>();
  auto words = std::make_shared<std::vector<std::string>>();
  command->add_option("to", *to, text("workstation, user, session, or * for all"))->required();
  command->add_option("text", *words, text("the message"))->required();
  command->callback([&globals, run, to, words] {
    run([&globals, to, words] { return tell(globals, *to, fmt::format("{}", fmt::join(*words, " "))); });
  });
}

}  // namespace verbund::cli
