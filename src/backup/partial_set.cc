#include "backup/partial_set.h"

#include <cerrno>
#include <cstdio>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/digest.h"
#include "backup/names.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kEnding = ".partial";
constexpr mode_t kDirectoryMode = 0700, kFileMode = 0600;  // password verifiers and patients are inside

/// renameat2(RENAME_NOREPLACE) is not known to FAT: an empty directory of that name would be replaced, so ask first.
bool exists(int directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

std::unexpected<Error> id_in_use(const std::string& id) { return fail(ErrorCode::kInUse, phrase("begin backup set {}: it exists already", id)); }

}  // namespace

Result<std::unique_ptr<PartialSet>> PartialSet::make(Medium medium, const std::string& id) {
  if (exists(medium.descriptor(), id)) return id_in_use(id);
  auto set = std::make_unique<PartialSet>(std::move(medium), id);
  const std::string name = set->directory_name();
  if (::mkdirat(set->medium_.descriptor(), name.c_str(), kDirectoryMode) != 0) return set->failed(phrase("begin backup set {}", id), errno);
  set->directory_ = os::Descriptor(::openat(set->medium_.descriptor(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!set->directory_) return set->failed(phrase("begin backup set {}", id), errno);
  return set;
}

PartialSet::~PartialSet() {
  // What can't be removed now (the medium is gone) is removed by the next run.
  if (directory_ && !published_) remove_tree(medium_.descriptor(), directory_name());
}

Status PartialSet::make_directories(const std::string& name) {
  for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
    const std::string above = name.substr(0, slash);
    if (::mkdirat(directory_.number(), above.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
      return failed(phrase("make directory {}", above), errno);
    }
    const std::lock_guard lock(mutex_);
    directories_.insert(above);
  }
  return {};
}

Result<os::Descriptor> PartialSet::create(const std::string& name) {
  if (auto there = medium_.still_there(); !there) return pass(there, phrase("write {}", name));
  if (auto made = make_directories(name); !made) return pass(made);
  os::Descriptor file(::openat(directory_.number(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file) return failed(phrase("write {}", name), errno);
  return file;
}

Status PartialSet::write(const os::Descriptor& file, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = os::uninterrupted([&] { return ::write(file.number(), bytes.data(), bytes.size()); });
    if (written < 0) return failed(phrase("write {}", name), errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
    stored_bytes_ += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status PartialSet::sync(const os::Descriptor& file, const std::string& name) {
  if (::fsync(file.number()) != 0) return failed(phrase("sync {}", name), errno);
  return {};
}

Status PartialSet::rename(const std::string& from, const std::string& to) {
  if (::renameat(directory_.number(), from.c_str(), directory_.number(), to.c_str()) == 0) return {};
  return failed(phrase("rename {}", from), errno);
}

void PartialSet::remove(const std::string& name) {
  // What stays goes with the directory; a file that no sum names is found by everybody who checks.
  ::unlinkat(directory_.number(), name.c_str(), 0);
}

Status PartialSet::put(const std::string& name, std::string_view text) {
  auto file = create(name);
  if (!file) return pass(file);
  if (auto done = write(*file, text, name); !done) return done;
  if (auto done = sync(*file, name); !done) return done;
  const std::lock_guard lock(mutex_);
  sums_.push_back({name, sha256_hex(text)});
  return {};
}

Status PartialSet::claim(const std::string& member) {
  const std::lock_guard lock(mutex_);
  if (claimed_.size() >= kMaxMembers) return fail(ErrorCode::kTooLarge, phrase("add {}: more than {} members", member, kMaxMembers));
  if (!claimed_.insert(folded(member)).second) {
    return fail(ErrorCode::kAlreadyExists, phrase("add {}: the backup set has a member of that name", member));
  }
  ++open_;
  return {};
}

void PartialSet::release(const std::string& member) {
  const std::lock_guard lock(mutex_);
  claimed_.erase(folded(member));
  --open_;
}

void PartialSet::finished(Member member, const std::vector<Sum>& sums) {
  const std::lock_guard lock(mutex_);
  members_.push_back(std::move(member));
  sums_.insert(sums_.end(), sums.begin(), sums.end());
  --open_;
}

std::vector<Member> PartialSet::members() const {
  const std::lock_guard lock(mutex_);
  return members_;
}
std::vector<Sum> PartialSet::sums() const {
  const std::lock_guard lock(mutex_);
  return sums_;
}
bool PartialSet::all_finished() const {
  const std::lock_guard lock(mutex_);
  return open_ == 0;
}

Status PartialSet::sync_directories() {
  const std::lock_guard lock(mutex_);
  for (const std::string& name : directories_) {
    const os::Descriptor opened(::openat(directory_.number(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened || !sync_directory(opened.number())) return failed(phrase("sync directory {}", name), errno);
  }
  if (!sync_directory(directory_.number())) return failed(phrase("sync directory {}", directory_name()), errno);
  return {};
}

Result<std::filesystem::path> PartialSet::publish() {
  const Phrase operation = phrase("publish backup set {}", id_);
  if (auto there = medium_.still_there(); !there) return pass(there, operation);
  if (exists(medium_.descriptor(), id_)) return id_in_use(id_);
  if (::renameat(medium_.descriptor(), directory_name().c_str(), medium_.descriptor(), id_.c_str()) != 0) return failed(operation, errno);
  published_ = true;
  if (!sync_directory(medium_.descriptor())) return failed(operation, errno);
  if (auto there = medium_.still_there(); !there) return pass(there, operation);
  return medium_.path() / id_;
}

Status remove_partials(const Medium& medium) {
  const int opened = ::openat(medium.descriptor(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const directory = opened < 0 ? nullptr : ::fdopendir(opened);
  if (directory == nullptr) return medium.failed(phrase("read directory {}", medium.path().native()), errno, 0);
  std::vector<std::string> partials;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name.starts_with('.') && name.ends_with(kEnding) && name.size() > kEnding.size() + 1) partials.push_back(name);
  }
  ::closedir(directory);
  for (const std::string& name : partials) {
    if (!remove_tree(medium.descriptor(), name)) return medium.failed(phrase("remove what a killed run left: {}", name), errno, 0);
  }
  return {};
}

}  // namespace verbund::backup
