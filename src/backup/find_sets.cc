// The sets of one directory, and what they say about each other.
#include <system_error>

#include "backup/set.h"
#include "base/messages.h"
#include "platform/os/descriptor.h"

namespace verbund::backup {

Result<FoundSets> find_sets(const std::filesystem::path& target, const std::vector<PublicKey>& trusted) {
  std::error_code error;
  std::filesystem::directory_iterator at(target, error);
  if (error == std::errc::no_such_file_or_directory) return fail(ErrorCode::kNotFound, phrase("find backup sets: there is no directory {}", target.native()));
  FoundSets found;
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::filesystem::path path = at->path();
    std::error_code unknown;
    if (path.filename().native().starts_with('.') || !at->is_directory(unknown)) continue;
    auto reader = SetReader::open(path, trusted);
    if (reader) found.sets.push_back({path, without_details(reader->manifest()), reader->hash()});
    else found.ignored.emplace_back(path, reader.error().message);
  }
  if (error) return os::failed_call(phrase("find backup sets in {}", target.native()), error.value());
  std::ranges::sort(found.ignored);
  std::ranges::sort(found.sets, [](const FoundSet& left, const FoundSet& right) {
    return std::pair(left.manifest.sequence, left.directory.native()) < std::pair(right.manifest.sequence, right.directory.native());
  });
  return found;
}

Status remove_set(const std::filesystem::path& target, const std::string& id) {
  std::error_code error;
  const auto going = target / ("." + id + ".removed");
  std::filesystem::rename(target / id, going, error);
  // Gone already: what a killed run has begun is brought to its end.
  if (error == std::errc::no_such_file_or_directory) error.clear();
  if (!error) std::filesystem::remove_all(going, error);
  if (error) return os::failed_call(phrase("remove set {}", id), error.value());
  return {};
}

Status remove_leftovers(const std::filesystem::path& target) {
  std::error_code error;
  std::vector<std::filesystem::path> left;
  for (std::filesystem::directory_iterator at(target, error), end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().native();
    if (name.starts_with('.') && name.ends_with(".removed")) left.push_back(at->path());
  }
  for (const auto& path : left) {
    if (!error) std::filesystem::remove_all(path, error);
  }
  if (error) return os::failed_call(phrase("remove what is left of old sets in {}", target.native()), error.value());
  return {};
}

namespace {

/// A sealed copy stands for the set that it was made of.
const std::string& hash_in_chain(const FoundSet& set) { return set.manifest.copy_of.empty() ? set.hash : set.manifest.copy_of; }

}  // namespace

std::vector<ChainFinding> check_chain(const std::vector<FoundSet>& sets) {
  using Kind = ChainFinding::Kind;
  std::vector<ChainFinding> findings;
  for (std::size_t i = 1; i < sets.size(); ++i) {
    const Manifest& before = sets[i - 1].manifest;
    const Manifest& after = sets[i].manifest;
    const auto report = [&](Kind kind) { findings.push_back({kind, before.sequence, after.sequence, before.id, after.id}); };
    if (after.installation != before.installation) report(Kind::kForeign);
    else if (after.sequence == before.sequence) report(Kind::kTwice);
    else if (after.sequence > before.sequence + 1) report(Kind::kGap);
    else if (after.previous_hash != hash_in_chain(sets[i - 1])) report(Kind::kReplaced);
    if (after.begun < before.begun) report(Kind::kClock);
  }
  return findings;
}

}  // namespace verbund::backup
