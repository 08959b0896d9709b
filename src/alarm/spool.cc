#include "alarm/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include <boost/json.hpp>

#include "alarm/phrase_json.h"
#include "base/messages.h"
#include "platform/os/descriptor.h"
#include "platform/os/file.h"

namespace verbund::alarm {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMaxFileBytes = 40 * 1024 * 1024;  // base64 of mail::kMaxMailBytes
constexpr seconds kShortest{60}, kLongest{3600};
/// From then on an undelivered mail is a state.
constexpr std::chrono::hours kLate{1};

Result<std::vector<fs::path>> files_in(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".mail") found.push_back(at->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) return os::failed_call(phrase("read directory {}", directory.native()), error.value());
  std::ranges::sort(found);
  return found;
}

/// FNV-1a of what makes it this mail to this person.
std::string name_of(const Waiting& waiting) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : waiting.message_id + "\n" + waiting.to) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return fmt::format("{:016x}", hash);
}

Status remove_for_good(const fs::path& file) {
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) return os::failed_call(phrase("remove {}", file.native()), errno);
  const os::Descriptor directory(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.number()) != 0) return os::failed_call(phrase("sync directory {}", file.parent_path().native()), errno);
  return {};
}

}  // namespace

std::string file_of(const Waiting& waiting) {
  const json::object head{{"to", waiting.to}, {"message_id", waiting.message_id}, {"written", to_iso8601(waiting.written)}, {"next", to_iso8601(waiting.next)},
                          {"attempts", waiting.attempts}, {"error", json_of(waiting.error)}, {"refused", waiting.refused}};
  return json::serialize(head) + "\n" + waiting.text;
}

std::optional<Waiting> waiting_of(std::string_view file) {
  const auto end = file.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  boost::system::error_code bad;
  const auto value = json::parse(file.substr(0, end), bad);
  const auto* head = bad ? nullptr : value.if_object();
  if (head == nullptr) return std::nullopt;
  const auto text = [&](const char* name) {
    const auto* member = head->if_contains(name);
    return member && member->is_string() ? std::string(member->as_string()) : std::string();
  };
  const auto written = from_iso8601(text("written")), next = from_iso8601(text("next"));
  const auto* attempts = head->if_contains("attempts");
  const auto* refused = head->if_contains("refused");
  const auto* error = head->if_contains("error");
  if (!written || !next || text("to").empty() || !attempts || !attempts->is_int64() || !refused || !refused->is_bool() || !error) return std::nullopt;
  Waiting waiting{text("to"), text("message_id"), *written, *next, static_cast<int>(std::clamp<std::int64_t>(attempts->as_int64(), 0, 1'000'000)), {}, refused->as_bool(), std::string(file.substr(end + 1))};
  if (auto phrase = phrase_of_json(*error)) waiting.error = std::move(*phrase);
  return waiting;
}

seconds pause_after(int attempts) {
  seconds pause = kShortest;
  for (int i = 1; i < attempts && pause < kLongest; ++i) pause *= 2;
  return std::min(pause, kLongest);
}

struct Spool::Pass {
  const std::function<Status(const Waiting&)>& send;
  WallTime now;
  Log& log;
  SpoolState state;
  int unreachable = 0;  ///< in a row
};

Result<std::vector<fs::path>> Spool::files() const { return files_in(directory_ / "spool"); }

Status Spool::put(const Waiting& waiting) const {
  auto there = files();
  if (!there) return pass(there);
  if (there->size() >= kMaxWaiting) return fail(ErrorCode::kNotDelivered, phrase("mail: {} mails wait in {} already", there->size(), (directory_ / "spool").native()));
  // Named by time, so that the oldest comes first. What follows tells a mail that waits already, because whoever put it was killed before he
  // could note that he had.
  const auto of_its_own = "-" + name_of(waiting) + ".mail";
  if (std::ranges::any_of(*there, [&](const fs::path& file) { return file.native().ends_with(of_its_own); })) return {};
  const auto name = to_iso8601(waiting.written) + of_its_own;
  return os::write_file_atomically(directory_ / "spool" / name, file_of(waiting), 0600);
}

Result<std::optional<SpoolState>> Spool::deliver(const std::function<Status(const Waiting&)>& send, const Clock& clock, Log& log) const {
  auto lock = os::FileLock::acquire(directory_ / "deliver.lock", fmt::format("delivery, pid {}", ::getpid()));
  if (!lock && lock.error().code == ErrorCode::kInUse) return std::nullopt;
  if (!lock) return pass(lock);
  auto there = files();
  if (!there) return pass(there);
  Pass one{send, clock.wall(), log, {}, 0};
  for (const auto& file : *there) {
    if (auto done = attempt(file, one); !done) return pass(done);
  }
  auto given_up = files_in(directory_ / "undelivered");
  if (!given_up) return pass(given_up);
  one.state.given_up = static_cast<int>(given_up->size());
  return std::optional(std::move(one.state));
}

Status Spool::attempt(const fs::path& file, Pass& one) const {
  auto content = os::read_file(file, kMaxFileBytes);
  if (!content) return pass(content);
  auto waiting = waiting_of(*content);
  if (!waiting) {
    one.log.error("mail.damaged", {{"file", file.filename().native()}});
    std::error_code error;
    fs::rename(file, directory_ / "undelivered" / file.filename(), error);
    return error ? os::failed_call(phrase("put {} aside", file.native()), error.value()) : Status{};
  }
  // A time further away than the longest pause was set when the clock stood elsewhere.
  const bool due = waiting->next <= one.now || waiting->next - one.now > kLongest;
  if (!due || one.unreachable >= kGiveUpPassAfter) return settle(file, std::move(*waiting), {}, one);
  if (auto sent = one.send(*waiting); !sent) {
    one.unreachable = sent.error().code == ErrorCode::kNotReachable ? one.unreachable + 1 : 0;
    return settle(file, std::move(*waiting), sent.error(), one);
  }
  one.unreachable = 0;
  one.log.info("mail.delivered", {{"message_id", waiting->message_id}, {"attempts", waiting->attempts + 1}});
  return remove_for_good(file);
}

/// It stays: noted why, and when it is tried next. An error without a message: it was not tried.
Status Spool::settle(const fs::path& file, Waiting waiting, const Error& error, Pass& one) const {
  if (!error.message.empty()) {
    ++waiting.attempts;
    waiting.next = one.now + pause_after(waiting.attempts);
    waiting.error = phrase_of(error);
    waiting.refused = error.code != ErrorCode::kNotReachable;
    one.log.warning("mail.undelivered", {{"message_id", waiting.message_id}, {"attempts", waiting.attempts}, {"error", error.message}});
    if (one.now - waiting.written >= kTriedFor) {
      if (auto moved = os::write_file_atomically(directory_ / "undelivered" / file.filename(), file_of(waiting), 0600); !moved) return moved;
      return remove_for_good(file);
    }
    if (auto noted = os::write_file_atomically(file, file_of(waiting), 0600); !noted) return noted;
  }
  ++one.state.waiting;
  const bool late = waiting.attempts > 0 && (waiting.refused || one.now - waiting.written >= kLate);
  if (late && one.state.late++ == 0) {
    one.state.oldest = waiting.written;
    one.state.error = waiting.error;
  }
  return {};
}

}  // namespace verbund::alarm
