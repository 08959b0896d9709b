/// verbund history KEY [--diff]: the versions of a record. verbund erase KEY --reason TEXT, verbund erase --list.
#include <boost/json.hpp>

#include "base/ids.h"
#include "cli/command.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

/// Longer values are cut in the table; --diff shows them whole.
constexpr std::size_t kShownCharacters = 32;
constexpr std::size_t kShownColumns = 4;

Result<json::object> parse_object(const std::string& text) {
  boost::system::error_code error;
  auto value = json::parse(text, error);
  if (!error && value.is_object()) return std::move(value.as_object());
  return fail(ErrorCode::kBadMessage, phrase("read the history: {}", error ? error.message() : "no object"));
}

/// A record's values may hold anything; the terminal gets no control characters of theirs.
std::string printable(const json::value& value, std::size_t most) {
  if (!value.is_string()) return "NULL";
  std::string text;
  std::size_t characters = 0;
  for (const char c : value.as_string()) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80 && ++characters > most) return text + "…";
    text += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return text;
}

std::string text_of(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->as_string()) : "";
}

const json::object* part(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  return member ? member->if_object() : nullptr;
}

class Printer {
 public:
  Printer(const Globals& globals, const json::object& history) : globals_(globals), history_(history) {}

  void table() const {
    std::vector<std::vector<std::string>> rows;
    walk([&](const json::object& version) { rows.push_back(row_of(version)); },
         [&](const std::string& time, const std::string& words) { rows.push_back({time, "–", "–", "–", words}); });
    print_table({text("TIME"), text("WHO"), text("ACTION"), text("TABLE"), text("CHANGES")}, rows);
  }

  void differences() const {
    walk(
        [&](const json::object& version) {
          const auto row = row_of(version);
          fmt::print("{}  {}  {}  {}\n", row[0], row[1], row[2], row[3]);
          for (const auto& line : lines_of(version, std::string::npos)) fmt::print("    {}\n", line);
        },
        [](const std::string& time, const std::string& words) { fmt::print("{}  {}\n", time, words); });
  }

  void nothing(const std::string& key) const {
    for (const auto& notice : history_.at("notices").as_array()) {
      if (text_of(notice.as_object(), "kind") != "types") continue;
      fmt::print("{}\n", translated(globals_.language, "no changes of {} since {}", key, local_time(text_of(notice.as_object(), "time"))));
      return;
    }
    fmt::print("{}\n", translated(globals_.language, "no versions of {}", key));
  }

 private:
  std::string text(const char* msgid) const { return std::string(translate(globals_.language, msgid)); }

  /// "1:77" before "2:5".
  static std::pair<std::uint64_t, std::uint64_t> place(const std::string& text) {
    const auto colon = std::min(text.find(':'), text.size());
    return {parse_u64(text.substr(0, colon)).value_or(0), parse_u64(text.substr(std::min(colon + 1, text.size()))).value_or(0)};
  }

  /// Versions and what is to be said between them, in their order.
  void walk(const std::function<void(const json::object&)>& on_version,
            const std::function<void(const std::string&, const std::string&)>& on_notice) const {
    const auto& notices = history_.at("notices").as_array();
    std::size_t next = 0;
    const auto tell_until = [&](std::optional<std::pair<std::uint64_t, std::uint64_t>> end) {
      for (; next < notices.size(); ++next) {
        const auto& notice = notices[next].as_object();
        if (end && place(text_of(notice, "behind")) >= *end) return;
        if (const auto words = said_of(notice); !words.empty()) on_notice(local_time(text_of(notice, "time")), words);
      }
    };
    for (const auto& item : history_.at("versions").as_array()) {
      tell_until(place(text_of(item.as_object(), "at")));
      on_version(item.as_object());
    }
    tell_until(std::nullopt);
  }

  std::string said_of(const json::object& notice) const {
    const auto kind = text_of(notice, "kind");
    if (kind == "merged") return text("capture began anew: what changed meanwhile shows as one change");
    if (kind == "not_kept") return text("no history was kept meanwhile");
    if (kind == "foreign") return text("a database was restored");
    return {};
  }

  std::string who(const json::object& version) const {
    if (version.contains("merged")) return text("unknown (several changes in one)");
    const auto* by = part(version, "by");
    const auto how = by ? text_of(*by, "how") : "";
    if (how != "lock" && how != "message") return text("unknown");
    std::string name = text_of(*by, "user");
    if (const auto workstation = text_of(*by, "workstation"); !workstation.empty()) name += ", " + workstation;
    if (name.empty()) name = translated(globals_.language, "session {}", text_of(*by, "session"));
    return how == "lock" ? name + " " + text("(held the lock)") : name;
  }

  std::vector<std::string> row_of(const json::object& version) const {
    std::string table = text_of(version, "table");
    const auto key = text_of(history_, "key");
    if (key.substr(key.find('/') + 1) != text_of(version, "row")) table += " " + text_of(version, "row");
    const auto lines = lines_of(version, kShownCharacters);
    std::string changes = fmt::format("{}", fmt::join(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(std::min(lines.size(), kShownColumns)), "; "));
    if (lines.size() > kShownColumns) changes += translated(globals_.language, "; {} more", lines.size() - kShownColumns);
    return {local_time(text_of(version, "time")), who(version), shown_word(globals_, text_of(version, "op")), table, changes};
  }

