/// verbund witness run, invite, on a third machine; verbund mirror witness join, leave, on production.
#include <thread>

#include "base/messages.h"
#include "cli/mirror.h"
#include "node/installation.h"
#include "node/mirror/lease_guard.h"
#include "node/mirror/witness_node.h"
#include "node/mirror/witness_place.h"
#include "node/mirror/code.h"
#include "platform/os/clock.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;
using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr seconds kPatience{15}, kTakesEffect{10};
constexpr milliseconds kLookEvery{200};

struct Options {
  std::string listen = "0.0.0.0:2223", at, code, switched_off;
  std::uint64_t minutes = 60;
};

Result<std::filesystem::path> directory_of(const Globals& globals) {
  if (!globals.dir.empty()) return std::filesystem::absolute(globals.dir).lexically_normal();
  return fail(ErrorCode::kUsage, phrase("run a witness: no directory is named"), phrase("Say where its few files are to lie: --dir DIR."));
}

int run_it(const Globals& globals, const Options& options) {
  auto directory = directory_of(globals);
  if (!directory) return report(globals, directory.error());
  node::WitnessOptions witness{.directory = *directory, .listen = options.listen, .language = globals.language};
  witness.on_started = [&](std::uint16_t port) {
    if (globals.json) {
      fmt::print("{{\"started\":true,\"role\":\"witness\",\"port\":{}}}\n", port);
    } else {
      fmt::print("{}\n", translated(globals.language, "The witness runs on port {}. Ctrl-C stops it.", port));
    }
    std::fflush(stdout);
  };
  const auto outcome = node::run_witness(witness);
  return outcome ? 0 : report(globals, outcome.error());
}

int invite(const Globals& globals, const Options& options) {
  auto directory = directory_of(globals);
  if (!directory) return report(globals, directory.error());
  const auto code = node::invite_to_witness(*directory, std::chrono::minutes{options.minutes});
  if (!code) return report(globals, code.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"code", *code}}));
    return 0;
  }
  fmt::print("{}\n  {}\n", translated(globals.language, "Code, good once, for {} min:", options.minutes), *code);
  fmt::print("{}\n  verbund mirror witness join --at HOST:2223\n", translate(globals.language, msgid("On production (HOST: this machine's name or address there; it asks for the code):")));
  return 0;
}

int keep(const Globals& globals, const Options&) {
  auto directory = directory_of(globals);
  if (!directory) return report(globals, directory.error());
  const auto outcome = node::keep_lease(*directory);
  return outcome ? 0 : report(globals, outcome.error());
}

/// The code is used up here, so that no node and no entry of the audit ever sees it.
Result<node::WitnessPlace> claim(const Globals& globals, const Options& options) {
  node::WitnessPlace place;
  auto where = node::parse_host_port(options.at);
  if (!where) return pass(where);
  place.host = where->first;
  place.port = where->second;
  std::string text = options.code;
  if (text.empty()) {
    auto typed = read_password(globals, msgid("code"));
    if (!typed) return pass(typed);
    text = std::move(*typed);
  }
  const auto code = node::parse_mirror_code(text);
  if (!code) return std::unexpected(code.error());
  for (const char c : code->fingerprint) place.fingerprint += fmt::format("{:02x}", static_cast<unsigned char>(c));
  const auto answer = node::ask_witness(place, "/api/witness/claim", {{"code", text}}, kPatience);
  if (!answer) return std::unexpected(answer.error());
  place.secret = at(*answer, "secret");
  if (place.secret.empty()) return fail(ErrorCode::kBadMessage, phrase("read the node's answer: it is no JSON object"));
  return place;
}

Status put_in_force(const Globals& globals, node::WitnessPlace place) {
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  const auto before = node::read_witness_place(directory);
  if (!before) return std::unexpected(before.error());
  place.version = *before ? (*before)->version + 1 : 1;
  if (auto written = node::write_witness_place(directory, place); !written) return written;
  auto asked = ask_pair(globals, {{"do", "witness"}});
  return asked ? Status{} : pass(asked);
}

int join(const Globals& globals, const Options& options) {
  auto root = mirror_state(globals);
  if (!root) return report(globals, root.error());
  if (at(*root, "role") != "production" || at(*root, "pair").empty()) {
    return report(globals, make_error(ErrorCode::kPairRefused, phrase("take a witness: this machine is not production of a pair"), phrase("A witness is there for production and its mirror: `verbund mirror invite` comes first.")));
  }
  auto place = claim(globals, options);
  if (!place) return report(globals, place.error());
  if (auto used = put_in_force(globals, *place); !used) return report(globals, used.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"joined", true}, {"witness", options.at}}));
    return 0;
  }
  fmt::print("{}\n", translated(globals.language, "{} is the witness of this pair. The mirror hears of it by itself; `verbund mirror status` shows it.", options.at));
  return 0;
}

