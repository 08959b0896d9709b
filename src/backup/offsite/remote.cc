#include "backup/offsite/remote.h"

#include <sys/stat.h>

#include <cstdlib>

#include <boost/json.hpp>

#include "backup/digest.h"
#include "base/messages.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"
#include "platform/os/piped_child.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMaxListingBytes = 64 * 1024 * 1024;
constexpr std::size_t kMaxConfigBytes = 1024 * 1024;
/// rclone says something every half a second while it sends; a silent one hangs.
constexpr seconds kLongestSilence{300};

/// What rclone needs to run, and nothing that changes what it does: no RCLONE_….
std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> kept;
  for (const char* name : {"PATH", "HOME", "TMPDIR", "TZ", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                           "http_proxy", "https_proxy", "no_proxy"}) {
    if (const char* value = std::getenv(name)) kept[name] = value;
  }
  kept["LC_ALL"] = "C.UTF-8";
  return kept;
}

/// The last line is the cause in short: "Failed to copyto: CAUSE".
std::string last_words(std::string_view errors) {
  while (errors.ends_with('\n')) errors.remove_suffix(1);
  if (const auto line = errors.rfind('\n'); line != std::string_view::npos) errors.remove_prefix(line + 1);
  if (const auto failed = errors.find("Failed to "); failed != std::string_view::npos) {
    errors.remove_prefix(failed);
    if (const auto colon = errors.find(": "); colon != std::string_view::npos) errors.remove_prefix(colon + 2);
  }
  if (const auto last = errors.find("last error was: "); last != std::string_view::npos) errors.remove_prefix(last + std::string_view("last error was: ").size());
  return std::string(errors.substr(0, 500));
}

Phrase advice(ErrorCode code, const OffSite& site) {
  switch (code) {
    case ErrorCode::kNotReachable: return phrase("Is the line up, and the server running? What has arrived is not sent again: verbund backup offsite copy");
    case ErrorCode::kForbidden: return phrase("User, password and rights of the account stand in section [{}] of rclone.conf: rclone config", site.remote);
    case ErrorCode::kDiskFull: return phrase("The account is full. Ask its provider for more space, or remove old sets with an account that may.");
    default: return {};
  }
}

Status check_config(const fs::path& file, const OffSite& site) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return fail(ErrorCode::kNotFound, phrase("off-site {}: there is no {}", site.name, file.native()),
                phrase("rclone --config {} config   makes it; its mode has to be 0600", file.native()));
  }
  if ((status.st_mode & 077) != 0) {
    return fail(ErrorCode::kForbidden, phrase("off-site {}: others may read {}", site.name, file.native()), phrase("chmod 600 {}", file.native()));
  }
  auto text = os::read_file(file, kMaxConfigBytes);
  if (!text) return pass(text);
  if (text->find("RCLONE_ENCRYPT_V0:") != std::string::npos) {
    return fail(ErrorCode::kUnsupported, phrase("off-site {}: {} is protected by a password, which nobody types at night", site.name, file.native()),
                phrase("rclone --config {} config   removes it (\"Set configuration password\"); the file's mode 0600 protects it", file.native()));
  }
  if (("\n" + *text).find("\n[" + site.remote + "]") != std::string::npos) return {};
  return fail(ErrorCode::kNotFound, phrase("off-site {}: {} has no section [{}]", site.name, file.native(), site.remote),
              phrase("rclone --config {} config", file.native()));
}

}  // namespace

