/// verbund sync apply|export|subscription|set|group|user|device|status|held|queue|reject: rules, devices, how they stand, what waits and what was rejected, through the node's REST interface.
#include <boost/json.hpp>

#include "cli/sync.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxFileBytes = 7 * 1024 * 1024;  // with its JSON within what the node takes
constexpr seconds kPatience{120};

/// What the words of a command line are bound to; lives as long as the callbacks.
struct Words {
  std::string file, user, name, group, device, reject, subscription, key;
  bool dry_run = false, all = false;
  std::uint64_t minutes = 60;
};
using Given = std::shared_ptr<Words>;

std::string text_of(const json::value& value) {
  if (value.is_string()) return std::string(value.as_string());
  if (value.is_null()) return "–";
  return json::serialize(value);
}

std::string joined(const json::value& list) {
  std::string text;
  for (const auto& one : list.as_array()) text += (text.empty() ? "" : ", ") + text_of(one);
  return text;
}

std::string pairs(const json::value& values) {
  std::string text;
  for (const auto& [name, value] : values.as_object()) text += (text.empty() ? "" : ", ") + std::string(name) + " = " + text_of(value);
  return text;
}

/// The answer as JSON, or an exit code when it is printed already (an error, --json).
struct Answered {
  json::value root;
  std::optional<int> exit_code;
};
Answered ask(const Globals& globals, const std::string& method, const std::string& path, const json::object& body = {}) {
  auto answer = rest_call(globals, method, path, method == "GET" ? std::string() : json::serialize(body), {}, kPatience);
  if (!answer) return {{}, report(globals, answer.error())};
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return {{}, 0};
  }
  boost::system::error_code error;
  auto root = json::parse(*answer, error);
  if (error) return {{}, report(globals, make_error(ErrorCode::kBadMessage, phrase("read the node's answer: {}", error.message())))};
  return {std::move(root), std::nullopt};
}

int apply(const Globals& globals, const Words& words) {
  auto toml = os::read_file(words.file, kMaxFileBytes);
  if (!toml) return report(globals, toml.error());
  const auto answer = ask(globals, "POST", "/api/sync/rules", {{"toml", *toml}, {"file", words.file}, {"dry_run", words.dry_run}});
  if (answer.exit_code) return *answer.exit_code;
  const auto& changes = answer.root.at("changes").as_array();
  for (const auto& one : changes) {
    fmt::print("{}\n", translated(globals.language, "{} {} {}", shown_word(globals, text_of(one.at("kind"))), text_of(one.at("name")), shown_word(globals, text_of(one.at("what")))));
    for (const auto& field : one.at("fields").as_array()) fmt::print("    {}\n", text_of(field));
  }
  if (changes.empty()) {
    fmt::print("{}\n", translate(globals.language, "Nothing changes: these rules are in force."));
  } else {
    fmt::print("{}\n", words.dry_run ? translate(globals.language, "Dry run: nothing was changed.") : translate(globals.language, "The rules are in force."));
  }
  if (const auto* waits = answer.root.as_object().if_contains("not_captured")) {
    fmt::print("{}\n", translated(globals.language, "Not all their tables are captured yet, it is tried again: {}", text_of(*waits)));
  }
  return 0;
}

int write_out(const Globals& globals) {
  const auto answer = ask(globals, "GET", "/api/sync/rules");
  if (answer.exit_code) return *answer.exit_code;
  fmt::print("{}", text_of(answer.root.at("toml")));
  return 0;
}

int list_subscriptions(const Globals& globals) {
  const auto answer = ask(globals, "GET", "/api/sync/subscriptions");
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("subscriptions").as_array()) {
    const bool files = text_of(one.at("kind")) == "files";
    const auto of = files ? text_of(one.at("of")) : std::string();
    const auto path = files ? text_of(one.at("folder")) + (text_of(one.at("path")).empty() ? "" : "/" + text_of(one.at("path"))) : std::string();
    rows.push_back({text_of(one.at("name")), shown_word(globals, text_of(one.at("kind"))), text_of(one.at("direction")),
                    files ? path : text_of(one.at("schema")) + "." + text_of(one.at("table")), joined(one.at("rights")), files ? of + (of.empty() ? "" : " ") + joined(one.at("names")) : text_of(one.at("filter"))});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("SUBSCRIPTION"), text("KIND"), text("DIRECTION"), text("TABLE, FOLDER"), text("RIGHTS"), text("FILTER")}, rows);
  return 0;
}

