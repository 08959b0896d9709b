/// verbund user add|passwd|role|list|disable|enable|remove|token: accounts, through the node's REST interface.
#include <boost/json.hpp>

#include "cli/command.h"

namespace verbund::cli {
namespace {

namespace json = boost::json;

int finish(const Globals& globals, const Result<std::string>& answer, const std::string& said) {
  if (!answer) return report(globals, answer.error());
  fmt::print("{}\n", globals.json ? *answer : said);
  return 0;
}

Result<std::string> new_password(const Globals& globals) {
  return read_password(globals, msgid("new password"));
}

int list(const Globals& globals) {
  auto answer = rest_call(globals, "GET", "/api/users");
  if (!answer) return report(globals, answer.error());
  if (globals.json) {
    fmt::print("{}\n", *answer);
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  boost::system::error_code error;
  const auto root = json::parse(*answer, error);
  if (error) return report(globals, make_error(ErrorCode::kBadMessage, phrase("read the list of users: {}", error.message())));
  for (const auto& user : root.at("users").as_array()) {
    const auto& last = user.at("last_login");
    rows.push_back({std::string(user.at("user").as_string()), shown_word(globals, user.at("role").as_string()),
                    shown_word(globals, user.at("enabled").as_bool() ? "enabled" : "disabled"), local_time(user.at("created").as_string()),
                    last.is_string() ? local_time(last.as_string()) : "–"});
  }
  print_table({text("USER"), text("ROLE"), text("STATE"), text("CREATED"), text("LAST LOGIN")}, rows);
  return 0;
}

int add(const Globals& globals, const std::string& user, const std::string& role) {
  auto password = new_password(globals);
  if (!password) return report(globals, password.error());
  return finish(globals,
                rest_call(globals, "POST", "/api/users",
                          json::serialize(json::object{{"user", user}, {"password", *password}, {"role", role}})),
                translated(globals.language, "user {} added as {}", user, role));
}

int set_password(const Globals& globals, const std::string& user) {
  auto password = new_password(globals);
  if (!password) return report(globals, password.error());
  return finish(globals,
                rest_call(globals, "PUT", "/api/users/" + user + "/password",
                          json::serialize(json::object{{"password", *password}})),
                translated(globals.language, "password of {} changed", user));
}

int create_token(const Globals& globals, const std::string& user, const std::string& label) {
  auto answer = rest_call(globals, "POST", "/api/users/" + user + "/tokens",
                          json::serialize(json::object{{"label", label}}));
  if (!answer || globals.json) return finish(globals, answer, "");
  boost::system::error_code error;
  const auto root = json::parse(*answer, error);
  return finish(globals, answer, error ? *answer : std::string(root.at("token").as_string()));
}

int revoke_token(const Globals& globals, const std::string& user, const std::string& label) {
  return finish(globals, rest_call(globals, "DELETE", "/api/users/" + user + "/tokens", {}, {{"label", label}}),
                translated(globals.language, "tokens '{}' of {} revoked", label, user));
}

int set_role(const Globals& globals, const std::string& user, const std::string& role) {
  return finish(globals, rest_call(globals, "PUT", "/api/users/" + user + "/role", json::serialize(json::object{{"role", role}})),
                translated(globals.language, "{} is {} now", user, role));
}

int set_enabled(const Globals& globals, const std::string& user, bool enabled) {
  return finish(globals,
                rest_call(globals, "PUT", "/api/users/" + user + "/enabled", json::serialize(json::object{{"enabled", enabled}})),
                enabled ? translated(globals.language, "user {} enabled", user)
                        : translated(globals.language, "user {} disabled; sessions and logins have ended", user));
}

int remove(const Globals& globals, const std::string& user) {
  return finish(globals, rest_call(globals, "DELETE", "/api/users/" + user), translated(globals.language, "user {} removed", user));
}

/// What the words of a command line are bound to; lives as long as the callbacks.
struct Words {
  std::string user, role = "staff", label = "cli";
};
using Given = std::shared_ptr<Words>;

/// A subcommand about one account.
CLI::App* about_user(CLI::App& parent, const Globals& globals, const Given& given, const char* verb, const char* help) {
  auto* sub = parent.add_subcommand(verb, std::string(translate(globals.language, help)));
  sub->add_option("user", given->user, std::string(translate(globals.language, msgid("name of the account"))))->required();
  return sub;
}

void add_account_commands(CLI::App& command, Globals& globals, const Runner& run, const Given& given) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  const auto about = [&](const char* verb, const char* help) { return about_user(command, globals, given, verb, help); };
  const auto does = [&](CLI::App* sub, auto what) {
    sub->callback([&globals, run, given, what] { run([&globals, given, what] { return what(globals, *given); }); });
  };
  does(command.add_subcommand("list", text("list the accounts")), [](const Globals& where, const Words&) { return list(where); });
  auto* adding = about("add", msgid("add an account; the password is asked for"));
  adding->add_option("--role", given->role, text("administrator, staff or device"))->capture_default_str();
  does(adding, [](const Globals& where, const Words& words) { return add(where, words.user, words.role); });
  does(about("passwd", msgid("change a password")),
       [](const Globals& where, const Words& words) { return set_password(where, words.user); });
  auto* role = about("role", msgid("change a role"));
  role->add_option("role", given->role, text("administrator, staff or device"))->required();
  does(role, [](const Globals& where, const Words& words) { return set_role(where, words.user, words.role); });
  does(about("disable", msgid("refuse an account's password and tokens from now on; its sessions end")),
       [](const Globals& where, const Words& words) { return set_enabled(where, words.user, false); });
  does(about("enable", msgid("take an account's password and tokens again")),
       [](const Globals& where, const Words& words) { return set_enabled(where, words.user, true); });
  does(about("remove", msgid("remove an account with its tokens; its sessions end")),
       [](const Globals& where, const Words& words) { return remove(where, words.user); });
}

void add_token_commands(CLI::App& command, Globals& globals, const Runner& run, const Given& given) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* token = command.add_subcommand("token", text("make an access token for a program; shown once"));
  token->add_option("user", given->user, text("name of the account"));
  token->add_option("--label", given->label, text("what it is for"))->capture_default_str();
  auto* revoke = about_user(*token, globals, given, "revoke", msgid("take tokens back, all of that label; open sessions go on"));
  revoke->add_option("--label", given->label, text("what it is for"))->capture_default_str();
  revoke->callback([&globals, run, given] {
    run([&globals, given] { return revoke_token(globals, given->user, given->label); });
  });
  token->callback([&globals, run, given, token] {
    if (!token->get_subcommands().empty()) return;
    if (given->user.empty()) throw CLI::RequiredError("user");
    run([&globals, given] { return create_token(globals, given->user, given->label); });
  });
}

}  // namespace

void add_user(CLI::App& app, Globals& globals, const Runner& run) {
  auto* command = app.add_subcommand("user", std::string(translate(globals.language, "manage accounts")));
  command->require_subcommand(1);
  const auto given = std::make_shared<Words>();
  add_account_commands(*command, globals, run, given);
  add_token_commands(*command, globals, run, given);
}

}  // namespace verbund::cli
