#include "backup/offsite/pieces.h"

#include <unistd.h>

#include "backup/digest.h"
#include "backup/restore_text.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSignatureBytes = 8 * 1024;

}  // namespace

Result<std::vector<Piece>> pieces_of(const fs::path& set) {
  std::vector<Piece> pieces;
  const auto add = [&](std::string name, std::string hash) -> Status {
    std::error_code error;
    const auto bytes = fs::file_size(set / name, error);
    if (error) return fail(ErrorCode::kDamaged, phrase("read {}: {}", (set / name).native(), error.message()));
    pieces.push_back({std::move(name), std::move(hash), bytes});
    return {};
  };
  auto text = os::read_file(set / kSumsName, kMaxSumsBytes);
  if (!text) return pass(text);
  auto sums = read_sums(*text);
  if (!sums) return pass(sums);
  for (auto& sum : *sums) {
    if (auto added = add(std::move(sum.name), std::move(sum.hash)); !added) return pass(added);
  }
  if (auto added = add(std::string(kSumsName), sha256_hex(*text)); !added) return pass(added);
  auto signature = os::read_file(set / kSignatureName, kMaxSignatureBytes);
  if (!signature) return pass(signature);
  if (auto added = add(std::string(kSignatureName), sha256_hex(*signature)); !added) return pass(added);
  return pieces;
}

Result<RemoteHead> head_of(const OffSiteTask& task, const std::string& place, const fs::path& scratch) {
  const auto directory = scratch / "head";
  std::error_code error;
  fs::remove_all(directory, error);
  if (auto made = os::make_directories(directory, 0700); !made) return pass(made);
  std::string sums;
  for (const auto& [name, limit] : {std::pair{kSignatureName, kMaxSignatureBytes}, {kSumsName, kMaxSumsBytes}, {kManifestName, kMaxManifestBytes}}) {
    auto text = task.remote.text(place + "/" + std::string(name), limit, task.progress);
    if (!text && text.error().code == ErrorCode::kNotFound && name == kSignatureName) {
      return fail(ErrorCode::kNotFound, phrase("off-site {}: there is no set {}", task.remote.shown(), place), phrase("verbund backup offsite list"));
    }
    if (!text && text.error().code == ErrorCode::kNotFound) return fail(ErrorCode::kDamaged, phrase("off-site {}: {}/{} is missing", task.remote.shown(), place, name));
    if (!text) return pass(text);
    if (auto written = os::write_file_atomically(directory / name, *text, 0600); !written) return pass(written);
    if (name == kSumsName) sums = std::move(*text);
  }
  auto trusted = trusted_keys(task.office.directory);
  if (!trusted) return pass(trusted);
  auto reader = SetReader::open(directory, *trusted);
  if (!reader) return pass(reader, phrase("off-site {}: {}", task.remote.shown(), place));
  auto list = read_sums(sums);
  if (!list) return pass(list);
  return RemoteHead{std::move(*reader), std::move(*list)};
}

Result<std::string> place_of(const OffSiteTask& task, const std::string& set) {
  auto events = OffSiteJournal(task.office.directory, task.remote.site().name).read();
  if (!events) return pass(events);
  const auto copies = copies_of(*events);
  const auto known = copies.find(set);
  return known == copies.end() || known->second.place.empty() ? set : known->second.place;
}

Result<Workspace> Workspace::make(const Office& office, const std::string& site) {
  auto path = office.directory / "backup" / "offsite" / fmt::format(".work-{}-{}", site, ::getpid());
  std::error_code error;
  fs::remove_all(path, error);
  if (auto made = os::make_directories(path, 0700); !made) return pass(made);
  return Workspace(std::move(path));
}

Workspace::~Workspace() {
  std::error_code error;
  if (!path_.empty()) fs::remove_all(path_, error);
}

Status note(const OffSiteTask& task, OffSiteEvent event) {
  event.at = task.clock.wall();
  return OffSiteJournal(task.office.directory, task.remote.site().name).append(event);
}

}  // namespace verbund::backup
