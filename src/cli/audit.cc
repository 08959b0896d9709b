/// verbund audit [--limit N] [--actor USER] [--action PREFIX]: who did what.
#include <boost/json.hpp>

#include "cli/command.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

struct Options {
  int limit = 50;
  std::string actor, action;
};

int audit(const Globals& globals, const Options& options) {
  std::map<std::string, std::string> query{{"limit", std::to_string(options.limit)}};
  if (!options.actor.empty()) query["actor"] = options.actor;
  if (!options.action.empty()) query["action"] = options.action;
  auto answer = rest_call(globals, "GET", "/api/audit", {}, query);
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return 0;
  }
  boost::system::error_code error;
  const auto root = json::parse(*answer, error);
  if (error) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the audit trail: {}", error.message())));
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : root.at("entries").as_array()) {
    const auto field = [&](const char* name) { return std::string(entry.at(name).as_string()); };
    rows.push_back({local_time(field("at")), field("actor"), field("action"), field("object"), field("detail")});
  }
  print_table({text("TIME"), text("WHO"), text("ACTION"), text("OBJECT"), text("DETAIL")}, rows);
  return 0;
}

}  // namespace

void add_audit(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("audit", text("show the audit trail"));
  auto options = std::make_shared<Options>();
  command->add_option("--limit", options->limit, text("how many entries, newest first"))->check(in_range(globals, 1, 10'000))->capture_default_str();
  command->add_option("--actor", options->actor, text("only entries of this user"));
  command->add_option("--action", options->action, text("only actions that begin so, for example user."));
  command->callback([&globals, run, options] { run([&globals, options] { return audit(globals, *options); }); });
}

}  // namespace verbund::cli