  /// One per column: "name: old → new" of an update; of the others the values that there are.
  std::vector<std::string> lines_of(const json::object& version, std::size_t most) const {
    if (version.contains("erased")) return {text("(contents erased)")};
    const auto* before = part(version, "before");
    const auto* after = part(version, "after");
    std::vector<std::string> lines;
    if (before && after) {
      for (const auto& value : *before) {
        const auto* now = after->if_contains(value.key());
        lines.push_back(fmt::format("{}: {} → {}", std::string_view(value.key()), printable(value.value(), most), now ? printable(*now, most) : "–"));
      }
      return lines;
    }
    if (const auto* only = before ? before : after) {
      for (const auto& value : *only) {
        if (!value.value().is_null()) lines.push_back(fmt::format("{}: {}", std::string_view(value.key()), printable(value.value(), most)));
      }
    }
    return lines;
  }

  const Globals& globals_;
  const json::object& history_;
};

/// All pages put together.
Result<json::object> read_all(const Globals& globals, const std::string& key) {
  json::object all;
  std::map<std::string, std::string> query{{"limit", "1000"}};
  for (;;) {
    auto answer = rest_call(globals, "GET", "/api/history/" + key, {}, query);
    if (!answer) return pass(answer);
    auto page = parse_object(*answer);
    if (!page) return pass(page);
    const auto next = text_of(*page, "next");
    if (all.empty()) {
      all = std::move(*page);
      all.erase("next");
    } else {
      for (auto& version : page->at("versions").as_array()) all.at("versions").as_array().push_back(std::move(version));
    }
    if (next.empty()) return all;
    query["after"] = next;
  }
}

int history(const Globals& globals, const std::string& key, bool diff) {
  if (auto checked = parse_record_key(key); !checked) return report(globals, checked.error());
  auto all = read_all(globals, key);
  if (!all) return report(globals, all.error());
  if (globals.json) {
    fmt::print("{}\n", json::serialize(*all));
    return 0;
  }
  const Printer printer(globals, *all);
  if (all->at("versions").as_array().empty()) {
    printer.nothing(key);
  } else {
    diff ? printer.differences() : printer.table();
  }
  return 0;
}

int erase(const Globals& globals, const std::string& key, const std::string& reason) {
  auto answer = rest_call(globals, "POST", "/api/erasures", json::serialize(json::object{{"key", key}, {"reason", reason}}));
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return 0;
  }
  auto body = parse_object(*answer);
  if (!body) return report(globals, body.error());
  fmt::print("{}\n", translated(globals.language, "contents of {} versions of {} erased", json::serialize(body->at("erasure").at("versions")), key));
  return 0;
}

int list_erasures(const Globals& globals) {
  auto answer = rest_call(globals, "GET", "/api/erasures");
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return 0;
  }
  auto body = parse_object(*answer);
  if (!body) return report(globals, body.error());
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& item : body->at("erasures").as_array()) {
    const auto& erasure = item.as_object();
    rows.push_back({local_time(text_of(erasure, "time")), text_of(erasure, "by"), text_of(erasure, "key"),
                    json::serialize(erasure.at("versions")), text_of(erasure, "reason")});
  }
  print_table({text("TIME"), text("WHO"), text("RECORD"), text("VERSIONS"), text("REASON")}, rows);
  return 0;
}

}  // namespace

void add_history(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("history", text("show what a record held before, when it changed and who changed it"));
  auto key = std::make_shared<std::string>();
  auto diff = std::make_shared<bool>(false);
  command->add_option("key", *key, text("TYPE/ID"))->required();
  command->add_flag("--diff", *diff, text("show every change in full, a line per column"));
  command->callback([&globals, run, key, diff] { run([&globals, key, diff] { return history(globals, *key, *diff); }); });
}

void add_erase(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("erase", text("erase the contents of a deleted record from the history"));
  auto key = std::make_shared<std::string>();
  auto reason = std::make_shared<std::string>();
  auto list = std::make_shared<bool>(false);
  auto* list_flag = command->add_flag("--list", *list, text("show what was erased"));
  auto* key_option = command->add_option("key", *key, text("TYPE/ID"))->excludes(list_flag);
  command->add_option("--reason", *reason, text("why; it is kept and shown"))->excludes(list_flag)->needs(key_option);
  command->callback([&globals, run, key, reason, list] {
    run([&globals, key, reason, list] {
      if (*list) return list_erasures(globals);
      if (!key->empty() && !reason->empty()) return erase(globals, *key, *reason);
      Error usage;
      usage.code = ErrorCode::kUsage;
      usage.message = translated(globals.language, "erase: a key and --reason are needed");
      return report(globals, usage);
    });
  });
}

}  // namespace verbund::cli
