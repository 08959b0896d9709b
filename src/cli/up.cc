/// verbund up, init, node: make an installation, run a node in the foreground.

#include "backup/set_journal.h"
#include "base/messages.h"
#include "cli/adoption.h"
#include "cli/backup.h"
#include "node/from_set.h"
#include "node/installation.h"
#include "node/mirror/role.h"
#include "node/node.h"

namespace verbund::cli {
namespace {

struct Options {
  bool demo = false, check = false, yes = false;
  std::string demo_data, database, listen;
  std::string from_set, signer, key;
};

std::optional<std::string> given(const std::string& text) { return text.empty() ? std::nullopt : std::optional(text); }

/// As the user can type it: relative to here when it lies below.
std::string this_program() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto relative = std::filesystem::relative(program, error);
  return error || relative.empty() || relative.native().starts_with("..") ? program.string() : relative.string();
}

void print_started(const Globals& globals, const node::Started& started) {
  if (globals.json) {
    fmt::print("{{\"started\":true,\"role\":{},\"page\":{},\"port\":{},\"directory\":{}}}\n", json_string(started.role),
               json_string(started.page), started.port, json_string(started.directory.string()));
    std::fflush(stdout);
    return;
  }
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  if (!started.waits_for.empty()) {
    say("This node waits; work goes on at {}.  Page:  {}", started.waits_for, started.page);
    say("Ctrl-C stops everything in order.");
    std::fflush(stdout);
    return;
  }
  if (started.role != "production") {
    if (started.role == "mirror") {
      say("The mirror of {} runs.  Page:  {}", started.mirror_of, started.page);
    } else {
      say("This machine is not production now; the other one is {}.  Page:  {}", started.mirror_of, started.page);
    }
    fmt::print("  {} --dir {} mirror status\n", this_program(), started.directory.string());
    say("Ctrl-C stops everything in order.");
    std::fflush(stdout);
    return;
  }
  if (!started.demo_report.empty()) fmt::print("{}\n", started.demo_report);
  say("Verbund runs.  Page:   {}", started.page);
  if (!started.first_password.empty()) {
    say("               Login:  {}  password: {}   (also in {}/administrator.txt)", started.administrator,
        started.first_password, started.directory.string());
  } else {
    say("               Login:  {}   (first password: {}/administrator.txt)", started.administrator, started.directory.string());
  }
  const auto command = fmt::format("{} --dir {}", this_program(), started.directory.string());
  say("Try in another shell:");
  fmt::print("  {} watch\n", command);
  if (!started.example_key.empty()) fmt::print("  {} --workstation Labor lock {}\n", command, started.example_key);
  if (!started.psql.empty()) fmt::print("  {}\n", started.psql);
  say("Ctrl-C stops everything in order.");
  std::fflush(stdout);
}

int run_node(const Globals& globals, const std::filesystem::path& directory, const Options& options) {
  if (auto whole = node::refuse_half_installed(directory); !whole) return report(globals, whole.error());
  if (auto whole = node::refuse_half_joined(directory); !whole) return report(globals, whole.error());
  if (const auto failed = settle_interrupted(globals, directory)) return *failed;
  const auto consent = options.yes ? Consent::kGiven : Consent::kAsk;
  if (const auto refused = settle_adoption(globals, directory, consent)) return *refused;
  node::NodeOptions node_options;
  node_options.directory = directory;
  node_options.listen = given(options.listen);
  node_options.language = globals.language;
  node_options.demo = options.demo;
  node_options.demo_data = options.demo_data;
  node_options.on_started = [&globals](const node::Started& started) { print_started(globals, started); };
  node::Node node(std::move(node_options));
  if (auto outcome = node.run(); !outcome) return report(globals, outcome.error());
  return 0;
}

std::filesystem::path directory_of(const Globals& globals) { return node::Installation::find(given(globals.dir)); }

int init(const Globals& globals, const Options& options) {
  const auto directory = directory_of(globals);
  if (auto made = node::Installation::create({directory, options.database, given(options.listen)}); !made) {
    return report(globals, made.error());
  }
  if (!globals.json) fmt::print("{}\n", translated(globals.language, "installation in {}", directory.string()));
  return 0;
}

/// The same words twice: after a refusal the command can be repeated as it was.
bool names_its_server(const std::filesystem::path& directory, const std::string& connection) {
  const auto installation = node::Installation::load(directory);
  return installation && installation->settings().connection == connection;
}

/// Installs from the set; nothing: done.
std::optional<int> install(const Globals& globals, const std::filesystem::path& directory, const Options& options) {
  const auto set_path = std::filesystem::absolute(options.from_set).lexically_normal();
  auto signer = signer_of(globals, set_path, options.signer, options.yes);
  if (!signer) return report(globals, signer.error());
  auto key = key_of(options.key);
  if (!key) return report(globals, key.error());
  auto set = backup::SetReader::open(set_path, {*signer});
  if (!set) return report(globals, set.error());
  if (*key) {
    if (auto unlocked = set->unlock(**key); !unlocked) return report(globals, unlocked.error());
  }
  auto known = backup::SetJournal(directory, set_path.parent_path()).read();
  if (!known) return report(globals, known.error());
  node::FromSet how{.directory = directory, .signer = *signer, .key = *key ? &**key : nullptr, .above = {}, .on_step = {}, .on_term = {},
                    .only_own_server = false};
  for (const auto& event : *known) how.above = std::max(how.above, Term{event.term});
  ProgressLine progress(globals);
  how.on_step = [&progress](const Phrase& step) { progress.step(step); };
  const os::SystemClock clock;
  // So that a second restore from this medium takes a higher term; a medium that can't be written to is no reason to fail.
  how.on_term = [&](Term term) {
    backup::SetEvent event;
    event.at = clock.wall();
    event.what = backup::SetEvent::What::kRestored;
    event.installation = set->manifest().installation;
    event.set = set->manifest().id;
    event.sequence = set->manifest().sequence;
    event.term = term.value;
    return backup::SetJournal(directory, set_path.parent_path()).append(event, true);
  };
  auto term = node::install_from_set(*set, how, progress, clock, os::null_log());
  if (!term) return report(globals, term.error());
  return std::nullopt;
}

int up(const Globals& globals, const Options& options) {
  if (options.check) return check_adoption(globals, options.database);
  const auto directory = directory_of(globals);
  if (!options.from_set.empty()) {
    if (const auto failed = install(globals, directory, options)) return *failed;
  }
  if (!node::Installation::exists(directory)) {
    if (auto made = node::Installation::create({directory, options.database, given(options.listen)}); !made) {
      return report(globals, made.error());
    }
  } else if (!options.database.empty() && !names_its_server(directory, options.database)) {
    return report(globals, make_error(ErrorCode::kUsage, phrase("--database: {} is an installation already", directory.string()),
                                 phrase("its connection stands in config/verbund.toml, [database] connection")));
  }
  return run_node(globals, directory, options);
}

}  // namespace

