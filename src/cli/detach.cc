/// verbund detach [--databases] [--yes]: removes every trace from a server that somebody else runs.
#include <boost/json.hpp>

#include "cli/adoption.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

struct Options {
  std::string database;
  bool databases = false, yes = false;
};

struct Target {
  postgres::ConnectionSettings connection;
  node::AdoptedNames names;
  std::optional<node::Installation> installation;
};

Result<Target> target_of(const Globals& globals, const Options& options) {
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  if (!options.database.empty()) {  // the installation is lost, or is somewhere else
    auto settings = postgres::parse_connection_string(options.database);
    if (!settings) return pass(settings);
    return Target{std::move(*settings), node::adopted_names({}), std::nullopt};
  }
  auto installation = node::Installation::load(directory);
  if (!installation) return pass(installation);
  if (installation->owns_server()) {
    return fail(ErrorCode::kUsage, phrase("detach: the installation runs its own PostgreSQL, there is nothing to detach from"));
  }
  auto settings = installation->connection();
  if (!settings) return pass(settings);
  return Target{std::move(*settings), node::adopted_names(installation->settings()), std::move(*installation)};
}

void print(const Globals& globals, const std::vector<node::Removed>& removed) {
  if (globals.json) {
    json::array rows;
    for (const auto& [kind, name] : removed) rows.push_back(json::object{{"kind", kind}, {"name", name}});
    fmt::print("{}\n", json::serialize(json::object{{"removed", rows}}));
    return;
  }
  for (const auto& [kind, name] : removed) fmt::print("{}\n", translated(globals.language, "removed: {} {}", translate(globals.language, kind), name));
  if (removed.empty()) fmt::print("{}\n", translate(globals.language, "There was nothing left to remove."));
}

int detach(const Globals& globals, const Options& options) {
  auto target = target_of(globals, options);
  if (!target) return report(globals, target.error());
  std::optional<os::FileLock> lock;
  if (target->installation) {
    auto taken = os::FileLock::acquire(target->installation->directory() / "node.lock", fmt::format("verbund detach, pid {}", getpid()));
    if (!taken) return report(globals, std::move(taken.error()).in("detach"));
    lock = std::move(*taken);
  }
  const char* question = options.databases ? msgid("Remove everything of Verbund from the server, journal and all earlier versions of records included? [y/N]")
                                           : msgid("Remove slot, publication, event trigger and guard from the server? [y/N]");
  if (!options.yes && !agreed(translate(globals.language, question))) {
    return report(globals, fail(ErrorCode::kCancelled, phrase("detach from {}: nobody has agreed", target->connection.shown()),
                                phrase("say --yes, or answer y at a terminal")).error());
  }
  auto removed = node::detach(target->connection, target->names, options.databases);
  if (!removed) return report(globals, removed.error());
  if (target->installation) {
    if (auto forgotten = node::forget_adoption(*target->installation); !forgotten) return report(globals, forgotten.error());
  }
  print(globals, *removed);
  return 0;
}

// What node::Removed names.
[[maybe_unused]] constexpr const char* kKinds[] = {msgid("replication slot"), msgid("publication"), msgid("event trigger"), msgid("trigger"), msgid("schema"),
                                                   msgid("function"), msgid("database")};

}  // namespace

void add_detach(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("detach", text("remove every trace from a PostgreSQL server that somebody else runs"));
  auto options = std::make_shared<Options>();
  command->add_flag("--databases", options->databases, text("the mid-tier and the versions database, too"));
  command->add_option("--database", options->database, text("the server, when its installation is lost (connection string)"));
  command->add_flag("--yes", options->yes, text("don't ask"));
  command->callback([&globals, run, options] { run([&globals, options] { return detach(globals, *options); }); });
}

}  // namespace verbund::cli
