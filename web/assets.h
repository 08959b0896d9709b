#pragma once
/// The page's files, built by npm at build time and carried in the binary. Immutable, any thread; lives for ever.
#include <span>
#include <string_view>

namespace verbund::web {

struct Asset {
  std::string_view path;  ///< "/index.html"
  std::string_view content_type;
  std::string_view etag;  ///< with quotes
  std::span<const unsigned char> body;
  bool gzip = false;      ///< body is compressed (Content-Encoding: gzip)
};
/// Null when there is no such file.
const Asset* find_asset(std::string_view path);
std::span<const Asset> all_assets();

}  // namespace verbund::web
