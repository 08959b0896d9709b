#include "backup/services.h"

#include <boost/json.hpp>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/process.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;

constexpr seconds kLook{20};
constexpr std::size_t kMaxShownBytes = 300;
constexpr std::size_t kMaxVersionBytes = 200;

json::array to_json(const std::vector<std::string>& words) {
  json::array array;
  for (const auto& word : words) array.emplace_back(word);
  return array;
}

std::string line_of(const Application& application) {
  return json::serialize(json::object{{"application", application.name}, {"start", to_json(application.start)},
                                      {"user", application.user}, {"start_seconds", application.start_limit.count()}});
}

std::optional<Application> application_of(std::string_view line) {
  boost::system::error_code error;
  const auto value = json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  if (!object) return std::nullopt;
  Application application;
  const auto* name = object->if_contains("application");
  const auto* start = object->if_contains("start");
  const auto* user = object->if_contains("user");
  const auto* limit = object->if_contains("start_seconds");
  if (!name || !name->is_string() || !start || !start->is_array() || !user || !user->is_string() || !limit || !limit->is_int64()) return std::nullopt;
  application.name = std::string(name->as_string());
  application.user = std::string(user->as_string());
  application.start_limit = seconds{limit->as_int64()};
  for (const auto& word : start->as_array()) {
    if (!word.is_string()) return std::nullopt;
    application.start.emplace_back(word.as_string());
  }
  return application;
}

/// The first line of what a command said, for a message.
std::string first_line(std::string_view text) {
  text = text.substr(0, std::min(text.find_first_of("\r\n"), std::min(text.size(), kMaxShownBytes)));
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

Result<os::Outcome> run_command(const Application& application, const std::vector<std::string>& argv, seconds limit, const Clock& clock) {
  os::Command command;
  command.argv = argv;
  if (!application.user.empty()) {
    auto user = os::find_user(application.user);
    if (!user) return pass(user);
    if (os::running_as_root()) command.as_user = *user;
  }
  return os::run(command, Deadline::in(clock, limit), clock);
}

}  // namespace

Status Services::run(const Application& application, const std::vector<std::string>& argv, seconds limit, std::string_view what) {
  auto outcome = run_command(application, argv, limit, clock_);
  const auto operation = what == "stop" ? phrase("stop {}", application.name) : phrase("start {}", application.name);
  if (!outcome) return pass(outcome, operation);
  if (outcome->exit_code == 0) return {};
  const auto said = first_line(outcome->errors.empty() ? outcome->output : outcome->errors);
  return fail(ErrorCode::kProgramFailed, said.empty() ? phrase("{}: {} ended with {}", operation, argv.front(), outcome->exit_code)
                                                     : phrase("{}: {} ended with {}: {}", operation, argv.front(), outcome->exit_code, said));
}

Result<bool> Services::running(const Application& application) {
  if (application.running.empty()) return true;
  auto outcome = run_command(application, application.running, kLook, clock_);
  if (!outcome) return pass(outcome, phrase("look whether {} runs", application.name));
  return outcome->exit_code == 0;
}

Status Services::note_stop(const Application& application) {
  if (auto made = os::make_directories(file_.parent_path(), 0700); !made) return made;
  auto file = os::AppendFile::open(file_);
  if (!file) return pass(file);
  return file->append(line_of(application));
}

Status Services::stop(const Application& application) {
  log_.info("backup.service_stop", {{"application", application.name}});
  return run(application, application.stop, application.stop_limit, "stop");
}

Status Services::start(const Application& application) {
  auto started = run(application, application.start, application.start_limit, "start");
  if (!started) {
    log_.error("backup.service_not_started", {{"application", application.name}, {"error", started.error().message}});
    return started;
  }
  log_.info("backup.service_started", {{"application", application.name}});
  return strike(application.name);
}

Result<std::vector<Application>> Services::read() const {
  auto text = os::read_file(file_, 1024 * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::vector<Application>{};
  if (!text) return pass(text);
  std::vector<Application> all;
  std::string_view rest = *text;
  // A last line without its end was never acknowledged: nothing was stopped for it.
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    auto application = application_of(rest.substr(0, end));
    if (!application) {
      return fail(ErrorCode::kDamaged, phrase("read {}: a line is damaged", file_.string()),
                  phrase("Start the services it names by hand, then remove the file."));
    }
    std::erase_if(all, [&](const Application& other) { return other.name == application->name; });
    all.push_back(std::move(*application));
    rest.remove_prefix(end + 1);
  }
  return all;
}

Status Services::strike(const std::string& name) {
  auto all = read();
  if (!all) return pass(all);
  std::string text;
  for (const auto& application : *all) {
    if (application.name != name) text += line_of(application) + "\n";
  }
  return os::write_file_atomically(file_, text, 0600);
}

Result<std::vector<Services::Left>> Services::recover() {
  auto all = read();
  if (!all) return pass(all);
  std::vector<Left> left;
  for (auto application = all->rbegin(); application != all->rend(); ++application) {
    if (auto started = start(*application); !started) left.push_back({*application, phrase_of(started.error())});
  }
  return left;
}

Result<std::vector<std::string>> Services::stopped() const {
  auto all = read();
  if (!all) return pass(all);
  std::vector<std::string> names;
  for (const auto& application : *all) names.push_back(application.name);
  return names;
}

Result<std::string> program_version(const Application& application, const Clock& clock) {
  std::string text;
  if (!application.version_command.empty()) {
    auto outcome = run_command(application, application.version_command, kLook, clock);
    if (!outcome) return pass(outcome, phrase("ask {} for its version", application.name));
    if (outcome->exit_code != 0) {
      return fail(ErrorCode::kProgramFailed, phrase("ask {} for its version: {} ended with {}", application.name, application.version_command.front(), outcome->exit_code));
    }
    text = std::move(outcome->output);
  } else if (!application.version_file.empty()) {
    auto read = os::read_file(application.version_file, 1024 * 1024);
    if (!read) return pass(read, phrase("ask {} for its version", application.name));
    text = std::move(*read);
  }
  text = first_line(text).substr(0, kMaxVersionBytes);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace verbund::backup
