/// verbund mirror invite, join, status: a second machine that follows this one.
#include <boost/json.hpp>

#include "base/messages.h"
#include "cli/mirror.h"
#include "cli/mirror_follow.h"
#include "cli/mirror_machines.h"
#include "cli/mirror_patroni.h"
#include "cli/office_progress.h"
#include "cli/progress.h"
#include "node/installation.h"
#include "node/mirror/join.h"
#include "platform/os/clock.h"
#include "platform/os/log_sink.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

struct Options {
  std::uint64_t minutes = 60;
  bool replace = false;
  std::string from, code, name, listen;
  std::uint64_t database_port = 0;
};

int invite(const Globals& globals, const Options& options) {
  auto answer = rest_call(globals, "POST", "/api/mirror/invitations", json::serialize(json::object{{"minutes", options.minutes}, {"replace", options.replace}}));
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return 0;
  }
  boost::system::error_code broken;
  const auto value = json::parse(*answer, broken);
  const auto* object = broken ? nullptr : value.if_object();
  if (object == nullptr) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the node's answer: it is no JSON object")));
  const auto say = [&](const char* msgid, const auto&... args) { fmt::print("{}\n", translated(globals.language, msgid, args...)); };
  say("Code, good once, until {}:", local_time(at(*object, "until")));
  fmt::print("  {}\n", at(*object, "code"));
  say("On the machine that becomes the mirror (HOST: this machine's name or address there; it asks for the code):");
  fmt::print("  verbund mirror join --from HOST:{} --dir DIR\n", at(*object, "port"));
  return 0;
}

Result<node::JoinRequest> join_request(const Globals& globals, const Options& options) {
  node::JoinRequest request;
  auto from = node::parse_host_port(options.from);
  if (!from) return pass(from);
  request.host = from->first;
  request.port = from->second;
  if (!options.listen.empty()) {
    if (auto listen = node::parse_host_port(options.listen); !listen) return pass(listen);
    request.listen = options.listen;
  }
  if (globals.dir.empty()) {
    return fail(ErrorCode::kUsage, phrase("join as mirror: no directory is named"), phrase("Say where this machine's copy is to lie: --dir DIR."));
  }
  request.directory = node::Installation::find(globals.dir);
  request.name = options.name;
  if (options.database_port > 0) request.database_port = static_cast<std::uint16_t>(options.database_port);
  std::error_code ignored;
  const bool goes_on = std::filesystem::exists(request.directory / "mirror" / "admission.json", ignored);
  request.code = options.code;
  if (request.code.empty() && !goes_on) {
    auto typed = read_password(globals, msgid("code"));
    if (!typed) return pass(typed);
    request.code = std::move(*typed);
  }
  return request;
}

int join(const Globals& globals, const Options& options) {
  auto request = join_request(globals, options);
  if (!request) return report(globals, request.error());
  const Interrupt caught;
  ProgressLine progress(globals);
  request->on_step = [&progress](const Phrase& step) { progress.step(step); };
  std::optional<postgres::OwnedServer::CopyStep> step;
  request->on_copy = [&](postgres::OwnedServer::CopyStep now, std::uint64_t done, std::uint64_t total) {
    const bool copies = now == postgres::OwnedServer::CopyStep::kCopy;
    if (step != now) progress.step(copies ? phrase("copy the databases") : phrase("verify the copy"));
    step = now;
    if (copies) progress.moved("copy", done, total);
    return !Interrupt::came();
  };
  const os::SystemClock clock;
  auto joined = node::join_as_mirror(*request, clock, os::null_log());
  if (!joined) return report(globals, joined.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"joined", true}, {"name", joined->name}, {"production", joined->production}, {"directory", request->directory.string()},
                                                      {"copied_ms", joined->copied.count()}, {"verified_ms", joined->verified.count()}}));
    return 0;
  }
  fmt::print("{}\n", translated(globals.language, "{} is now the mirror of {} and follows it as soon as its node runs:", joined->name, joined->production));
  fmt::print("  verbund node --dir {}\n", request->directory.string());
  return 0;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

