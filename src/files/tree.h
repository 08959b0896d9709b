#pragma once
/// A folder as a list, read without leaving it: names are checked, symbolic links and special files are told and never followed.
/// Any thread; blocks.
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/os/descriptor.h"

namespace verbund::files {

/// More than this in one folder is refused.
inline constexpr std::size_t kMaxEntries = 2'000'000;

struct Entry {
  std::string path;               ///< below the root, with '/', UTF-8
  bool directory = false;
  std::uint64_t bytes = 0;        ///< 0 of a directory
  std::int64_t modified_ns = 0;   ///< Unix epoch
  std::int64_t changed_ns = 0;    ///< of the inode: another one after any change of the content, whatever the program says of `modified`
  unsigned mode = 0;              ///< rwxrwxrwx
  friend bool operator==(const Entry&, const Entry&) = default;
};

struct Listing {
  std::vector<Entry> entries;         ///< by path: a directory comes before what is in it
  std::vector<std::string> skipped;   ///< "PATH: why", the first hundred
  std::uint64_t skipped_total = 0;    ///< links, special files, names that are no UTF-8, what can't be read
};

/// What lies in kOwnFolder at the top is not among it.
/// Errors: kNotFound (no such folder, or none at all), kTooLarge, kIo, kCancelled (by `stop`).
Result<Listing> list_tree(const std::filesystem::path& root, const std::stop_token& stop = {});

/// At the top of a folder: what we keep beside its files.
inline constexpr std::string_view kOwnFolder = ".verbund";

/// Whether a path from elsewhere stays below a root: relative, no "..", no empty part, no NUL, UTF-8. Errors: kBadMessage.
Status check_path(std::string_view path);

/// The directory that holds `path`, reached without following any link; `path` is checked. Errors: kNotFound, kIo, kBadMessage.
Result<os::Descriptor> open_parent(const std::filesystem::path& root, std::string_view path);
/// The last part.
std::string leaf_of(std::string_view path);

/// What tells this folder from all others, wherever it is mounted: made with the first call, in its kOwnFolder. Empty: it has none, and can't be given one.
std::string mark_of(const std::filesystem::path& root);

/// Makes the folders above `path` that are missing, without following any link. Errors: kNotFound (no such root), kAlreadyExists (a file is in the way), kIo, kBadMessage.
Status make_parents(const std::filesystem::path& root, std::string_view path);

/// One file as list_tree would say it. Errors: kNotFound (also: a link, a special file), kIo, kBadMessage.
Result<Entry> look_at(const std::filesystem::path& root, const std::string& path);
/// Of the file's content, if it is still as listed: BLAKE2b-256, hex. Errors: those of read_piece; kCancelled (by `stop`).
Result<std::string> hash_of(const std::filesystem::path& root, const Entry& listed, const std::stop_token& stop = {});

/// At most `max` bytes of the file from `offset` on, if it is still as listed; empty behind its end. Errors: kNotFound (also: it has changed), kIo, kBadMessage.
Result<std::string> read_piece(const std::filesystem::path& root, const Entry& listed, std::uint64_t offset, std::size_t max);

}  // namespace verbund::files
