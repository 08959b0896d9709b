// What lies outside the house, read back.
#include <algorithm>

#include "backup/digest.h"
#include "backup/offsite/pieces.h"
#include "backup/restore_text.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using What = OffSiteEvent::What;
using Kind = Finding::Kind;

Status note_result(const OffSiteTask& task, const OffSiteCheck& check, const std::string& sums) {
  OffSiteEvent event;
  event.set = check.set;
  event.sequence = check.sequence;
  event.place = check.place;
  event.sums = sums;
  event.what = check.findings.empty() ? What::kVerified : What::kDamaged;
  if (check.findings.empty()) return note(task, std::move(event));
  for (const auto& finding : check.findings) {
    if (!sums.empty()) event.file = finding.file;  // without a sound head any file may be wrong: the whole of it
    if (auto noted = note(task, event); !noted) return noted;
  }
  return {};
}

Result<std::optional<Finding>> check_file(const OffSiteTask& task, const OffSiteCheck& check, const Sum& sum, const std::function<void(std::uint64_t)>& moved) {
  auto hash = task.remote.hash(check.place + "/" + sum.name, moved, task.progress);
  if (!hash && hash.error().code == ErrorCode::kNotFound) return Finding{Kind::kMissing, sum.name, {}};
  if (!hash) return pass(hash);
  return *hash == sum.hash ? std::nullopt : std::optional(Finding{Kind::kDamaged, sum.name, {}});
}

Status read_back(const OffSiteTask& task, const RemoteHead& head, OffSiteCheck& check) {
  auto sizes = task.remote.sizes(check.place, task.progress);
  if (!sizes) return pass(sizes);
  std::uint64_t total = 0;
  for (const auto& [name, bytes] : *sizes) {
    total += bytes;
    const bool ours = name == kSumsName || name == kSignatureName || std::ranges::find(head.sums, name, &Sum::name) != head.sums.end();
    if (!ours) check.findings.push_back({Kind::kAdditional, name, {}});
  }
  for (const auto& sum : head.sums) {
    auto finding = check_file(task, check, sum, [&](std::uint64_t bytes) { task.progress.moved(check.set, check.bytes += bytes, total); });
    if (!finding) return pass(finding);
    if (*finding) check.findings.push_back(std::move(**finding));
    ++check.files;
  }
  return {};
}

}  // namespace

Result<OffSiteCheck> verify_off_site(const OffSiteTask& task, const std::string& set) {
  auto place = place_of(task, set);
  if (!place) return pass(place);
  auto work = Workspace::make(task.office, task.remote.site().name);
  if (!work) return pass(work);
  if (task.on_step) task.on_step(phrase("read back {} from {}", set, task.remote.shown()));
  OffSiteCheck check;
  check.set = set;
  check.place = *place;
  auto head = head_of(task, *place, work->path());
  if (!head && head.error().code == ErrorCode::kDamaged) {
    check.findings.push_back({Kind::kDamaged, std::string(kSumsName), head.error().message});
    if (auto noted = note_result(task, check, {}); !noted) return pass(noted);
    return check;
  }
  if (!head) return pass(head);
  check.sequence = head->reader.manifest().sequence;
  if (auto read = read_back(task, *head, check); !read) return pass(read);
  if (auto noted = note_result(task, check, head->reader.hash()); !noted) return pass(noted);
  return check;
}

Result<OffSiteListing> list_off_site(const OffSiteTask& task) {
  auto work = Workspace::make(task.office, task.remote.site().name);
  if (!work) return pass(work);
  auto sizes = task.remote.sizes("", task.progress);
  if (!sizes) return pass(sizes);
  const auto heads = work->path() / "heads";
  if (auto made = os::make_directories(heads, 0700); !made) return pass(made);
  if (auto fetched = task.remote.fetch_heads(heads, task.progress); !fetched) return pass(fetched);
  auto trusted = trusted_keys(task.office.directory);
  if (!trusted) return pass(trusted);
  auto found = find_sets(heads, *trusted);
  if (!found) return pass(found);
  auto events = OffSiteJournal(task.office.directory, task.remote.site().name).read();
  if (!events) return pass(events);
  auto copies = copies_of(*events);
  OffSiteListing listing;
  for (auto& set : found->sets) {
    const auto place = set.directory.filename().string();
    const auto sums = os::read_file(set.directory / kSumsName, kMaxSumsBytes);
    const auto list = sums ? read_sums(*sums) : Result<std::vector<Sum>>(std::unexpect);
    std::string missing;
    std::uint64_t bytes = 0;
    for (const auto& sum : list ? *list : std::vector<Sum>{}) {
      const auto file = sizes->find(place + "/" + sum.name);
      if (file == sizes->end() && missing.empty()) missing = sum.name;
      if (file != sizes->end()) bytes += file->second;
    }
    if (!missing.empty()) listing.ignored.emplace_back(place, fmt::format("{}: this file is missing", missing));
    else listing.sets.push_back({place, set.manifest, bytes, copies[set.manifest.id]});
  }
  for (auto& [path, why] : found->ignored) listing.ignored.emplace_back(path.filename().string(), std::move(why));
  return listing;
}

Result<OffSiteSummary> off_site_summary(const Office& office, const OffSite& site) {
  auto events = OffSiteJournal(office.directory, site.name).read();
  if (!events) return pass(events);
  return summary_of(*events);
}

Result<OffSite> off_site_named(const Config& config, const std::string& name) {
  const auto found = std::ranges::find(config.off_sites, name, &OffSite::name);
  if (found != config.off_sites.end()) return *found;
  std::string names;
  for (const auto& site : config.off_sites) names += (names.empty() ? "" : ", ") + site.name;
  if (names.empty()) {
    return fail(ErrorCode::kNotFound, phrase("off-site: no place is configured"), phrase("[[offsite]] in config/backup.toml; docs/operations/backup-offsite.md has it step by step."));
  }
  return fail(ErrorCode::kNotFound, phrase("off-site: there is no place {}", name), phrase("There are: {}", names));
}

}  // namespace verbund::backup
