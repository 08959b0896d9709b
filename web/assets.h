#pragma once
/// The page's files (web/dist), embedded at build time. Immutable data without I/O; any thread.
#include <span>
#include <string_view>

namespace verbund::web {

struct Asset {
  std::string_view path;          ///< as requested, "/index.html"
  std::string_view content_type;  ///< with charset where it is text
  std::string_view etag;          ///< strong, with its quotes; of `plain`, so it stays the same in every encoding's reply
  std::string_view cache_control; ///< hashed file names may be kept for ever, the others are asked for again
  std::span<const unsigned char> body;   ///< gzip-compressed when `gzip`, else as it is
  std::span<const unsigned char> plain;  ///< never compressed: for clients that don't accept gzip
  bool gzip = false;
};

/// The asset of exactly this path; "/" means "/index.html". nullptr when there is none.
[[nodiscard]] const Asset* find_asset(std::string_view path);

/// All assets, ordered by path. There is always "/index.html".
[[nodiscard]] std::span<const Asset> all_assets();

}  // namespace verbund::web
