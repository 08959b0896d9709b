/// verbund backup drill, drill enter: the office from a set alone, on another system; and its result, told to the office.
#include <iostream>

#include <unistd.h>

#include <boost/json.hpp>

#include "backup/drill/record.h"
#include "cli/backup.h"
#include "node/drill.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

struct Options {
  std::string set, scratch, signer, key, by, system;
  bool same_system = false, keep = false, yes = false;
  std::string code;
};

/// Removes the scratch installation, whatever comes.
class Scratch {
 public:
  Scratch(fs::path path, bool keep) : path_(std::move(path)), keep_(keep) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code left;  // what can't be removed is seen by whoever begins the next drill there
    if (!keep_) fs::remove_all(path_, left);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }
  /// Not ours: leave it as it is.
  void leave() { keep_ = true; }

 private:
  const fs::path path_;
  bool keep_;
};

std::vector<fs::path> installations(const Globals& globals) {
  std::vector<fs::path> all{node::Installation::find(std::nullopt), "/var/lib/verbund"};
  if (!globals.dir.empty()) all.emplace_back(globals.dir);
  return all;
}

Status refuse_same_system(const Globals& globals, const backup::Manifest& manifest, const Options& options) {
  if (options.same_system || !node::same_system(manifest, installations(globals))) return {};
  return fail(ErrorCode::kForbidden, phrase("drill: this machine ({}) has made {}", manifest.host, manifest.id),
              phrase("What is to be proven is that another one can. --same-system does it here all the same; it does not count."));
}

std::string ask(const Globals& globals, const char* question) {
  fmt::print(stderr, "{} ", translate(globals.language, question));
  std::string answer;
  std::getline(std::cin, answer);
  return answer;
}

void print_checks(const Globals& globals, const backup::DrillRecord& record) {
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  say("Drill with set {}, on {}, {}:", record.set, record.system, backup::drill_day(record.day));
  for (const auto& check : record.checks) {
    const auto what = said(globals.language, check.what), detail = said(globals.language, check.detail);
    check.passed ? say("  good    {}  {}", what, detail) : say("  FAILED  {}  {}", what, detail);
  }
  say("  took {}", shown_time(std::chrono::duration_cast<seconds>(record.took)));
  if (record.same_system) say("  made on the system of the set: it does not count");
}

/// What came of it, written beside the sets and as a code.
struct Signed {
  std::string code;
  fs::path file;         ///< empty: the medium can't be written to
  std::string not_written;
};
Result<Signed> sign(const backup::DrillRecord& record, const fs::path& scratch, const fs::path& beside) {
  auto secret = backup::restored_drill_secret(scratch);
  if (!secret) return pass(secret);
  Signed out;
  out.code = backup::drill_code(record, *secret);
  auto file = backup::write_drill(beside, record, *secret);
  if (file) out.file = std::move(*file);
  else out.not_written = file.error().message;
  return out;
}

void print_json(const backup::DrillRecord& record, const Signed& result) {
  json::array checks;
  for (const auto& check : record.checks) {
    checks.push_back(json::object{{"what", check.what.english()}, {"passed", check.passed}, {"detail", check.detail.english()}});
  }
  fmt::print("{}\n", json::serialize(json::object{{"set", record.set}, {"sequence", std::to_string(record.sequence)}, {"day", backup::drill_day(record.day)},
                                                  {"system", record.system}, {"by", record.by}, {"passed", record.passed},
                                                  {"same_system", record.same_system}, {"checks", std::move(checks)}, {"took_ms", record.took.count()},
                                                  {"code", result.code}, {"file", result.file.string()}}));
}

