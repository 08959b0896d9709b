/// verbund mirror salvage: before a promotion, what the mirror has not received from the old production's own disk.
#include <thread>

#include <boost/json.hpp>

#include "base/messages.h"
#include "cli/mirror.h"
#include "cli/office_progress.h"
#include "node/command_server.h"
#include "node/installation.h"
#include "node/mirror/salvage.h"
#include "platform/os/clock.h"
#include "platform/postgres/connection.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

constexpr seconds kStandsStill{60};  ///< PostgreSQL looks every few seconds; a file of 16 MiB is replayed in less
constexpr seconds kNodeLooks{15};
constexpr milliseconds kLookEvery{100};

struct Options {
  std::string from, switched_off;
};

Result<postgres::Connection> connect(const node::Installation& installation) {
  auto settings = node::CommandServer::connection(installation, "postgres");
  if (!settings) return pass(settings);
  return postgres::Connection::open(*settings, seconds{3});
}

Result<Lsn> replayed(postgres::Connection& connection) {
  auto rows = connection.query("SELECT coalesce(pg_last_wal_replay_lsn(), '0/0')");
  if (!rows) return pass(rows);
  return parse_lsn(rows->text(0, 0));
}

/// Until everything is there, or nothing has come for a minute.
Result<Lsn> await_replay(postgres::Connection& connection, Lsn last_record) {
  const os::SystemClock clock;
  auto moved = clock.now();
  Lsn before;
  while (true) {
    const auto now_there = replayed(connection);
    if (!now_there || *now_there > last_record) return now_there;
    if (*now_there != before) moved = clock.now();
    before = *now_there;
    if (clock.now() - moved > kStandsStill) {
      return fail(ErrorCode::kTimedOut, phrase("salvage: the mirror's PostgreSQL stands at {}, and the old log goes on to {}", to_string(before), to_string(last_record)),
                  phrase("Its log says why: DIR/postgres/log."));
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

/// The node looks at its PostgreSQL by itself: the report that is shown next is to know of it.
Status await_node(const Globals& globals, Lsn end) {
  const os::SystemClock clock;
  const auto until = Deadline::in(clock, kNodeLooks);
  while (true) {
    const auto state = mirror_state(globals);
    const auto position = state ? parse_lsn(at(*state, "pair.position")) : Result<Lsn>(std::unexpected(state.error()));
    if (position && *position >= end) return {};
    if (until.passed(clock)) return fail(ErrorCode::kTimedOut, phrase("salvage: this machine's node has not seen it in {} s", kNodeLooks.count()), phrase("`verbund mirror status` shows where it stands."));
    std::this_thread::sleep_for(kLookEvery);
  }
}

struct Salvaged {
  node::OldLog log;
  Lsn before, behind;
};

Result<Salvaged> do_it(const Globals& globals, const Options& options, const json::object& state) {
  auto installation = node::Installation::load(node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir)));
  if (!installation) return pass(installation);
  auto connection = connect(*installation);
  if (!connection) return pass(connection);
  auto system = connection->query("SELECT system_identifier FROM pg_control_system()");
  if (!system) return pass(system);
  const auto identifier = parse_u64(system->text(0, 0));
  if (!identifier) return std::unexpected(identifier.error());
  const auto timeline = parse_u64(at(state, "pair.timeline"));
  if (!timeline) return std::unexpected(timeline.error());
  const auto before = replayed(*connection);
  if (!before) return std::unexpected(before.error());
  const os::SystemClock clock;
  ProgressLine progress(globals);
  progress.step(phrase("read the old log"));
  auto log = node::look_at_old_log(options.from, {*identifier, static_cast<std::uint32_t>(*timeline), *before}, clock);
  if (!log) return pass(log);
  if (auto laid = node::lay_ready(*log, installation->directory() / "postgres"); !laid) return std::unexpected(laid.error());
  progress.step(phrase("replay it"));
  auto behind = await_replay(*connection, log->last_record);
  if (!behind) return pass(behind);
  return Salvaged{std::move(*log), *before, *behind};
}

int salvage(const Globals& globals, const Options& options) {
  auto state = mirror_state(globals);
  if (!state) return report(globals, state.error());
  if (at(*state, "role") != "mirror") return report(globals, make_error(ErrorCode::kPairRefused, phrase("salvage: {}", phrase("this machine is no mirror"))));
  if (at(*state, "pair.peer.alive") == "true") return report(globals, make_error(ErrorCode::kPairRefused, phrase("salvage: {}", phrase("the other machine is not switched off: it answers"))));
  const auto name = at(*state, "pair.peer.name");
  if (options.switched_off != name) return report(globals, make_error(ErrorCode::kUsage, phrase("--switched-off {}: the other machine is called {}", options.switched_off, name)));
  auto done = do_it(globals, options, *state);
  if (!done) return report(globals, done.error());
  if (auto told = ask_pair(globals, {{"do", "salvaged"}, {"end", to_string(done->behind)}, {"peer_is_off", true}}); !told) return report(globals, told.error());
  if (auto seen = await_node(globals, done->behind); !seen) return report(globals, seen.error());
  const auto bytes = done->behind.value - done->before.value;
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"files", json::value_from(done->log.files)}, {"from", to_string(done->before)}, {"end", to_string(done->behind)}, {"bytes", std::to_string(bytes)}}));
    return 0;
  }
  fmt::print("{}\n", translated(globals.language, "{} of production's log were on its disk and not here: this mirror has everything now, up to {}.", in_bytes(std::to_string(bytes)), to_string(done->behind)));
  fmt::print("{}\n  verbund {}mirror promote\n", translate(globals.language, "What a promotion would lose now:"), globals.dir.empty() ? "" : fmt::format("--dir {} ", globals.dir));
  return 0;
}

}  // namespace

void add_mirror_salvage(CLI::App& mirror, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = mirror.add_subcommand("salvage", text(msgid("on the mirror, when production is gone and its disk can be read: take over what was not received")));
  command->add_option("--from", options->from, text(msgid("the old production's data directory, or its pg_wal")))->required();
  command->add_option("--switched-off", options->switched_off, text(msgid("NAME of the other machine: your word that it is switched off and stays so")))->required();
  command->callback([&globals, run, options] { run([&globals, options] { return salvage(globals, *options); }); });
}

}  // namespace verbund::cli
