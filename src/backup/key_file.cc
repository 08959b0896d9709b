#include "backup/key_file.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/messages.h"
#include "base/utf8.h"
#include "platform/os/descriptor.h"

namespace verbund::backup {

void need_sodium() {
  static const int ready = sodium_init();
  if (ready < 0) {
    std::fputs("verbund: libsodium found no source of random numbers\n", stderr);
    std::abort();
  }
}

Result<std::string> read_secret_file(const std::filesystem::path& path) {
  const os::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file && errno == ENOENT) return fail(ErrorCode::kNotFound, phrase("key {}: there is no such file", path.native()));
  struct stat status {};
  if (!file || ::fstat(file.number(), &status) != 0) return os::failed_call(phrase("read key {}", path.native()), errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::kDamaged, phrase("key {}: no file", path.native()));
  if ((status.st_mode & 077) != 0) {
    return fail(ErrorCode::kForbidden, phrase("key {}: other users may read it", path.native()),
                phrase("chmod 600 {}; if others had access to it, make a new key.", path.native()));
  }
  std::string text(kMaxKeyFileBytes + 1, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = os::uninterrupted([&] { return ::read(file.number(), text.data() + filled, text.size() - filled); });
    if (got < 0) return os::failed_call(phrase("read key {}", path.native()), errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled > kMaxKeyFileBytes) return fail(ErrorCode::kDamaged, phrase("key {}: longer than {} bytes", path.native(), kMaxKeyFileBytes));
  text.resize(filled);
  return text;
}

std::string one_line(std::string_view text) {
  constexpr std::size_t kMaxBytes = 200;
  std::string line(text.substr(0, valid_utf8_prefix(text.substr(0, kMaxBytes))));
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
  // Blanks that were control characters would be cut off by the next reader.
  line.erase(line.find_last_not_of(' ') + 1);
  line.erase(0, line.find_first_not_of(' '));
  return line;
}

}  // namespace verbund::backup
