#pragma once
/// Files that hold secrets. For this folder's units only; any thread.
#include <sodium.h>

#include <filesystem>
#include <string>

#include "base/messages.h"
#include "base/result.h"

namespace verbund::backup {

/// Once per process; ends it when the kernel gives no random numbers.
void need_sodium();

inline constexpr std::size_t kMaxKeyFileBytes = 16 * 1024;
/// Errors: kNotFound, kForbidden (others may read or write it), kTooLarge, kIo.
Result<std::string> read_secret_file(const std::filesystem::path& path);
/// The key in that file, as `Key::parse` reads it; its text is wiped. Errors: those of read_secret_file and of `parse`, which name the file.
template <typename Key>
Result<Key> load_key(const std::filesystem::path& path) {
  auto text = read_secret_file(path);
  if (!text) return pass(text);
  auto key = Key::parse(*text);
  sodium_memzero(text->data(), text->size());
  if (!key) return pass(key, verbatim(path.native()));
  return key;
}

/// One line for a comment: control characters become blanks, none at the ends, cut at 200 bytes.
std::string one_line(std::string_view text);

}  // namespace verbund::backup