int finish(const Globals& globals, const Options& options, backup::DrillRecord record, const Scratch& scratch, const fs::path& set) {
  if (!globals.json) print_checks(globals, record);
  const bool person = isatty(STDIN_FILENO) != 0;
  record.by = options.by;
  if (record.by.empty() && person && record.passed) {
    record.passed = agreed(translated(globals.language, "Could the office work with this? [y/N]"));
  }
  if (record.by.empty() && person) record.by = ask(globals, msgid("Who signs this off? Name:"));
  Signed result;
  if (!record.by.empty()) {
    auto made = sign(record, scratch.path(), set.parent_path());
    if (!made) return report(globals, made.error());
    result = std::move(*made);
  }
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  if (globals.json) {
    print_json(record, result);
  } else if (record.by.empty()) {
    say("Nobody has signed it off: it does not count.");
  } else {
    record.passed ? say("PASSED, signed off by {}.", record.by) : say("NOT PASSED, signed off by {}.", record.by);
    result.file.empty() ? say("  not written beside the sets: {}", result.not_written) : say("  written: {}", result.file.string());
    say("  In the office: verbund backup drill enter {} --by \"{}\" --system {}", result.code, record.by, record.system);
  }
  if (record.by.empty()) return exit_code(ErrorCode::kIncomplete);
  return record.passed ? 0 : exit_code(ErrorCode::kDamaged);
}

node::DrillOptions how(const Globals& globals, const Options& options, const Scratch& scratch, ProgressLine& progress) {
  node::DrillOptions how;
  how.scratch = scratch.path();
  how.program = "/proc/self/exe";
  std::error_code error;
  if (auto program = fs::read_symlink("/proc/self/exe", error); !error) how.program = program;
  how.interrupted = &interrupted_flag();
  how.on_step = [&progress](const Phrase& step) { progress.step(step); };
  how.status = [&globals, directory = scratch.path().string()](std::uint16_t port) -> Result<std::string> {
    Globals there = globals;
    there.dir = directory;
    there.config.clear();
    there.user.clear();
    there.server = fmt::format("127.0.0.1:{}", port);
    auto settings = client_settings(there);
    if (!settings) return pass(settings);
    settings->watch_types.clear();
    settings->watch_locks = settings->watch_presence = settings->reconnect = false;
    Client client(std::move(*settings));
    if (auto connected = client.connect(); !connected) return fail(ErrorCode::kNotReachable, verbatim(connected.error().message));
    auto text = client.status_json();
    if (!text) return fail(ErrorCode::kNotReachable, verbatim(text.error().message));
    return *text;
  };
  if (!options.by.empty() || globals.json || isatty(STDIN_FILENO) == 0) return how;
  how.look = [&globals](std::uint16_t port) {
    fmt::print(stderr, "{}\n", translated(globals.language, "The office runs on this machine: https://localhost:{}/ (login as in the office). Look at it.", port));
    ask(globals, msgid("Press Enter when you have seen enough:"));
  };
  return how;
}

int drill(const Globals& globals, const Options& options) {
  const auto set_path = fs::absolute(options.set).lexically_normal();
  auto signer = signer_of(globals, set_path, options.signer, options.yes);
  if (!signer) return report(globals, signer.error());
  auto key = key_of(options.key);
  if (!key) return report(globals, key.error());
  auto set = backup::SetReader::open(set_path, {*signer});
  if (!set) return report(globals, set.error());
  if (auto other = refuse_same_system(globals, set->manifest(), options); !other) return report(globals, other.error());
  if (*key) {
    if (auto unlocked = set->unlock(**key); !unlocked) return report(globals, unlocked.error());
  }
  Scratch scratch(fs::absolute(options.scratch).lexically_normal(), options.keep);
  const os::SystemClock clock;
  backup::DrillRecord record;
  {
    ProgressLine progress(globals, &interrupted_flag());
    auto way = how(globals, options, scratch, progress);
    way.signer = *signer;
    way.key = *key ? &**key : nullptr;
    auto done = node::run_drill(*set, way, progress, clock, os::null_log());
    if (!done && done.error().code == ErrorCode::kAlreadyExists) scratch.leave();
    if (!done) return report(globals, done.error());
    record = std::move(*done);
  }
  record.system = options.system.empty() ? node::this_host() : options.system;
  record.same_system = node::same_system(set->manifest(), installations(globals));
  return finish(globals, options, std::move(record), scratch, set_path);
}