int list_sets(const Globals& globals) {
  const auto answer = ask(globals, "GET", "/api/sync/sets");
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("sets").as_array()) rows.push_back({text_of(one.at("name")), joined(one.at("subscriptions"))});
  print_table({std::string(translate(globals.language, "SET")), std::string(translate(globals.language, "SUBSCRIPTIONS"))}, rows);
  return 0;
}

int list_groups(const Globals& globals) {
  const auto answer = ask(globals, "GET", "/api/sync/groups");
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("groups").as_array()) {
    rows.push_back({text_of(one.at("name")), joined(one.at("sets")), pairs(one.at("parameters")), text_of(one.at("users"))});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("GROUP"), text("SETS"), text("PARAMETERS"), text("USERS")}, rows);
  return 0;
}

int list_users(const Globals& globals) {
  const auto answer = ask(globals, "GET", "/api/sync/users");
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("users").as_array()) {
    rows.push_back({text_of(one.at("name")), text_of(one.at("group")), pairs(one.at("parameters")), shown_word(globals, one.at("disabled").as_bool() ? "disabled" : "active"),
                    text_of(one.at("devices"))});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("USER"), text("GROUP"), text("PARAMETERS"), text("STATE"), text("DEVICES")}, rows);
  return 0;
}

int list_devices(const Globals& globals) {
  const auto answer = ask(globals, "GET", "/api/sync/devices");
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("devices").as_array()) {
    const auto& last = one.at("last_sync");
    rows.push_back({text_of(one.at("device")), text_of(one.at("name")), text_of(one.at("user")), shown_word(globals, text_of(one.at("state"))),
                    last.is_string() ? local_time(text_of(last)) : "–", text_of(one.at("last_address"))});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("DEVICE"), text("NAME"), text("USER"), text("STATE"), text("LAST SYNC"), text("ADDRESS")}, rows);
  return 0;
}

int invite(const Globals& globals, const Words& words) {
  const auto answer = ask(globals, "POST", "/api/sync/devices", {{"user", words.user}, {"name", words.name}, {"minutes", words.minutes}});
  if (answer.exit_code) return *answer.exit_code;
  fmt::print("{}\n", text_of(answer.root.at("code")));
  fmt::print("{}\n", translated(globals.language, "Good for one device of {}, until {}.", words.user, local_time(text_of(answer.root.at("until")))));
  return 0;
}

int set_state(const Globals& globals, const Words& words, std::string_view state, std::string_view said) {
  const auto answer = ask(globals, "PUT", "/api/sync/devices/" + words.device + "/state", {{"state", state}});
  if (answer.exit_code) return *answer.exit_code;
  fmt::print("{}\n", translated(globals.language, said, words.device));
  return 0;
}

int reset(const Globals& globals, const Words& words) {
  const std::pair<const char*, std::string> ways[] = {{"device", words.device}, {"user", words.user}, {"group", words.group}};
  json::object body{{"by", "all"}, {"name", ""}};
  for (const auto& [by, name] : ways) {
    if (!name.empty()) body = {{"by", by}, {"name", name}};
  }
  if (body.at("by") == "all" && !words.all) {
    return report(globals, make_error(ErrorCode::kUsage, phrase("reset devices: of whom?"), phrase("Give one of --device, --user, --group, --all.")));
  }
  const auto answer = ask(globals, "POST", "/api/sync/reset", body);
  if (answer.exit_code) return *answer.exit_code;
  fmt::print("{}\n", translated(globals.language, "{} devices get everything anew at their next sync.", text_of(answer.root.at("devices"))));
  return 0;
}

std::string op_shown(const Globals& globals, const json::value& op) {
  const auto word = text_of(op);
  return shown_word(globals, word == "I" ? "insert" : word == "D" ? "delete" : "update");
}