int leave(const Globals& globals, const Options& options) {
  auto root = mirror_state(globals);
  if (!root) return report(globals, root.error());
  const bool off = !options.switched_off.empty();
  if (off && options.switched_off != at(*root, "pair.peer.name")) {
    return report(globals, make_error(ErrorCode::kUsage, phrase("--switched-off {}: the other machine is called {}", options.switched_off, at(*root, "pair.peer.name"))));
  }
  if (auto used = put_in_force(globals, {}); !used) return report(globals, used.error());
  const os::SystemClock clock;
  const auto until = Deadline::in(clock, kTakesEffect);
  auto asked = ask_pair(globals, {{"do", "forget_witness"}, {"peer_is_off", off}});
  while (!asked && !until.passed(clock)) {  // the engine begins anew
    std::this_thread::sleep_for(kLookEvery);
    asked = ask_pair(globals, {{"do", "forget_witness"}, {"peer_is_off", off}});
  }
  if (!asked) return report(globals, asked.error());
  if (globals.json) fmt::print("{}\n", json::serialize(json::object{{"left", true}}));
  else fmt::print("{}\n", translate(globals.language, msgid("This pair has no witness any more: promotion is a person's decision.")));
  return 0;
}

}  // namespace

void add_witness_fields(const Globals& globals, const json::object& pair, Fields& fields) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  if (at(pair, "given") == "true" && at(pair, "stage") == "serving") {
    fields.emplace_back(label(msgid("took over")), translated(globals.language, "by itself; of production's last {} something may be lost", in_seconds(at(pair, "report.span_ms"))));
  }
  if (at(pair, "witness").empty()) return;
  const auto error = at(pair, "witness.error");
  const auto state = at(pair, "witness.alive") == "true" ? label(msgid("answers")) : translated(globals.language, "has not answered for {}", in_seconds(at(pair, "witness.silent_ms")));
  fields.emplace_back(label(msgid("witness")), fmt::format("{}, {}{}", at(pair, "witness.address"), state, error.empty() ? "" : ": " + retold(globals.language, error)));
  if (const auto left = at(pair, "witness.lease_left_ms"); !left.empty()) {
    fields.emplace_back(label(msgid("lease")), left.starts_with('-') ? label(msgid("over: no writes until the mirror or the witness answers")) : translated(globals.language, "for another {}", in_seconds(left)));
  }
  if (at(pair, "stage") != "following") return;
  const auto why = at(pair, "witness.not_automatic");
  const auto refused = at(pair, "witness.reason");
  std::string now = why.empty() ? refused : why;
  fields.emplace_back(label(msgid("takes over by itself")), at(pair, "witness.automatic") != "true" ? label(msgid("no: it is switched off"))
                                                            : now.empty() ? label(msgid("yes"))
                                                                          : translated(globals.language, "yes, not now: {}", retold(globals.language, now)));
}

void add_mirror_witness(CLI::App& mirror, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* witness = mirror.add_subcommand("witness", text("a third machine that says who is production"));
  witness->require_subcommand(1);
  auto* joining = witness->add_subcommand("join", text("on production: take a witness, which then binds both machines"));
  joining->add_option("--at", options->at, text("the witness: HOST:PORT"))->required();
  joining->add_option("--code", options->code, text("the code of `witness invite`; asked for when left out"));
  joining->callback([&globals, run, options] { run([&globals, options] { return join(globals, *options); }); });
  auto* leaving = witness->add_subcommand("leave", text("on production: do without the witness from now on"));
  leaving->add_option("--switched-off", options->switched_off, text("NAME of the other machine: your word that it is switched off and stays so"));
  leaving->callback([&globals, run, options] { run([&globals, options] { return leave(globals, *options); }); });
}

void add_witness(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* witness = app.add_subcommand("witness", text("the witness: a third machine without databases that says who is production"));
  witness->require_subcommand(1);
  auto* running = witness->add_subcommand("run", text("run it in the foreground; its directory is made"));
  running->add_option("--listen", options->listen, text("HOST:PORT of the witness; 0.0.0.0:2223"));
  running->callback([&globals, run, options] { run([&globals, options] { return run_it(globals, *options); }); });
  auto* inviting = witness->add_subcommand("invite", text("a code with which one pair may take it"));
  inviting->add_option("--minutes", options->minutes, text("how long the code is good; 60"))->check(in_range(globals, 1, 10'080));
  inviting->callback([&globals, run, options] { run([&globals, options] { return invite(globals, *options); }); });
  auto* keeping = witness->add_subcommand("keep", text("of a node alone: ends PostgreSQL when production's lease is over"));
  keeping->group("");
  keeping->callback([&globals, run, options] { run([&globals, options] { return keep(globals, *options); }); });
}

}  // namespace verbund::cli
