#include "backup/set_files.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/digest.h"
#include "base/messages.h"
#include "platform/os/descriptor.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kReadBytes = 1024 * 1024;

os::Descriptor open_part(const std::filesystem::path& path) {
  // Non-blocking: a pipe that somebody laid there must not hold us up.
  os::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file) ::posix_fadvise(file.number(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

bool regular(const os::Descriptor& file) {
  struct stat status {};
  return ::fstat(file.number(), &status) == 0 && S_ISREG(status.st_mode);
}

class JoinedSource final : public Source {
 public:
  JoinedSource(std::filesystem::path directory, std::vector<std::string> parts)
      : directory_(std::move(directory)), parts_(std::move(parts)) {}

  Result<std::size_t> read(std::span<char> into) override {
    while (!into.empty()) {
      if (!file_) {
        if (next_ == parts_.size()) return 0;
        if (auto opened = open_next(); !opened) return pass(opened);
      }
      const ssize_t got = os::uninterrupted([&] { return ::read(file_.number(), into.data(), into.size()); });
      if (got < 0) return os::failed_call(phrase("read {}", parts_[next_ - 1]), errno);
      if (got > 0) return static_cast<std::size_t>(got);
      file_.close();
    }
    return 0;
  }

 private:
  Status open_next() {
    const std::string& name = parts_[next_++];
    file_ = open_part(directory_ / name);
    if (!file_ && errno == ENOENT) return fail(ErrorCode::kDamaged, phrase("{}: this file is missing", name));
    if (!file_) return os::failed_call(phrase("read {}", name), errno);
    if (!regular(file_)) return fail(ErrorCode::kDamaged, phrase("{}: no file", name));
    return {};
  }

  const std::filesystem::path directory_;
  const std::vector<std::string> parts_;
  std::size_t next_ = 0;
  os::Descriptor file_;
};

class CheckedSource final : public Source {
 public:
  CheckedSource(std::unique_ptr<Source> from, const Member& member)
      : from_(std::move(from)), name_(member.name), bytes_(member.plain_bytes), expected_(member.plain_sha256) {}

  Result<std::size_t> read(std::span<char> into) override {
    if (ended_ || into.empty()) return 0;
    auto got = from_->read(into);
    if (!got) return got;
    hash_.update({into.data(), *got});
    given_ += *got;
    ended_ = *got == 0;
    if (!ended_) return got;
    if (given_ == bytes_ && hash_.hex() == expected_) return 0;
    return fail(ErrorCode::kDamaged, phrase("{}: its contents are not those that were saved", name_));
  }

 private:
  std::unique_ptr<Source> from_;
  const std::string name_;
  const std::uint64_t bytes_;
  const std::string expected_;
  Sha256 hash_;
  std::uint64_t given_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Source> make_joined_source(std::filesystem::path directory, std::vector<std::string> parts) {
  return std::make_unique<JoinedSource>(std::move(directory), std::move(parts));
}

std::unique_ptr<Source> make_checked_source(std::unique_ptr<Source> from, const Member& member) {
  return std::make_unique<CheckedSource>(std::move(from), member);
}

Result<std::optional<Finding>> check_file(const std::filesystem::path& directory, const std::string& name, const std::string& expected,
                                          SetReader::Cache cache, const std::function<bool(std::uint64_t)>& moved) {
  using Kind = Finding::Kind;
  const os::Descriptor file = open_part(directory / name);
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return Finding{Kind::kMissing, name, {}};
  if (!file && errno == ELOOP) return Finding{Kind::kDamaged, name, {}};
  const auto unreadable = [&](int error_number) { return Finding{Kind::kUnreadable, name, std::generic_category().message(error_number)}; };
  if (!file) return unreadable(errno);
  if (!regular(file)) return Finding{Kind::kDamaged, name, {}};
  // What was only written to memory is not on the medium: out with it, then read what is really there.
  const bool drop = cache == SetReader::Cache::kDrop;
  if (drop && ::fsync(file.number()) != 0 && errno != EROFS && errno != EINVAL && errno != EBADF) return unreadable(errno);
  if (drop) ::posix_fadvise(file.number(), 0, 0, POSIX_FADV_DONTNEED);
  Sha256 hash;
  std::string buffer(kReadBytes, '\0');
  for (off_t at = 0;;) {
    const ssize_t got = os::uninterrupted([&] { return ::read(file.number(), buffer.data(), buffer.size()); });
    if (got < 0) return unreadable(errno);
    if (got == 0) break;
    hash.update(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
    if (drop) ::posix_fadvise(file.number(), at, got, POSIX_FADV_DONTNEED);  // others' cache matters more than ours
    at += got;
    if (!moved(static_cast<std::uint64_t>(got))) return fail(ErrorCode::kCancelled, phrase("check {}: it was cancelled", name));
  }
  return hash.hex() == expected ? std::nullopt : std::optional(Finding{Kind::kDamaged, name, {}});
}

Result<std::vector<std::string>> list_files(const std::filesystem::path& directory) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    const bool below = at->is_directory(error) && !at->is_symlink(error);
    if (!error && !below) files.push_back(at->path().lexically_relative(directory).generic_string());
  }
  if (error) return os::failed_call(phrase("read directory {}", directory.native()), error.value());
  std::ranges::sort(files);
  return files;
}

}  // namespace verbund::backup
