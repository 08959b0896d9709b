#pragma once
/// A journal that only grows: each line is JSON, signed by minisign's rules, and names the hash of the line before. Whatever is changed,
/// removed, put in or moved is found; lines cut off at the end are found by whoever knows how many there were (Head).
/// Format: docs/formats/backup-ledger.md. Any thread; appends are serialised by a lock file.
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/keys.h"
#include "platform/os/file.h"

namespace verbund::backup {

struct SignedLine {
  std::string payload;           ///< a JSON object, as it was given
  std::string text;              ///< the whole line, without newline
  std::string hash;              ///< SHA-256 of `text`: what the next one names
  bool by_trusted = false;       ///< signed by one of the trusted keys (otherwise by whom, nobody knows)
};
struct SignedLines {
  std::vector<SignedLine> lines;         ///< from the first up to what is wrong
  std::size_t good_bytes = 0;
  bool torn = false;                     ///< the last line has no end: a crash has cut it off
  std::optional<Error> damage;           ///< kDamaged, kForbidden: the first line that is not what was written
};

/// What happens to lines of keys that are not trusted.
enum class Strangers { kRefused, kMarked };
/// `beginning` says whose journal it is; the first line names its hash. `name` stands in errors. Pure.
SignedLines read_signed(std::string_view text, std::string_view beginning, const std::vector<PublicKey>& trusted, Strangers strangers, std::string_view name);
/// What the line behind `lines` names. Pure.
std::string hash_behind(const std::vector<SignedLine>& lines, std::string_view beginning);
/// `payload`: one JSON object without newlines. Pure.
std::string signed_line(std::string_view payload, std::string_view previous_hash, const SigningKey& key);

/// Waits while another process appends. Errors: kInUse after 10 s, kIo.
Result<os::FileLock> lock_journal(const std::filesystem::path& lock_file);

/// Moves a damaged file out of the way: NAME.damaged-1 (or the next free number); returns where it lies now. Errors: kIo.
Result<std::filesystem::path> set_aside(const std::filesystem::path& file);

/// Writes beside, syncs, renames; asks for no mode, which exFAT and FAT32 refuse. Errors: kIo, kDiskFull.
Status put_on_medium(const std::filesystem::path& path, std::string_view content);

}  // namespace verbund::backup
