/// verbund backup …: what its subcommands share.
#include "cli/backup.h"

#include <csignal>

#include <boost/json.hpp>

#include "backup/media/ledger.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

std::atomic<bool> interrupted{false};

std::string text_member(const std::string& body, const char* name) {
  boost::system::error_code error;
  const auto value = json::parse(body, error);
  const auto* object = error ? nullptr : value.if_object();
  const auto* member = object ? object->if_contains(name) : nullptr;
  return member && member->is_string() ? std::string(member->as_string()) : std::string();
}

}  // namespace

const std::atomic<bool>& interrupted_flag() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted.store(true); };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  return interrupted;
}

Result<OfficeAtHand> office_at_hand(const Globals& globals) {
  const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  auto installation = node::Installation::load(dir);
  if (!installation) return pass(installation);
  auto office = node::office_of(*installation);
  if (!office) return pass(office);
  auto log = os::open_log({.file = dir / "log" / "backup.log", .terminal = false});
  if (!log) return pass(log);
  return OfficeAtHand{std::move(*installation), std::move(*office), std::move(*log)};
}

backup::FeedGate::Held RestFeedGate::hold(Deadline deadline, seconds span) {
  if (!no_node_.empty()) return {false, {}, no_node_};
  const os::SystemClock clock;
  const auto wait = std::chrono::duration_cast<seconds>(deadline.left(clock));
  const auto body = json::serialize(json::object{{"wait_seconds", std::clamp<std::int64_t>(wait.count(), 1, 120)}, {"hold_seconds", span.count()}});
  auto answer = rest_call(globals_, "POST", "/api/feed/hold", body, {}, wait + seconds{10});
  if (!answer) return {false, {}, answer.error().message};
  return {true, text_member(*answer, "lsn"), {}};
}

bool RestFeedGate::release() {
  auto answer = rest_call(globals_, "POST", "/api/feed/release", "{}");
  return answer && answer->find("\"held\":true") != std::string::npos;
}

std::optional<int> settle_interrupted(const Globals& globals, const fs::path& directory) {
  auto settled = node::settle_restore(directory, os::SystemClock());
  if (!settled) return report(globals, settled.error());
  for (const auto& what : *settled) fmt::print(stderr, "{}\n", said(globals.language, what));
  return std::nullopt;
}

Result<std::optional<backup::RecipientKey>> key_of(const std::string& file) {
  if (file.empty()) return std::optional<backup::RecipientKey>();
  auto key = backup::RecipientKey::load(file);
  if (!key) return pass(key);
  return std::optional(std::move(*key));
}

Result<fs::path> find_set(const backup::Office& office, const std::string& target, const std::string& name) {
  if (name.find('/') != std::string::npos) return fs::absolute(name).lexically_normal();
  auto where = backup::check_target(office, target);
  if (!where) return pass(where);
  auto trusted = backup::trusted_keys(office.directory);
  if (!trusted) return pass(trusted);
  auto found = backup::find_sets(*where, *trusted);
  if (!found) return pass(found);
  if (name == "newest" && !found->sets.empty()) return found->sets.back().directory;
  const auto number = parse_u64(name);
  for (const auto& set : found->sets) {
    if (set.manifest.id == name || (number && set.manifest.sequence == *number)) return set.directory;
  }
  // A damaged one is to be named, too.
  if (std::error_code error; !name.empty() && fs::is_directory(*where / name, error)) return *where / name;
  return fail(ErrorCode::kNotFound, phrase("backup: there is no set {} in {}", name, where->string()), phrase("verbund backup list"));
}

Status enter_fact(const backup::Office& office, backup::Fact fact) {
  auto trusted = backup::trusted_keys(office.directory);
  if (!trusted) return pass(trusted);
  auto key = backup::signing_key(office.directory);
  if (!key) return pass(key);
  auto ledger = backup::Ledger::open(office.directory, *trusted);
  if (!ledger) return pass(ledger);
  return ledger->enter(std::move(fact), os::local_time(os::SystemClock().wall()), *key);
}

Result<backup::PublicKey> signer_of(const Globals& globals, const fs::path& set, const std::string& signer, bool yes) {
  if (!signer.empty()) {
    std::string text = signer;
    if (std::error_code error; fs::exists(signer, error)) {
      auto read = os::read_file(signer, 4096);
      if (!read) return pass(read);
      text = std::move(*read);
    }
    return backup::PublicKey::parse(text);
  }
  auto inside = backup::key_inside(set);
  if (!inside || yes) return inside;
  if (agreed(translated(globals.language, "The set says to be signed by key {}. Does the recovery sheet say so, too? [y/N]", inside->id_text()))) return inside;
  return fail(ErrorCode::kForbidden, phrase("nobody has said whose set {} is; it says key {}", set.string(), inside->id_text()),
              phrase("--signer KEY names the key of the recovery sheet; --yes believes the set."));
}

void add_backup(CLI::App& app, Globals& globals, const Runner& run) {
  auto* command = app.add_subcommand("backup", std::string(translate(globals.language, "save the whole office, prove it, restore it")));
  command->require_subcommand(1);
  add_backup_run(*command, globals, run);
  add_backup_night(*command, globals, run);
  add_backup_check(*command, globals, run);
  add_backup_sets(*command, globals, run);
  add_backup_restore(*command, globals, run);
  add_backup_media(*command, globals, run);
  add_backup_duty(*command, globals, run);
  add_backup_schedule(*command, globals, run);
  add_backup_report(*command, globals, run);
  add_backup_key(*command, globals, run);
  add_backup_offsite(*command, globals, run);
  add_backup_drill(*command, globals, run);
}

}  // namespace verbund::cli