std::string time_shown(const json::value& time) { return time.is_string() ? local_time(text_of(time)) : "–"; }

/// How each device stands; "–" in all but the first columns: there is nothing.
int show_status(const Globals& globals, const Words&) {
  const auto answer = ask(globals, "GET", "/api/sync/status");
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  const auto count = [](const json::value& number) { return text_of(number) == "0" ? std::string("–") : text_of(number); };
  for (const auto& one : answer.root.at("devices").as_array()) {
    const auto copy_of = one.at("copy_of").is_string() ? translated(globals.language, "copy of {}", text_of(one.at("copy_of"))) : std::string();
    rows.push_back({text_of(one.at("device")), text_of(one.at("name")), text_of(one.at("user")), shown_word(globals, text_of(one.at("state"))), time_shown(one.at("synced")), count(one.at("subscriptions_behind")),
                    count(one.at("waiting")), count(one.at("rejects")), copy_of});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("DEVICE"), text("NAME"), text("USER"), text("STATE"), text("LAST SYNC"), text("BEHIND"), text("WAITING"), text("REJECTS"), ""}, rows);
  return 0;
}

/// Which version of a record a device has.
int show_held(const Globals& globals, const Words& words) {
  const auto answer = ask(globals, "GET", fmt::format("/api/sync/held/{}/{}/{}", words.device, words.subscription, words.key));
  if (answer.exit_code) return *answer.exit_code;
  const auto holds = text_of(answer.root.at("holds"));
  const auto version = text_of(answer.root.at("version")), cursor = text_of(answer.root.at("cursor"));
  const auto when = time_shown(answer.root.at("acknowledged"));
  if (holds == "current") fmt::print("{}\n", translated(globals.language, "It has the row as it is now: version {} (synced {}).", version, when));
  if (holds == "older") fmt::print("{}\n", translated(globals.language, "It has an older version of the row, or none yet: it has what there was as of {} (synced {}), the row has version {}.", cursor, when, version));
  if (holds == "leaves") fmt::print("{}\n", translated(globals.language, "It still has the row as of {} (synced {}); its next sync takes it away.", cursor, when));
  if (holds == "none") fmt::print("{}\n", translated(globals.language, "It does not have the row."));
  if (holds == "unknown") fmt::print("{}\n", translated(globals.language, "Not known: since it has synced ({}), the rules or the server's history have changed; its next sync says.", when));
  return 0;
}

int list_queues(const Globals& globals) {
  const auto answer = ask(globals, "GET", "/api/sync/queue");
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("queues").as_array()) {
    rows.push_back({text_of(one.at("device")), text_of(one.at("name")), text_of(one.at("user")), text_of(one.at("input")), text_of(one.at("waiting")), text_of(one.at("applying")),
                    text_of(one.at("rejects")), text_of(one.at("output")), time_shown(one.at("last_reply"))});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("DEVICE"), text("NAME"), text("USER"), text("INPUT"), text("WAITING"), text("APPLYING"), text("REJECTS"), text("OUTPUT"), text("LAST SYNC")}, rows);
  return 0;
}

/// Changes that are not decided, of one device or all.
int list_waiting(const Globals& globals, const std::string& device) {
  const auto answer = ask(globals, "GET", "/api/sync/queue/" + device);
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("changes").as_array()) {
    const auto waits_for = text_of(one.at("waits_for"));
    rows.push_back({text_of(one.at("change")), text_of(one.at("device")), text_of(one.at("subscription")), text_of(one.at("key")), op_shown(globals, one.at("op")),
                    waits_for.empty() ? "–" : shown_word(globals, waits_for == "held" ? "record held" : "source"), time_shown(one.at("since"))});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("CHANGE"), text("DEVICE"), text("SUBSCRIPTION"), text("KEY"), text("OPERATION"), text("WAITS FOR"), text("SINCE")}, rows);
  return 0;
}

