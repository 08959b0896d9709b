// L1 to L3 of the verification ladder.
#include <system_error>

#include "backup/names.h"
#include "backup/restore_text.h"
#include "backup/set_files.h"
#include "backup/set_reader.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

Phrase said_of(const Finding& finding) {
  switch (finding.kind) {
    case Finding::Kind::kMissing: return phrase("{} is missing", finding.file);
    case Finding::Kind::kAdditional: return phrase("{} does not belong there", printable(finding.file));
    case Finding::Kind::kUnreadable: return phrase("{} can't be read ({})", finding.file, finding.cause);
    case Finding::Kind::kDamaged: break;
  }
  return phrase("{} is damaged", finding.file);
}

/// A list of phrases as one, so that all of it can be said in German.
Phrase joined(std::vector<Phrase> phrases, std::string_view between) {
  Phrase all = std::move(phrases.front());
  for (std::size_t i = 1; i < phrases.size(); ++i) all = {std::string(between), {std::move(all), std::move(phrases[i])}};
  return all;
}
constexpr std::string_view kList = "{}; {}", kInside = "{}: {}";  // the same in every language

Phrase said_of(Error error) {
  return error.message_parts.empty() ? Phrase{std::move(error.message)} : joined(std::move(error.message_parts), kInside);
}

/// Names of all; so many that nobody reads them are counted.
constexpr std::size_t kMaxNamed = 200;

std::uint64_t size_of(const std::filesystem::path& path) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  return error ? 0 : bytes;
}

/// Tells how far a member's plain stream has come, and ends it when nobody wants it any more.
class WatchedSource final : public Source {
 public:
  WatchedSource(Source& from, std::string name, std::function<bool(std::size_t)> moved)
      : from_(from), name_(std::move(name)), moved_(std::move(moved)) {}
  Result<std::size_t> read(std::span<char> into) override {
    auto got = from_.read(into);
    if (got && !moved_(*got)) return fail(ErrorCode::kCancelled, phrase("check {}: it was cancelled", name_));
    return got;
  }

 private:
  Source& from_;
  const std::string name_;
  std::function<bool(std::size_t)> moved_;
};

/// Reads to the end, so that whatever `look` left is checked, too.
Status drain(Source& source) {
  std::string buffer(1024 * 1024, '\0');
  while (true) {
    auto got = source.read(buffer);
    if (!got) return pass(got);
    if (*got == 0) return {};
  }
}

}  // namespace

Result<std::vector<Finding>> SetReader::find_damage(Progress& progress, Cache cache) const {
  std::uint64_t total = 0, done = 0;
  for (const Sum& sum : impl_->sums) total += size_of(impl_->directory / sum.name);
  std::vector<Finding> findings;
  for (const Sum& sum : impl_->sums) {
    auto finding = check_file(impl_->directory, sum.name, sum.hash, cache, [&](std::uint64_t bytes) {
      done += bytes;
      progress.moved(sum.name, done, total);
      return !progress.cancelled();
    });
    if (!finding) return pass(finding);
    if (*finding) findings.push_back(std::move(**finding));
  }
  auto files = list_files(impl_->directory);
  if (!files) return pass(files);
  for (const std::string& file : *files) {
    const bool own = file == kSumsName || file == kSignatureName;
    if (!own && !std::ranges::binary_search(impl_->sums, file, {}, &Sum::name)) {
      findings.push_back({Finding::Kind::kAdditional, file, {}});
    }
  }
  return findings;
}

Status SetReader::check_hashes(Progress& progress, Cache cache) const {
  auto findings = find_damage(progress, cache);
  if (!findings) return pass(findings);
  if (findings->empty()) return {};
  std::vector<Phrase> phrases;
  for (const Finding& finding : std::span(*findings).first(std::min(findings->size(), kMaxNamed))) phrases.push_back(said_of(finding));
  if (findings->size() > kMaxNamed) phrases.push_back(phrase("and {} more", findings->size() - kMaxNamed));
  return fail(ErrorCode::kDamaged, phrase("check backup set {}: {}", impl_->manifest.id, joined(std::move(phrases), kList)),
              phrase("Restore from another set, and replace this medium if it was not somebody's hand."));
}

Status SetReader::check_structure(Progress& progress, const Look& look, const RecipientKey* key) const {
  std::uint64_t total = 0, done = 0;
  for (const Member& member : impl_->manifest.members) total += member.plain_bytes;
  std::vector<Phrase> phrases;
  for (const Member& member : impl_->manifest.members) {
    const auto moved = [&](std::size_t bytes) {
      done += bytes;
      progress.moved(member.name, done, total);
      return !progress.cancelled();
    };
    auto source = read(member.name, Form::kPlain, key);
    if (!source && source.error().code == ErrorCode::kForbidden) return pass(source);
    Status good;
    if (source) {
      WatchedSource watched(**source, member.name, moved);
      if (look) good = look(member, watched);
      // A damaged stream explains why the one who looked stumbled; it comes first.
      if (auto rest = drain(watched); !rest) good = std::move(rest);
    } else {
      good = std::unexpected(source.error());
    }
    if (!good && (good.error().code == ErrorCode::kForbidden || good.error().code == ErrorCode::kCancelled)) return pass(good);
    if (!good) phrases.push_back(said_of(std::move(good.error())));
  }
  if (phrases.empty()) return {};
  return fail(ErrorCode::kDamaged, phrase("check backup set {}: {}", impl_->manifest.id, joined(std::move(phrases), kList)));
}

}  // namespace verbund::backup