/// `of`: what the mirror has received; production's root has it one level deeper.
void add_following(const Globals& globals, const json::object& of, const std::string& interval_s, Fields& fields) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  const auto yes = [&](bool is) { return label(is ? msgid("yes") : msgid("no")); };
  if (!at(of, "received").empty()) {
    fields.emplace_back(label(msgid("received up to")), at(of, "received"));
    fields.emplace_back(label(msgid("readable up to")), at(of, "replayed"));
    fields.emplace_back(label(msgid("PostgreSQL connected")), yes(at(of, "streaming") == "true"));
  }
  if (!at(of, "behind").empty()) {
    fields.emplace_back(label(msgid("behind (bytes)")), in_bytes(at(of, "behind.bytes")));
    fields.emplace_back(label(msgid("behind (time)")), in_seconds(at(of, "behind.span_ms")));
    fields.emplace_back(label(msgid("behind (commits, at most)")), at(of, "behind.commits").empty() ? label(msgid("not known")) : at(of, "behind.commits"));
  }
  if (at(of, "loss").empty()) return;
  const auto commits = at(of, "loss.commits").empty() ? label(msgid("not known")) : at(of, "loss.commits");
  fields.emplace_back(label(msgid("possible loss now")),
                      translated(globals.language, "at least {}; of what was heard of at most {} commits", in_bytes(at(of, "loss.bytes")), commits) +
                          waited_words(globals, at(of, "loss.waited_ms")) + interval_words(globals, interval_s));
}

void add_slot(const Globals& globals, const json::object& root, Fields& fields) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  if (at(root, "slot").empty()) return;
  std::string shown = translated(globals.language, "{} kept for the mirror", in_bytes(at(root, "slot.kept_bytes")));
  if (at(root, "slot.lost") == "true") {
    shown = label(msgid("lost: the mirror needs a new copy"));
  } else if (const auto safe = at(root, "slot.safe_bytes"); !safe.empty()) {
    shown += "; " + translated(globals.language, "safe for another {}", in_bytes(safe));
  }
  fields.emplace_back(label(msgid("production's log")), shown);
}

void add_production(const Globals& globals, const json::object& root, Fields& fields) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  const auto* mirror = root.if_contains("mirror");
  if (!mirror || !mirror->is_object()) {
    fields.emplace_back(label(msgid("mirror")), label(msgid("none; `verbund mirror invite` lets a machine in")));
    return;
  }
  const auto& of = mirror->as_object();
  fields.emplace_back(label(msgid("mirror")), translated(globals.language, "{} ({}), since {}", at(of, "name"), at(of, "address"), local_time(at(of, "since"))));
  fields.emplace_back(label(msgid("last heard")), at(of, "heard_age_ms").empty() ? label(msgid("not since this node was started"))
                                                                          : translated(globals.language, "{} ago", in_seconds(at(of, "heard_age_ms"))));
  fields.emplace_back(label(msgid("written up to")), at(root, "position"));
  add_following(globals, of, at(root, "follow.interval_s"), fields);
}

/// Copies of production's folders, each in a line.
void add_folders(const Globals& globals, const json::object& root, Fields& fields) {
  if (const auto error = at(root, "folders_error"); !error.empty()) {
    fields.emplace_back(translate(globals.language, msgid("the folders do not come")), retold(globals.language, error));
  }
  const auto* folders = root.if_contains("folders");
  if (!folders || !folders->is_array()) return;
  for (const auto& each : folders->as_array()) {
    const auto& of = each.as_object();
    const auto age = at(of, "age_ms");
    std::string said = age.empty() ? translated(globals.language, "not all here yet") : translated(globals.language, "all here as it was {} ago", in_seconds(age));
    if (at(of, "behind_files") != "0") said += "; " + translated(globals.language, "{} files with {} bytes to come", at(of, "behind_files"), at(of, "behind_bytes"));
    if (at(of, "skipped") != "0") said += "; " + translated(globals.language, "{} links and special files are not copied", at(of, "skipped"));
    if (const auto error = at(of, "error"); !error.empty()) said += "; " + retold(globals.language, error);
    fields.emplace_back(translated(globals.language, "folder {}", at(of, "path")), said);
  }
}

void add_mirror(const Globals& globals, const json::object& root, Fields& fields) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  fields.emplace_back(label(msgid("production")), fmt::format("{} {}", at(root, "production.name"), at(root, "production.address")));
  fields.emplace_back(label(msgid("last heard")), at(root, "behind.age_ms").empty() ? label(msgid("not since this node was started"))
                                                                             : translated(globals.language, "{} ago", in_seconds(at(root, "behind.age_ms"))));
  if (const auto error = at(root, "production.error"); !error.empty()) fields.emplace_back(label(msgid("production does not answer")), retold(globals.language, error));
  if (const auto error = at(root, "database_error"); !error.empty()) fields.emplace_back(label(msgid("own PostgreSQL does not answer")), retold(globals.language, error));
  if (const auto error = at(root, "log_error"); !error.empty()) fields.emplace_back(label(msgid("the log's files do not come")), retold(globals.language, error));
  fields.emplace_back(label(msgid("written up to")), at(root, "production.position"));
  add_following(globals, root, at(root, "follow.interval_s"), fields);
  add_folders(globals, root, fields);
}