void add_up(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* up_command = app.add_subcommand("up", text("create the installation if needed and run a node in the foreground"));
  auto* init_command = app.add_subcommand("init", text("create an installation"));
  auto* node_command = app.add_subcommand("node", text("run the node of an existing installation in the foreground"));
  up_command->add_flag("--demo", options->demo, text("load the demo practice"));
  up_command->add_option("--demo-data", options->demo_data, text("directory of FHIR files for it; default: synthetic patients"));
  for (auto* command : {up_command, init_command}) {
    command->add_option("--database", options->database, text("use an existing PostgreSQL server (connection string)"));
  }
  up_command->add_option("--from-set", options->from_set, text("make the installation from this backup set (its path), on a machine that has none"));
  up_command->add_option("--signer", options->signer, text("public key that signed the set (of the recovery sheet), or a file that holds it"));
  up_command->add_option("--key", options->key, text("file with the private key of an encrypted set"));
  up_command->add_flag("--check", options->check, text("only look at the server of --database and say what is missing"));
  for (auto* command : {up_command, node_command}) {
    command->add_flag("--yes", options->yes, text("agree to what is created on the existing server"));
  }
  for (auto* command : {up_command, init_command, node_command}) {
    command->add_option("--listen", options->listen, text("HOST:PORT; port 0 picks a free one"));
  }
  up_command->callback([&globals, run, options] { run([&globals, options] { return up(globals, *options); }); });
  init_command->callback([&globals, run, options] { run([&globals, options] { return init(globals, *options); }); });
  node_command->callback([&globals, run, options] { run([&globals, options] { return run_node(globals, directory_of(globals), *options); }); });
}

}  // namespace verbund::cli