int list_rejects(const Globals& globals, const Words& words) {
  const auto answer = ask(globals, "GET", "/api/sync/rejects/" + (words.device.empty() ? "all" : words.device));
  if (answer.exit_code) return *answer.exit_code;
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : answer.root.at("rejects").as_array()) {
    rows.push_back({text_of(one.at("reject")), text_of(one.at("device")), text_of(one.at("user")), text_of(one.at("subscription")), text_of(one.at("key")),
                    op_shown(globals, one.at("op")), shown_reason(globals, text_of(one.at("reason"))), time_shown(one.at("decided"))});
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("REJECT"), text("DEVICE"), text("USER"), text("SUBSCRIPTION"), text("KEY"), text("OPERATION"), text("REASON"), text("SINCE")}, rows);
  return 0;
}

/// The columns of one that differ: as the device knew them, wants them and as they were.
int show_reject(const Globals& globals, const Words& words) {
  const auto answer = ask(globals, "GET", "/api/sync/rejects/all");
  if (answer.exit_code) return *answer.exit_code;
  const auto& rejects = answer.root.at("rejects").as_array();
  const auto found = std::ranges::find_if(rejects, [&](const json::value& one) { return text_of(one.at("reject")) == words.reject; });
  if (found == rejects.end()) {
    return report(globals, make_error(ErrorCode::kNotFound, phrase("reject {}: there is none, or it was retried or dismissed", words.reject), phrase("`verbund sync reject list` shows them.")));
  }
  fmt::print("{} {} · {} · {} ({})\n", text_of(found->at("subscription")), text_of(found->at("key")), shown_reason(globals, text_of(found->at("reason"))), text_of(found->at("device_name")), text_of(found->at("user")));
  if (const auto message = text_of(found->at("message")); !message.empty()) fmt::print("{}\n", message);
  const auto at = [](const json::value& values, std::size_t place) { return place < values.as_array().size() ? text_of(values.as_array()[place]) : std::string("–"); };
  std::vector<std::vector<std::string>> rows;
  const auto& columns = found->at("columns").as_array();
  for (std::size_t place = 0; place < columns.size(); ++place) {
    std::vector<std::string> row{text_of(columns[place]), at(found->at("before"), place), at(found->at("mine"), place), at(found->at("theirs"), place)};
    if (row[1] != row[2] || row[2] != row[3]) rows.push_back(std::move(row));
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  print_table({text("COLUMN"), text("BEFORE"), text("DEVICE'S"), text("OFFICE'S")}, rows);
  return 0;
}

int decide(const Globals& globals, const Words& words, std::string_view what, std::string_view said) {
  const auto answer = ask(globals, "POST", "/api/sync/rejects/" + words.reject, {{"do", what}});
  if (answer.exit_code) return *answer.exit_code;
  fmt::print("{}\n", translated(globals.language, said, words.reject));
  return 0;
}

/// Ways to add subcommands that run something with the words.
struct Adder {
  Globals& globals;
  const Runner& run;
  Given given;

  [[nodiscard]] std::string text(const char* msgid) const { return std::string(translate(globals.language, msgid)); }
  template <typename What>
  CLI::App* operator()(CLI::App& parent, const char* name, const char* help, What what) const {
    auto* sub = parent.add_subcommand(name, text(help));
    sub->callback([&globals = globals, run = run, given = given, what] { run([&globals, given, what] { return what(globals, *given); }); });
    return sub;
  }
};

void add_device_commands(CLI::App& device, const Adder& add) {
  auto* inviting = add(device, "invite", msgid("make a code with which one device enrols; shown once"), invite);
  inviting->add_option("--user", add.given->user, add.text("for whom the device syncs"))->required();
  inviting->add_option("--name", add.given->name, add.text("what the device is called here; else as it calls itself"));
  inviting->add_option("--minutes", add.given->minutes, add.text("how long the code is good"))->capture_default_str()->check(in_range(add.globals, 1, 43'200));
  add(device, "list", msgid("list the devices"), [](const Globals& globals, const Words&) { return list_devices(globals); });
  const auto about = [&](const char* name, const char* help, const char* state, const char* said) {
    auto* sub = add(device, name, help, [state, said](const Globals& globals, const Words& words) { return set_state(globals, words, state, said); });
    sub->add_option("device", add.given->device, add.text("number of the device"))->required();
  };
  about("disable", msgid("refuse a device from now on"), "disabled", msgid("device {} disabled"));
  about("enable", msgid("take a device again"), "active", msgid("device {} enabled"));
  about("revoke", msgid("refuse a device for good: lost or stolen"), "revoked", msgid("device {} revoked"));
  auto* resetting = add(device, "reset", msgid("let devices get everything anew at their next sync"), reset);
  auto* one = resetting->add_option("--device", add.given->device, add.text("number of the device"));
  auto* user = resetting->add_option("--user", add.given->user, add.text("all of this user's"))->excludes(one);
  auto* group = resetting->add_option("--group", add.given->group, add.text("all of this group's"))->excludes(one)->excludes(user);
  resetting->add_flag("--all", add.given->all, add.text("all"))->excludes(one)->excludes(user)->excludes(group);
}

void add_reject_commands(CLI::App& reject, const Adder& add) {
  auto* listing = add(reject, "list", msgid("list changes of devices that were rejected"), list_rejects);
  listing->add_option("--device", add.given->device, add.text("number of the device"));
  auto* showing = add(reject, "show", msgid("show both sides of a reject"), show_reject);
  showing->add_option("reject", add.given->reject, add.text("number of the reject"))->required();
  const auto deciding = [&](const char* name, const char* help, const char* said) {
    auto* sub = add(reject, name, help, [name, said](const Globals& globals, const Words& words) { return decide(globals, words, name, said); });
    sub->add_option("reject", add.given->reject, add.text("number of the reject"))->required();
  };
  deciding("retry", msgid("try a rejected change again, over what was changed since"), msgid("Reject {} is tried again."));
  deciding("dismiss", msgid("drop a rejected change"), msgid("Reject {} dismissed."));
}

}  // namespace

void add_sync(CLI::App& app, Globals& globals, const Runner& run) {
  const Adder add{globals, run, std::make_shared<Words>()};
  auto* command = app.add_subcommand("sync", add.text("device sync: rules and devices"));
  command->require_subcommand(1);
  auto* applying = add(*command, "apply", msgid("make a file's rules those in force; shows what changes"), apply);
  applying->add_option("file", add.given->file, add.text("rules as TOML (docs/formats/sync-rules.md)"))->required();
  applying->add_flag("--dry-run", add.given->dry_run, add.text("only show what would change"));
  add(*command, "export", msgid("print the rules in force as TOML"), [](const Globals& where, const Words&) { return write_out(where); });
  const auto listing = [&](const char* name, const char* help, int (*list)(const Globals&)) {
    auto* part = command->add_subcommand(name, add.text(help));
    part->require_subcommand(1);
    add(*part, "list", help, [list](const Globals& where, const Words&) { return list(where); });
  };
  listing("subscription", msgid("list the subscriptions"), list_subscriptions);
  listing("set", msgid("list the sets of subscriptions"), list_sets);
  listing("group", msgid("list the groups of users"), list_groups);
  listing("user", msgid("list the users who sync"), list_users);
  auto* device = command->add_subcommand("device", add.text("invite, list, refuse and reset devices"));
  device->require_subcommand(1);
  add_device_commands(*device, add);
  add(*command, "status", msgid("how the devices stand: who has synced when, what waits, what was rejected"), show_status);
  auto* holding = add(*command, "held", msgid("which version of a record a device has"), show_held);
  holding->add_option("device", add.given->device, add.text("number of the device"))->required();
  holding->add_option("subscription", add.given->subscription, add.text("name of the subscription"))->required();
  holding->add_option("key", add.given->key, add.text("the row's key; parts of a longer one joined by commas"))->required();
  auto* queue = add(*command, "queue", msgid("what lies between devices and the source"),
                    [](const Globals& where, const Words& words) { return words.device.empty() ? list_queues(where) : list_waiting(where, words.device); });
  queue->add_option("device", add.given->device, add.text("number of a device, or 'all': its changes that wait"));
  auto* reject = command->add_subcommand("reject", add.text("changes of devices that were rejected"));
  reject->require_subcommand(1);
  add_reject_commands(*reject, add);
}

}  // namespace verbund::cli