/// The id that the office gave that number.
Result<std::string> set_of(const backup::Office& office, std::uint64_t sequence) {
  auto events = backup::SetJournal(office.directory, {}).own();
  if (!events) return pass(events);
  for (const auto& event : *events) {
    if (event.sequence == sequence && event.what == backup::SetEvent::What::kPublished) return event.set;
  }
  return fail(ErrorCode::kNotFound, phrase("enter a drill: this office has made no set {}", sequence));
}

Result<backup::DrillRecord> told(const backup::Office& office, const Options& options) {
  auto secret = backup::restored_drill_secret(office.directory);
  if (!secret) return pass(secret);
  if (std::error_code error; fs::exists(options.code, error)) return backup::load_drill(options.code, *secret);
  if (options.by.empty() || options.system.empty()) {
    return fail(ErrorCode::kUsage, phrase("enter a drill: a code needs --by and --system"), phrase("As the drill has printed them; or name its file drill-….json."));
  }
  auto own = backup::installation_id(office.directory);
  if (!own) return pass(own);
  auto record = backup::read_drill_code(options.code, *own, options.by, options.system, *secret);
  if (!record) return record;
  auto set = set_of(office, record->sequence);
  if (!set) return pass(set);
  record->set = std::move(*set);
  return record;
}

int enter(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto record = told(at_hand->office, options);
  if (!record) return report(globals, record.error());
  if (record->same_system) {
    return report(globals, make_error(ErrorCode::kForbidden, phrase("enter a drill: it was made on the system of the set, and does not count"),
                                      phrase("verbund backup drill on another machine")));
  }
  if (auto entered = backup::enter_drill(at_hand->office.directory, *record); !entered) return report(globals, entered.error());
  if (auto entered = enter_fact(at_hand->office, backup::fact::DrillSigned{record->set, record->by, record->system, record->passed}); !entered) {
    return report(globals, entered.error());
  }
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"set", record->set}, {"day", backup::drill_day(record->day)}, {"by", record->by},
                                                    {"system", record->system}, {"passed", record->passed}}));
    return 0;
  }
  fmt::print("{}\n", record->passed ? translated(globals.language, "Drill of {} with set {}: passed, entered.", backup::drill_day(record->day), record->set)
                                    : translated(globals.language, "Drill of {} with set {}: NOT passed, entered.", backup::drill_day(record->day), record->set));
  return 0;
}

}  // namespace

void add_backup_drill(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = backup.add_subcommand("drill", text("the office from a set alone, on another system: made, started, looked at, signed off, removed"));
  command->require_subcommand(0, 1);
  command->add_option("--set", options->set, text("path of the set"));
  command->add_option("--dir", options->scratch, text("directory for the time of the drill; must not exist, is removed afterwards"));
  command->add_option("--signer", options->signer, text("public key that signed the set (of the recovery sheet), or a file that holds it"));
  command->add_option("--key", options->key, text("file with the private key of an encrypted set"));
  command->add_option("--sign", options->by, text("name of who signs it off; without it the terminal asks"));
  command->add_option("--name", options->system, text("name of this system; default: its host name"));
  command->add_flag("--same-system", options->same_system, text("also where the set was made; that does not count"));
  command->add_flag("--keep", options->keep, text("leave the directory as it is afterwards"));
  command->add_flag("--yes", options->yes, text("believe the key that lies in the set"));
  auto* told = command->add_subcommand("enter", text("in the office: enter the result of a drill"));
  told->add_option("code", options->code, text("the code that the drill has printed, or its file drill-….json"))->required();
  told->add_option("--by", options->by, text("who signed it off, as the drill has printed it"));
  told->add_option("--system", options->system, text("where, as the drill has printed it"));
  told->callback([&globals, run, options] { run([&globals, options] { return enter(globals, *options); }); });
  command->callback([&globals, run, options, command] {
    if (!command->get_subcommands().empty()) return;
    run([&globals, options] {
      if (options->set.empty() || options->scratch.empty()) {
        return report(globals, make_error(ErrorCode::kUsage, phrase("drill: --set and --dir are needed"), phrase("verbund backup drill --help")));
      }
      return drill(globals, *options);
    });
  });
}

}  // namespace verbund::cli
