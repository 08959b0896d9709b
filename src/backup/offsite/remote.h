#pragma once
/// A directory outside the house, through Debian's rclone as a child process. Nothing secret in its arguments, its environment or our
/// messages: user and password stand in rclone's own configuration file alone. Blocking; one thread each.
#include <functional>
#include <map>
#include <string>

#include "backup/config.h"
#include "backup/stream.h"

namespace verbund::backup {

class Remote {
 public:
  /// Errors: kNotFound (no rclone, no configuration file, no such section), kForbidden (others may read that file), kUnsupported (it is
  /// protected by a password).
  static Result<Remote> open(const OffSite& site, const std::filesystem::path& installation);

  // Names are relative to the configured directory. Errors of all: kNotReachable, kForbidden (password, rights), kDiskFull (full, quota),
  // kNotFound, kCancelled (by `progress`), kProgramFailed (rclone's words).

  /// Sizes of all files below a directory ("": all), by name relative to it; nothing when there is no such directory.
  Result<std::map<std::string, std::uint64_t>> sizes(const std::string& below, Progress& progress) const;
  /// `sent` is told how much of the file has gone. Overwrites. Returned: the remote has taken it, which proves nothing.
  Status put(const std::filesystem::path& file, const std::string& name, const std::function<void(std::uint64_t)>& sent, Progress& progress) const;
  /// The whole file, piece by piece, as the remote gives it now.
  Status get(const std::string& name, const std::function<Status(std::string_view)>& take, Progress& progress) const;
  /// A small one. Errors: kTooLarge.
  Result<std::string> text(const std::string& name, std::size_t max_bytes, Progress& progress) const;
  /// SHA-256 of what the remote gives; `moved` is told of each piece.
  Result<std::string> hash(const std::string& name, const std::function<void(std::uint64_t)>& moved, Progress& progress) const;
  Status remove(const std::string& name, Progress& progress) const;
  /// Signature, sums and manifest of all directories into `into`, as SetReader::open wants them.
  Status fetch_heads(const std::filesystem::path& into, Progress& progress) const;

  [[nodiscard]] const OffSite& site() const { return site_; }
  /// "bank (REMOTE:DIRECTORY)", for messages.
  [[nodiscard]] std::string shown() const;

 private:
  Remote(OffSite site, std::filesystem::path config) : site_(std::move(site)), config_(std::move(config)) {}
  [[nodiscard]] std::string at(const std::string& name) const;
  /// Runs rclone; hands on its standard output. `said_there`: what it has said of its failure in there; else standard error has it.
  Status run(std::vector<std::string> words, Phrase what, const std::function<Status(std::string_view)>& take, Progress& progress,
             const std::string* said_there = nullptr) const;

  OffSite site_;
  std::filesystem::path config_;
};

/// What rclone's last words mean. Pure.
ErrorCode meaning_of(std::string_view words, int exit_code);
/// How much a line of `--use-json-log --stats` says has gone. Pure.
std::optional<std::uint64_t> bytes_in_stats(std::string_view line);

}  // namespace verbund::backup
