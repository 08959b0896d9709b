/// verbund mirror follow: how the mirror gets production's log, and whether commits wait for it.
#include "cli/mirror_follow.h"

#include <boost/json.hpp>

#include "base/ids.h"
#include "base/messages.h"
#include "cli/progress.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

struct Options {
  std::string mode, interval, synchronous;
};

std::string text_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (!value || value->is_null()) return {};
  return value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
}

std::string shown_interval(const Globals& globals, std::uint64_t interval_s) {
  if (interval_s % 3600 == 0) return translated(globals.language, "{} h", interval_s / 3600);
  if (interval_s % 60 == 0) return translated(globals.language, "{} min", interval_s / 60);
  return translated(globals.language, "{} s", interval_s);
}

std::string shown_mode(const Globals& globals, const json::object& follow) {
  const auto interval = parse_u64(text_at(follow, "interval_s")).value_or(0);
  if (interval == 0) return std::string(translate(globals.language, msgid("continuously")));
  return translated(globals.language, "every {}", shown_interval(globals, interval));
}

int follow(const Globals& globals, const Options& options) {
  json::object request;
  if (!options.mode.empty()) request["mode"] = options.mode;
  if (!options.interval.empty()) request["interval"] = options.interval;
  if (!options.synchronous.empty()) request["synchronous"] = options.synchronous;
  auto answer = rest_call(globals, "POST", "/api/mirror/follow", json::serialize(request));
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return 0;
  }
  boost::system::error_code error;
  const auto value = json::parse(*answer, error);
  if (error || !value.is_object()) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the node's answer: it is no JSON object")));
  std::vector<std::pair<std::string, std::string>> fields;
  add_follow_fields(globals, value.as_object(), fields);
  print_fields(fields);
  return 0;
}

}  // namespace

void add_follow_fields(const Globals& globals, const json::object& follow, std::vector<std::pair<std::string, std::string>>& fields) {
  const auto label = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  fields.emplace_back(label(msgid("follows")), shown_mode(globals, follow));
  if (const auto* log = follow.if_contains("log"); log && log->is_object()) {
    const auto& of = log->as_object();
    const auto count = text_at(of, "segments");
    if (count != "0") fields.emplace_back(label(msgid("log kept as files")), translated(globals.language, "{} files, {}", count, shown_bytes(parse_u64(text_at(of, "bytes")).value_or(0))));
    if (const auto error = text_at(of, "error"); !error.empty()) fields.emplace_back(label(msgid("log is not kept")), retold(globals.language, error));
  }
  const auto* commits = follow.if_contains("commits");
  if (!commits || !commits->is_object()) {
    const bool waits = text_at(follow, "synchronous") == "true";
    fields.emplace_back(label(msgid("commits")), label(waits ? msgid("shall wait for the mirror") : msgid("do not wait for the mirror")));
    return;
  }
  const auto& of = commits->as_object();
  const auto state = text_at(of, "state");
  const auto reason = text_at(of, "reason");
  std::string shown = label(msgid("do not wait for the mirror"));
  if (state == "synchronous" || state == "catching_up") shown = label(msgid("wait for the mirror"));
  if (text_at(of, "wanted") == "true" && !reason.empty()) shown = label(msgid("should wait for the mirror and do not")) + ": " + retold(globals.language, reason);
  fields.emplace_back(label(msgid("commits")), shown);
}

std::string waited_words(const Globals& globals, const std::string& waited_ms) {
  const auto milli = parse_u64(waited_ms);
  if (!milli) return {};
  if (*milli == 0) return "; " + std::string(translate(globals.language, msgid("nothing of what was waited for")));
  return "; " + translated(globals.language, "nothing of what was waited for until {} s ago", *milli / 1000);
}

std::string interval_words(const Globals& globals, const std::string& interval_s) {
  const auto interval = parse_u64(interval_s).value_or(0);
  return interval == 0 ? "" : "; " + translated(globals.language, "the log comes every {}", shown_interval(globals, interval));
}

void add_mirror_follow(CLI::App& mirror, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* following = mirror.add_subcommand("follow", text("on production: how the mirror gets the log, whether commits wait for it; without options: shows it"));
  following->add_option("--mode", options->mode, text("continuous: streams; periodic: is sent the log every so often"));
  following->add_option("--interval", options->interval, text("for periodic: 10min, 90s, 1h; default 10min"));
  following->add_option("--synchronous", options->synchronous, text("on: commits wait until they are on the mirror's disk, and go on without it when it is away; off: they do not wait"));
  following->callback([&globals, run, options] { run([&globals, options] { return follow(globals, *options); }); });
}

}  // namespace verbund::cli