/// What the pair's engine says.
void add_pair(const Globals& globals, const json::object& root, Fields& fields) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  const auto* pair = root.if_contains("pair");
  if (!pair || !pair->is_object()) return;
  const auto& of = pair->as_object();
  if (at(of, "waits_for_person") == "true") {
    fields.emplace_back(label(msgid("waits")), label(msgid("the other machine has not answered; `verbund mirror open` lets this one work when that one is switched off")));
  }
  if (!at(of, "peer.stage").empty()) {
    const auto alive = at(of, "peer.alive") == "true" ? label(msgid("answers")) : label(msgid("does not answer"));
    fields.emplace_back(label(msgid("other machine")), fmt::format("{} ({}), {}, {}", at(of, "peer.name"), at(of, "peer.address"), shown_word(globals, at(of, "peer.stage")), alive));
  }
  if (!at(of, "doing").empty()) fields.emplace_back(label(msgid("at work on")), shown_word(globals, at(of, "doing")));
  if (!at(of, "told_reason").empty()) fields.emplace_back(label(msgid("last")), fmt::format("{}: {}", shown_word(globals, at(of, "told")), retold(globals.language, at(of, "told_reason"))));
  add_witness_fields(globals, of, fields);
  if (!at(of, "trouble").empty()) fields.emplace_back(label(msgid("trouble")), retold(globals.language, at(of, "trouble")));
}

int status(const Globals& globals) {
  auto answer = mirror_state(globals);
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(*answer));
    return 0;
  }
  const auto* root = &*answer;
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  Fields fields{{label(msgid("node")), at(*root, "name")}, {label(msgid("role")), shown_word(globals, at(*root, "role"))}, {label(msgid("term")), at(*root, "term")}};
  add_pair(globals, *root, fields);
  if (at(*root, "provider") == "patroni") {
    for (auto& field : patroni_fields(globals, *root)) fields.push_back(std::move(field));
  } else if (at(*root, "role") == "mirror") {
    add_mirror(globals, *root, fields);
  } else if (at(*root, "role") == "production") {
    add_production(globals, *root, fields);
  }
  add_slot(globals, *root, fields);
  if (const auto* follow = root->if_contains("follow"); follow && follow->is_object()) add_follow_fields(globals, follow->as_object(), fields);
  add_machine_fields(globals, *root, fields);
  print_fields(fields);
  print_findings(globals, *root);
  return 0;
}

}  // namespace

void add_mirror(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* mirror = app.add_subcommand("mirror", text("the mirror server: a second machine that follows this one"));
  mirror->require_subcommand(1);
  auto* inviting = mirror->add_subcommand("invite", text("on production: a code that lets one machine join as mirror"));
  inviting->add_option("--minutes", options->minutes, text("how long the code is good; 60"))->check(in_range(globals, 1, 10'080));
  inviting->add_flag("--replace", options->replace, text("the machine takes the place of the mirror that there is"));
  inviting->callback([&globals, run, options] { run([&globals, options] { return invite(globals, *options); }); });
  auto* joining = mirror->add_subcommand("join", text("make this machine the mirror: certificates, settings, copy, following; goes on where it was interrupted"));
  joining->add_option("--from", options->from, text("production's node: HOST:PORT"))->required();
  joining->add_option("--code", options->code, text("the code of `mirror invite`; asked for when left out"));
  joining->add_option("--name", options->name, text("of this node, shown to people; default: host name"));
  joining->add_option("--listen", options->listen, text("HOST:PORT of this machine's node; default: as production's"));
  joining->add_option("--database-port", options->database_port, text("port of this machine's PostgreSQL; default: as production's"))->check(in_range(globals, 1, 65'535));
  joining->callback([&globals, run, options] { run([&globals, options] { return join(globals, *options); }); });
  add_mirror_follow(*mirror, globals, run);
  auto* showing = mirror->add_subcommand("status", text("how far the mirror is, what would be lost now, how long production keeps its log"));
  showing->callback([&globals, run] { run([&globals] { return status(globals); }); });
  add_mirror_roles(*mirror, globals, run);
  add_mirror_lost(*mirror, globals, run);
  add_mirror_release(*mirror, globals, run);
  add_mirror_salvage(*mirror, globals, run);
  add_mirror_upgrade(*mirror, globals, run);
  add_mirror_witness(*mirror, globals, run);
}

}  // namespace verbund::cli