ErrorCode meaning_of(std::string_view words, int exit_code) {
  const auto any = [&](std::initializer_list<std::string_view> list) {
    return std::ranges::any_of(list, [&](std::string_view each) { return words.find(each) != std::string_view::npos; });
  };
  if (any({"no space left", "quota", "Quota", "507 ", "Insufficient Storage", "disk full", "EntityTooLarge"})) return ErrorCode::kDiskFull;
  if (any({"401 ", "403 ", "405 ", "Unauthorized", "Forbidden", "AccessDenied", "Access Denied", "InvalidAccessKeyId", "SignatureDoesNotMatch",
           "unable to authenticate", "permission denied", "Permission denied", "not permitted", "key mismatch", "knownhosts"})) {
    return ErrorCode::kForbidden;
  }
  if (any({"connection refused", "no such host", "network is unreachable", "no route to host", "i/o timeout", "connection reset", "broken pipe",
           "EOF", "connection lost", "couldn't connect", "Temporary failure", "502 ", "503 ", "504 ", "deadline exceeded", "handshake failed",
           "server misbehaving", "use of closed network connection"})) {
    return ErrorCode::kNotReachable;
  }
  // A WebDAV server that lets nobody write says 409 (RFC 4918: a parent is missing) to every directory that is to be made.
  if (any({"mkParentDir failed", "Mkdir failed"}) && any({"409 "})) return ErrorCode::kForbidden;
  // Exit codes 3 and 4: rclone's "directory not found" and "file not found"; 5: a temporary error, of which more tries may help.
  if (exit_code == 3 || exit_code == 4 || any({"not found", "404 "})) return ErrorCode::kNotFound;
  return exit_code == 5 ? ErrorCode::kNotReachable : ErrorCode::kProgramFailed;
}

std::optional<std::uint64_t> bytes_in_stats(std::string_view line) {
  boost::system::error_code error;
  const auto value = json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  const auto* stats = object ? object->if_contains("stats") : nullptr;
  const auto* bytes = stats && stats->is_object() ? stats->get_object().if_contains("bytes") : nullptr;
  if (!bytes || !bytes->is_int64() || bytes->get_int64() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(bytes->get_int64());
}

Result<Remote> Remote::open(const OffSite& site, const fs::path& installation) {
  const auto config = site.rclone_config.empty() ? installation / "secrets" / "rclone.conf" : site.rclone_config;
  if (auto checked = check_config(config, site); !checked) return pass(checked);
  return Remote(site, config);
}

std::string Remote::shown() const { return fmt::format("{} ({}:{})", site_.name, site_.remote, site_.directory); }

std::string Remote::at(const std::string& name) const {
  return fmt::format("{}:{}{}{}", site_.remote, site_.directory, name.empty() ? "" : "/", name);
}

Status Remote::run(std::vector<std::string> words, Phrase what, const std::function<Status(std::string_view)>& take, Progress& progress,
                   const std::string* said_there) const {
  os::Command command;
  command.argv = {"rclone", "--config", config_.string(), "--ask-password=false", "--retries", "1", "--low-level-retries", "3", "--contimeout", "15s",
                  "--timeout", "60s", "--log-level", "NOTICE"};
  if (site_.bytes_per_second > 0) command.argv.insert(command.argv.end(), {"--bwlimit", fmt::format("{}B", site_.bytes_per_second)});
  std::ranges::move(words, std::back_inserter(command.argv));
  command.inherit_environment = false;
  command.environment = environment();
  const os::SystemClock clock;
  auto child = os::PipedChild::start(command, {.output = true, .longest_silence = kLongestSilence, .cancelled = [&progress] { return progress.cancelled(); }}, clock);
  if (!child && child.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, phrase("off-site {}: there is no rclone on this machine", site_.name), phrase("apt-get install rclone"));
  }
  if (!child) return pass(child);
  std::vector<char> buffer(256 * 1024);
  while (true) {
    auto got = child->read(buffer);
    if (!got) return pass(got, what);
    if (*got == 0) break;
    if (auto taken = take({buffer.data(), *got}); !taken) return taken;
  }
  auto outcome = child->wait();
  if (!outcome) return pass(outcome, what);
  if (outcome->exit_code == 0) return {};
  const auto said = last_words(said_there != nullptr && !said_there->empty() ? *said_there : outcome->errors);
  const auto code = meaning_of(said, outcome->exit_code);
  return fail(code, phrase("off-site {}: {}: {}", shown(), what, said.empty() ? fmt::format("rclone: exit code {}", outcome->exit_code) : said), advice(code, site_));
}

