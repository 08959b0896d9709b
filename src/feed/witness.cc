#include "feed/witness.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::feed {
namespace {

/// One line, always of this length: a later one covers it whole.
constexpr std::size_t kLineBytes = 128;
constexpr std::string_view kKind = "verbund-feed-1";

}  // namespace

std::optional<Cursor> Witness::read(const std::filesystem::path& path) {
  const auto text = os::read_file(path, kLineBytes);
  if (!text || text->size() != kLineBytes || text->back() != '\n') return std::nullopt;
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = text->find_first_of(" \n", at);
    if (end > at) words.push_back(text->substr(at, end - at));
    at = end + 1;
  }
  if (words.size() != 3 || words[0] != kKind) return std::nullopt;
  const auto csn = parse_u64(words[2]);
  return csn ? std::optional(Cursor{{words[1]}, {*csn}}) : std::nullopt;
}

Witness::~Witness() {
  if (file_ >= 0) ::close(file_);
}

Status Witness::note(const Cursor& cursor) {
  const auto failed = [&] { return fail(ErrorCode::kIo, phrase("write {}: {}", path_.string(), std::strerror(errno))); };
  if (file_ < 0) file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) return failed();
  std::string line = fmt::format("{} {} {}", kKind, cursor.history.value, cursor.csn.value);
  line.resize(kLineBytes - 1, ' ');
  line += '\n';
  if (::pwrite(file_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) return failed();
  return {};
}

}  // namespace verbund::feed
