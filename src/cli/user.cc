/// verbund user add|passwd|role|list|remove|token: accounts, through the node's REST interface.
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
  return read_password(globals, "new password");
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
  if (error) return report(globals, Error{ErrorCode::kBadMessage, "read the list of users: " + error.message(), ""});
  for (const auto& user : root.at("users").as_array()) {
    const auto& last = user.at("last_login");
    rows.push_back({std::string(user.at("user").as_string()), shown_word(globals, user.at("role").as_string()),
                    local_time(user.at("created").as_string()), last.is_string() ? local_time(last.as_string()) : "–"});
  }
  print_table({text("USER"), text("ROLE"), text("CREATED"), text("LAST LOGIN")}, rows);
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

}  // namespace

void add_user(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("user", text("manage accounts"));
  command->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  auto value = std::make_shared<std::string>();
  const auto with_user = [&](const char* verb, const char* help) {
    auto* sub = command->add_subcommand(verb, text(help));
    sub->add_option("user", *name, text("name of the account"))->required();
    return sub;
  };
  command->add_subcommand("list", text("list the accounts"))->callback([&globals, run] { run([&globals] { return list(globals); }); });
  auto* adding = with_user("add", "add an account; the password is asked for");
  *value = "staff";
  adding->add_option("--role", *value, text("administrator, staff or device"))->capture_default_str();
  adding->callback([&globals, run, name, value] { run([&globals, name, value] { return add(globals, *name, *value); }); });
  with_user("passwd", "change a password")->callback([&globals, run, name] { run([&globals, name] { return set_password(globals, *name); }); });
  auto* role = with_user("role", "change a role");
  role->add_option("role", *value, text("administrator, staff or device"))->required();
  role->callback([&globals, run, name, value] {
    run([&globals, name, value] {
      return finish(globals,
                    rest_call(globals, "PUT", "/api/users/" + *name + "/role", json::serialize(json::object{{"role", *value}})),
                    translated(globals.language, "{} is {} now", *name, *value));
    });
  });
  with_user("remove", "remove an account with its tokens")->callback([&globals, run, name] {
    run([&globals, name] {
      return finish(globals, rest_call(globals, "DELETE", "/api/users/" + *name), translated(globals.language, "user {} removed", *name));
    });
  });
  auto* token = with_user("token", "make an access token for a program; shown once");
  auto label = std::make_shared<std::string>("cli");
  token->add_option("--label", *label, text("what it is for"))->capture_default_str();
  token->callback([&globals, run, name, label] { run([&globals, name, label] { return create_token(globals, *name, *label); }); });
}

}  // namespace verbund::cli
