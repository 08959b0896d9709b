#pragma once
/// Files of devices: what the two sides say to each other about them (docs/protocol/devices.md, "Files"). Values; pure; any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::sync {

inline constexpr std::size_t kMaxFilePathBytes = 1'000;
inline constexpr std::size_t kFilePieceBytes = 1024UL * 1024;  ///< at most, of one call
inline constexpr std::size_t kFolderPageFiles = 1'000;

/// What a device knows of a folder's files.
struct FolderCursor {
  std::string shape;          ///< as the server named it; empty: nothing
  std::uint64_t version = 0;  ///< up to which it has heard
};

struct FileEntry {
  std::string path;  ///< below the subscription's folder, with '/'
  std::uint64_t bytes = 0;
  std::string hash;  ///< BLAKE2b-256, hex
  std::int64_t modified_ms = 0;
  friend bool operator==(const FileEntry&, const FileEntry&) = default;
};

/// Files that came, changed or went behind a cursor, oldest first.
struct FolderPage {
  FolderCursor cursor;            ///< behind this page
  bool whole = false;             ///< the device's cursor was none of this shape: this page is the first of all files
  bool more = false;              ///< another page follows
  std::vector<FileEntry> files;
  std::vector<std::string> gone;  ///< paths
};

/// To a file from a device: bytes that the server has, or where it lies.
struct FileTaken {
  std::uint64_t have = 0;
  std::string path;  ///< not empty: it is taken, and called so below the subscription's folder
};

std::string encode(const FolderCursor& message);
std::string encode(const FolderPage& message);
std::string encode(const FileEntry& message);
std::string encode(const FileTaken& message);
// Errors: kBadMessage (names the field; a path that leaves its folder, too), kTooLarge.
Result<FolderCursor> decode_folder_cursor(std::string_view text);
Result<FolderPage> decode_folder_page(std::string_view text);
Result<FileEntry> decode_file_entry(std::string_view text);
Result<FileTaken> decode_file_taken(std::string_view text);

/// 64 digits.
bool is_file_hash(std::string_view text);
/// Relative, no part empty, "." or "..", no control characters, UTF-8, at most kMaxFilePathBytes.
bool is_file_path(std::string_view path);
/// A regular expression of PostgreSQL and POSIX (extended) that holds for paths whose last part is like one of `names`, case of letters aside; empty: any.
std::string expression_of(const std::vector<std::string>& names);

}  // namespace verbund::sync
