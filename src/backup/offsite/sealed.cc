#include "backup/offsite/sealed.h"

#include <algorithm>

#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

/// rclone begins a cut file anew: a smaller one loses less. Larger members get larger parts, for there are at most a thousand.
constexpr std::uint64_t kSmallPart = 128ULL << 20;
constexpr std::uint64_t kPartsAimedAt = 500;

std::uint64_t part_bytes(const Manifest& manifest) {
  std::uint64_t largest = 0;
  for (const auto& member : manifest.members) largest = std::max(largest, member.stored_bytes);
  return std::clamp(largest / kPartsAimedAt, kSmallPart, kDefaultPartBytes);
}

std::uint64_t stored_bytes(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const auto& member : manifest.members) bytes += member.stored_bytes;
  return bytes;
}

/// A copy that was finished, and not sent.
Result<SetReader> left_behind(const fs::path& directory, const SetReader& original, const std::vector<Recipient>& recipients,
                              const std::vector<PublicKey>& trusted, Progress& progress) {
  auto copy = SetReader::open(directory, trusted);
  if (!copy) return copy;
  std::vector<std::string> wanted;
  for (const auto& recipient : recipients) wanted.push_back(recipient.text());
  if (copy->manifest().copy_of != original.hash() || copy->manifest().recipients != wanted) {
    return fail(ErrorCode::kNotFound, phrase("{} is a copy of another set", directory.native()));
  }
  if (auto good = copy->check_hashes(progress, SetReader::Cache::kUse); !good) return pass(good);
  return copy;
}

Status seal_member(const SetReader& original, const Member& member, SetWriter& writer, std::uint64_t total, std::uint64_t& done, Progress& progress) {
  auto source = original.read(member.name);
  if (!source) return pass(source);
  auto sink = writer.add(member.name, member.content);
  if (!sink) return pass(sink);
  std::string buffer(1024 * 1024, '\0');
  while (true) {
    auto got = (*source)->read(buffer);
    if (!got) return pass(got);
    if (*got == 0) break;
    if (auto written = (*sink)->write(std::string_view(buffer).substr(0, *got)); !written) return written;
    progress.moved(member.name, done += *got, total);
    if (progress.cancelled()) return fail(ErrorCode::kCancelled, phrase("seal {}: it was cancelled", member.name));
  }
  return (*sink)->finish();
}

Result<SetReader> seal(const Office& office, const SetReader& original, const fs::path& scratch, const std::vector<PublicKey>& trusted, Progress& progress) {
  auto key = signing_key(office.directory);
  if (!key) return pass(key);
  WriteOptions options;
  options.target = scratch;
  options.id = original.manifest().id;
  options.recipients = office.config.recipients;
  options.zstd_level = office.config.zstd_level;
  options.zstd_threads = office.config.zstd_threads;
  options.part_bytes = part_bytes(original.manifest());
  options.expected_bytes = stored_bytes(original.manifest());
  auto writer = SetWriter::begin(std::move(options), *key);
  if (!writer && writer.error().code == ErrorCode::kDiskFull) {
    writer.error().advise(phrase("An unsealed set needs its own size once more: `scratch` of [[offsite]] on another disk, or seal sets when they are made "
                                 "([encryption] when = \"always\")."));
  }
  if (!writer) return pass(writer);
  std::uint64_t total = 0, done = 0;
  for (const auto& member : original.manifest().members) total += member.plain_bytes;
  for (const auto& member : original.manifest().members) {
    if (auto sealed = seal_member(original, member, *writer, total, done, progress); !sealed) return pass(sealed);
  }
  auto manifest = original.manifest();
  manifest.copy_of = original.hash();
  auto published = writer->publish(std::move(manifest));
  if (!published) return pass(published);
  return SetReader::open(*published, trusted);
}

}  // namespace

Result<SetReader> sealed_set(const Office& office, const fs::path& set, const fs::path& scratch, Progress& progress,
                             const std::function<void(const Phrase&)>& on_step) {
  auto trusted = trusted_keys(office.directory);
  if (!trusted) return pass(trusted);
  auto original = SetReader::open(set, *trusted);
  if (!original) return original;
  if (!original->manifest().recipients.empty()) {
    if (on_step) on_step(phrase("check {}", original->manifest().id));
    if (auto good = original->check_hashes(progress, SetReader::Cache::kUse); !good) return pass(good);
    return original;
  }
  if (office.config.recipients.empty()) {
    return fail(ErrorCode::kBadConfig, phrase("off-site copy of {}: it is not sealed, and nobody is named who could open a sealed one", original->manifest().id),
                phrase("verbund backup key new FILE --name NAME; its line goes into config/backup.toml, [encryption] recipients."));
  }
  if (auto made = os::make_directories(scratch, 0700); !made) return pass(made);
  const auto copy = scratch / original->manifest().id;
  if (auto found = left_behind(copy, *original, office.config.recipients, *trusted, progress)) return found;
  if (progress.cancelled()) return fail(ErrorCode::kCancelled, phrase("seal {}: it was cancelled", original->manifest().id));
  std::error_code error;
  fs::remove_all(copy, error);
  if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", copy.native(), error.message()));
  if (on_step) on_step(phrase("seal {} for {} persons", original->manifest().id, office.config.recipients.size()));
  auto sealed = seal(office, *original, scratch, *trusted, progress);
  if (!sealed) return pass(sealed, phrase("off-site copy of {}", original->manifest().id));
  return sealed;
}

}  // namespace verbund::backup
