#include "backup/member_sink.h"
#include "backup/names.h"
#include "backup/restore_text.h"
#include "backup/set.h"
#include "base/messages.h"
#include "platform/os/file.h"

#include <unistd.h>

#include "backup/digest.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kLockName = ".verbund-backup.lock";
constexpr std::string_view kDetailsMember = "manifest-details.json";

/// What can be known before the first byte.
Status check_space(const Medium& medium, std::uint64_t needed) {
  if (needed == 0) return {};
  const auto free = medium.free_bytes();
  if (!free) return std::unexpected(free.error());
  if (*free >= needed) return {};
  return fail(ErrorCode::kDiskFull, phrase("begin backup set: {} free on {}, about {} needed", bytes_text(*free), medium.path().native(), bytes_text(needed)),
              phrase("Take a larger medium or remove old sets with verbund backup prune."));
}

Status check_options(const WriteOptions& options) {
  if (auto good = check_name(options.id); !good) return pass(good);
  if (options.part_bytes == 0 || options.part_bytes > kMaxPartBytes) {
    return fail(ErrorCode::kUsage, phrase("begin backup set: parts of {} bytes, at most {} are allowed", options.part_bytes, kMaxPartBytes));
  }
  return {};
}

}  // namespace

struct SetWriter::Impl {
  WriteOptions options;
  const SigningKey* key;  // the caller's
  os::FileLock lock;
  std::unique_ptr<PartialSet> set;

  Status add_text(const std::string& name, std::string_view text) {
    auto sink = make_member_sink(*set, options, name, Content::kText);
    if (!sink) return pass(sink);
    if (auto done = (*sink)->write(text); !done) return done;
    return (*sink)->finish();
  }

  /// What anybody may read stands in manifest.json; of a sealed set the rest is a sealed member.
  Result<Manifest> write_manifest(Manifest manifest) {
    manifest.id = options.id;
    manifest.format = kFormat;
    manifest.details.clear();
    manifest.recipients.clear();
    for (const Recipient& recipient : options.recipients) manifest.recipients.push_back(recipient.text());
    manifest.members = set->members();
    if (!options.recipients.empty()) {
      if (auto done = add_text(std::string(kDetailsMember), manifest_json(manifest)); !done) return pass(done);
      manifest.details = kDetailsMember;
      manifest = without_details(std::move(manifest));
      manifest.members = set->members();
    }
    const std::string json = manifest_json(manifest);
    if (auto good = read_manifest(json); !good) return pass(good);  // what nobody could read must not be published
    if (auto done = set->put(std::string(kManifestName), json); !done) return pass(done);
    return manifest;
  }

  Status sign(const Manifest& manifest) {
    const std::string sums = sums_text(set->sums());
    if (auto done = set->put(std::string(kSumsName), sums); !done) return done;
    // Whatever the signature stands for is on the medium before it.
    if (auto done = set->sync_directories(); !done) return done;
    const std::string comment = fmt::format("set={} sequence={} previous={}", manifest.id, manifest.sequence,
                                            manifest.previous_hash.empty() ? "none" : manifest.previous_hash);
    if (auto done = set->put(std::string(kSignatureName), key->sign(blake2b_512(sums), comment)); !done) return done;
    return set->sync_directories();
  }

  Result<std::filesystem::path> publish(Manifest manifest) {
    if (!set->all_finished()) return fail(ErrorCode::kInternal, phrase("publish backup set {}: a stream is still open", options.id));
    auto written = write_manifest(std::move(manifest));
    if (!written) return pass(written);
    const PublicKey signer = key->public_key();
    if (auto done = set->put(std::string(kRestoreName), restore_text(*written, signer)); !done) return pass(done);
    if (auto done = set->put(std::string(kPublicKeyName), signer.file_text()); !done) return pass(done);
    if (auto done = sign(*written); !done) return pass(done);
    return set->publish();
  }
};

SetWriter::SetWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SetWriter::SetWriter(SetWriter&&) noexcept = default;
SetWriter& SetWriter::operator=(SetWriter&&) noexcept = default;
SetWriter::~SetWriter() = default;

Result<SetWriter> SetWriter::begin(WriteOptions options, const SigningKey& key) {
  if (auto good = check_options(options); !good) return pass(good);
  auto medium = Medium::open(options.target);
  if (!medium) return pass(medium);
  auto lock = os::FileLock::acquire(options.target / kLockName, fmt::format("verbund backup, process {}", ::getpid()));
  if (!lock) return pass(lock);
  if (auto removed = remove_partials(*medium); !removed) return pass(removed);
  if (auto enough = check_space(*medium, options.expected_bytes); !enough) return pass(enough);
  auto set = PartialSet::make(std::move(*medium), options.id);
  if (!set) return pass(set);
  return SetWriter(std::make_unique<Impl>(Impl{std::move(options), &key, std::move(*lock), std::move(*set)}));
}

Result<std::unique_ptr<Sink>> SetWriter::add(const std::string& name, Content content) {
  return make_member_sink(*impl_->set, impl_->options, name, content);
}

std::uint64_t SetWriter::stored_bytes() const { return impl_->set->stored_bytes(); }
std::vector<Member> SetWriter::members() const { return impl_->set->members(); }

Result<std::filesystem::path> SetWriter::publish(Manifest manifest) {
  auto published = impl_->publish(std::move(manifest));
  // What wasn't published goes at once: its space may be needed.
  if (!published) impl_->set.reset();
  return published;
}

}  // namespace verbund::backup
