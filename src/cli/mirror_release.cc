/// verbund mirror release: gives up the old data that a rejoin has set aside, by the host's name and the term.
#include <unistd.h>

#include "base/messages.h"
#include "cli/mirror.h"
#include "node/installation.h"
#include "node/mirror/kept_data.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

struct Options {
  std::string host, term;
};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != 0 ? std::string(name.data()) : std::string("localhost");
}

int list(const Globals& globals, const std::vector<node::KeptData>& kept) {
  if (globals.json) {
    json::array shown;
    for (const auto& each : kept) shown.push_back(json::object{{"path", each.path.native()}, {"term", std::to_string(each.term.value)}, {"bytes", std::to_string(each.bytes)}});
    fmt::print("{}\n", json::serialize(json::object{{"kept", shown}}));
    return 0;
  }
  if (kept.empty()) fmt::print("{}\n", translate(globals.language, "No old data are set aside here."));
  for (const auto& each : kept) {
    fmt::print("{}\n", translated(globals.language, "{}: data of term {}, {}", each.path.native(), each.term.value, in_bytes(std::to_string(each.bytes))));
    fmt::print("  verbund {}mirror release {} {}\n", globals.dir.empty() ? "" : fmt::format("--dir {} ", globals.dir), host_name(), each.term.value);
  }
  return 0;
}

/// A person once deleted the data of the wrong machine: both words have to be typed.
int release(const Globals& globals, const Options& options) {
  const auto directory = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  auto kept = node::kept_data(directory);
  if (!kept) return report(globals, kept.error());
  if (options.host.empty()) return list(globals, *kept);
  if (options.host != host_name()) return report(globals, make_error(ErrorCode::kUsage, phrase("release {}: this machine is called {}", options.host, host_name())));
  const auto term = parse_u64(options.term);
  if (!term) {
    return report(globals, make_error(ErrorCode::kUsage, phrase("release {}: the term is missing", options.host), phrase("`verbund mirror release` alone lists what was set aside.")));
  }
  std::uint64_t bytes = 0;
  for (const auto& each : *kept) bytes += each.term.value == *term ? each.bytes : 0;
  if (auto released = node::release_kept(directory, Term{*term}); !released) return report(globals, released.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"released", std::to_string(*term)}, {"bytes", std::to_string(bytes)}}));
  } else {
    fmt::print("{}\n", translated(globals.language, "The data of term {} are gone: {}.", *term, in_bytes(std::to_string(bytes))));
  }
  return 0;
}

}  // namespace

void add_mirror_release(CLI::App& mirror, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = mirror.add_subcommand("release", text(msgid("give up the old data that a rejoin has set aside; without HOST and TERM: list them")));
  command->add_option("host", options->host, text(msgid("this machine's name, typed out")))->option_text("HOST");
  command->add_option("term", options->term, text(msgid("the term of the data")))->option_text("TERM");
  command->callback([&globals, run, options] { run([&globals, options] { return release(globals, *options); }); });
}

}  // namespace verbund::cli