Result<std::map<std::string, std::uint64_t>> Remote::sizes(const std::string& below, Progress& progress) const {
  std::string listing;
  auto listed = run({"lsjson", "--recursive", "--files-only", "--no-modtime", "--no-mimetype", "--", at(below)}, phrase("list {}", below),
                    [&](std::string_view piece) -> Status {
                      listing += piece;
                      if (listing.size() <= kMaxListingBytes) return {};
                      return fail(ErrorCode::kTooLarge, phrase("off-site {}: more files than can be listed", shown()));
                    }, progress);
  std::map<std::string, std::uint64_t> sizes;
  if (!listed && listed.error().code == ErrorCode::kNotFound) return sizes;
  if (!listed) return pass(listed);
  boost::system::error_code error;
  const auto value = json::parse(listing, error);
  const auto* files = error ? nullptr : value.if_array();
  if (!files) return fail(ErrorCode::kProgramFailed, phrase("off-site {}: rclone's list is not understood", shown()));
  for (const auto& file : *files) {
    const auto* object = file.if_object();
    const auto* path = object ? object->if_contains("Path") : nullptr;
    const auto* size = object ? object->if_contains("Size") : nullptr;
    if (!path || !path->is_string() || !size || !size->is_int64()) continue;
    sizes[std::string(path->get_string())] = static_cast<std::uint64_t>(std::max<std::int64_t>(size->get_int64(), 0));
  }
  return sizes;
}

Status Remote::put(const fs::path& file, const std::string& name, const std::function<void(std::uint64_t)>& sent, Progress& progress) const {
  // Its log, with what went wrong, comes the same way as the figures.
  std::string line, said;
  auto done = run({"copyto", "--no-check-dest", "--log-file", "/dev/stdout", "--use-json-log", "--stats", "500ms", "--stats-log-level", "NOTICE", "--", file.string(), at(name)},
             phrase("send {}", name),
             [&](std::string_view piece) -> Status {
               for (const char c : piece) {
                 if (c != '\n') {
                   line += c;
                   continue;
                 }
                 if (const auto bytes = bytes_in_stats(line)) sent(*bytes);
                 if (!line.starts_with('{') && line.find("Failed to ") != std::string::npos) said = line;
                 line.clear();
               }
               return {};
             },
             progress, &said);
  // Some servers say 404 to whoever may only read.
  if (!done && done.error().code == ErrorCode::kNotFound) done.error().code = ErrorCode::kForbidden;
  return done;
}

Status Remote::get(const std::string& name, const std::function<Status(std::string_view)>& take, Progress& progress) const {
  return run({"cat", "--", at(name)}, phrase("read back {}", name), take, progress);
}

Result<std::string> Remote::text(const std::string& name, std::size_t max_bytes, Progress& progress) const {
  std::string text;
  auto read = get(name, [&](std::string_view piece) -> Status {
    text += piece;
    if (text.size() <= max_bytes) return {};
    return fail(ErrorCode::kTooLarge, phrase("off-site {}: {} is longer than {} bytes", shown(), name, max_bytes));
  }, progress);
  if (!read) return pass(read);
  return text;
}

Result<std::string> Remote::hash(const std::string& name, const std::function<void(std::uint64_t)>& moved, Progress& progress) const {
  Sha256 hash;
  auto read = get(name, [&](std::string_view piece) -> Status {
    hash.update(piece);
    moved(piece.size());
    return {};
  }, progress);
  if (!read) return pass(read);
  return hash.hex();
}

Status Remote::remove(const std::string& name, Progress& progress) const {
  return run({"deletefile", "--", at(name)}, phrase("remove {}", name), [](std::string_view) -> Status { return {}; }, progress);
}

Status Remote::fetch_heads(const fs::path& into, Progress& progress) const {
  auto fetched = run({"copy", "--include", "/*/{SHA256SUMS,SHA256SUMS.minisig,manifest.json}", "--max-size", "64M", "--", at(""), into.string()},
                     phrase("read the list of sets"), [](std::string_view) -> Status { return {}; }, progress);
  if (!fetched && fetched.error().code == ErrorCode::kNotFound) return {};  // nothing was ever sent there
  return fetched;
}

}  // namespace verbund::backup
