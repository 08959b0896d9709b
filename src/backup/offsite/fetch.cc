// A set from outside the house brought home.
#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "backup/digest.h"
#include "backup/medium.h"
#include "backup/offsite/pieces.h"
#include "backup/restore_text.h"
#include "backup/set_files.h"
#include "base/messages.h"
#include "platform/os/descriptor.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

class Fetching {
 public:
  Fetching(const OffSiteTask& task, std::string place, const RemoteHead& head, fs::path partial)
      : task_(task), place_(std::move(place)), head_(head), partial_(std::move(partial)) {}

  Status run() {
    auto sizes = task_.remote.sizes(place_, task_.progress);
    if (!sizes) return pass(sizes);
    for (const auto& [name, bytes] : *sizes) total_ += bytes;
    if (auto enough = check_space(); !enough) return enough;
    for (const auto& sum : head_.sums) {
      if (auto fetched = fetch(sum); !fetched) return fetched;
      if (const auto size = sizes->find(sum.name); size != sizes->end()) done_ += size->second;
    }
    // The signature last: only with it the directory is a set.
    for (const auto name : {kSumsName, kSignatureName}) {
      auto text = os::read_file(head_.reader.directory() / name, kMaxSumsBytes);
      if (!text) return pass(text);
      if (auto written = os::write_file_atomically(partial_ / name, *text, 0600); !written) return written;
    }
    return {};
  }

 private:
  Status check_space() const {
    auto free = os::free_bytes(partial_);
    if (!free) return pass(free);
    if (*free >= total_) return {};
    return fail(ErrorCode::kDiskFull, phrase("fetch {}: {} free in {}, {} needed", place_, bytes_text(*free), partial_.parent_path().native(), bytes_text(total_)));
  }

  Status fetch(const Sum& sum) {
    const auto go_on = [this](std::uint64_t) { return !task_.progress.cancelled(); };
    auto there = check_file(partial_, sum.name, sum.hash, SetReader::Cache::kUse, go_on);
    if (!there) return pass(there);
    if (!*there) return {};
    const auto path = partial_ / sum.name;
    if (auto made = os::make_directories(path.parent_path(), 0700); !made) return made;
    const os::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return os::failed_call(phrase("write {}", path.native()), errno);
    Sha256 hash;
    std::uint64_t got = 0;
    auto received = task_.remote.get(place_ + "/" + sum.name, [&](std::string_view piece) -> Status {
      hash.update(piece);
      task_.progress.moved(place_, done_ + (got += piece.size()), total_);
      return write(file, piece, path);
    }, task_.progress);
    if (!received) return received;
    if (::fsync(file.number()) != 0) return os::failed_call(phrase("write {}", path.native()), errno);
    if (hash.hex() == sum.hash) return {};
    return fail(ErrorCode::kDamaged, phrase("fetch {}: {} is damaged on the remote", place_, sum.name), phrase("Fetch another set: verbund backup offsite list"));
  }

  static Status write(const os::Descriptor& file, std::string_view piece, const fs::path& path) {
    while (!piece.empty()) {
      const auto written = os::uninterrupted([&] { return ::write(file.number(), piece.data(), piece.size()); });
      if (written < 0) return os::failed_call(phrase("write {}", path.native()), errno);
      piece.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  const OffSiteTask& task_;
  const std::string place_;
  const RemoteHead& head_;
  const fs::path partial_;
  std::uint64_t total_ = 0, done_ = 0;
};

}  // namespace

Result<fs::path> fetch_off_site(const OffSiteTask& task, const std::string& set, const fs::path& into) {
  auto place = place_of(task, set);
  if (!place) return pass(place);
  auto work = Workspace::make(task.office, task.remote.site().name);
  if (!work) return pass(work);
  auto head = head_of(task, *place, work->path());
  if (!head) return pass(head);
  const auto& id = head->reader.manifest().id;
  const auto home = into / id;
  std::error_code error;
  if (fs::exists(home, error)) return fail(ErrorCode::kAlreadyExists, phrase("fetch {}: {} is there already", id, home.native()));
  const auto partial = into / ("." + id + ".fetched");
  if (auto made = os::make_directories(partial, 0700); !made) return pass(made);
  if (task.on_step) task.on_step(phrase("fetch {} from {}", id, task.remote.shown()));
  if (auto fetched = Fetching(task, *place, *head, partial).run(); !fetched) return pass(fetched);
  fs::rename(partial, home, error);
  if (error) return fail(ErrorCode::kIo, phrase("rename {}: {}", partial.native(), error.message()));
  if (const os::Descriptor directory(::open(into.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); !directory || !sync_directory(directory.number())) {
    return os::failed_call(phrase("sync {}", into.native()), errno);
  }
  return home;
}

}  // namespace verbund::backup
