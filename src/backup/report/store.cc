#include "backup/report/store.h"

#include <algorithm>
#include <array>
#include <ranges>

#include "platform/os/descriptor.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kForPeople = {"txt", "html", "pdf"};
constexpr std::string_view kBeside = "verbund-report-";

Result<std::string> form_of(const Document& document, std::string_view form) {
  if (form == "txt") return text_of(document);
  if (form == "html") return html_of(document);
  return pdf_of(document);
}

/// An id names a file of ours, nothing else.
bool safe_id(const std::string& id) {
  return !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; });
}

}  // namespace

Status ReportStore::put(const Report& report, Language language) const {
  if (auto made = os::make_directories(directory_, 0700); !made) return made;
  const auto document = document_of(report, language, Detail::kNames);
  for (const auto* form : kForPeople) {
    auto content = form_of(document, form);
    if (!content) return pass(content);
    if (auto written = os::write_file_atomically(file(report.id, form), *content, 0600); !written) return written;
  }
  if (report.outcome != Report::Outcome::kOk) {
    if (auto marked = os::write_file_atomically(file(report.id, "unseen"), "", 0600); !marked) return marked;
  }
  // Last: a report counts when it can be listed.
  if (auto written = os::write_file_atomically(file(report.id, "json"), json_of(report), 0600); !written) return written;
  return prune();
}

Status ReportStore::put_beside(const fs::path& target, const Report& report, Language language) {
  const auto document = document_of(report, language, report.sealed ? Detail::kCounts : Detail::kNames);
  for (const auto* form : kForPeople) {
    auto content = form_of(document, form);
    if (!content) return pass(content);
    const auto name = fmt::format("{}{}.{}", kBeside, report.id, form);
    if (auto written = os::write_file_atomically(target / name, *content, 0600); !written) return written;
  }
  std::error_code error;
  std::vector<fs::path> old;
  for (fs::directory_iterator at(target, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().stem().native();
    std::error_code unknown;
    if (name.starts_with(kBeside) && name != std::string(kBeside) + report.id && !fs::exists(target / name.substr(kBeside.size()), unknown) && !unknown) old.push_back(at->path());
  }
  for (const auto& path : old) {
    std::error_code ignored;  // the next run tries again
    fs::remove(path, ignored);
  }
  return {};
}

Result<std::vector<StoredReport>> ReportStore::list() const {
  std::vector<StoredReport> found;
  std::error_code error;
  for (fs::directory_iterator at(directory_, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".json") continue;
    auto text = os::read_file(at->path(), kMaxBytes);
    if (!text) return pass(text);
    auto report = stored_report_of(*text);
    if (!report) continue;  // cut off by nobody: written whole or not at all; of another version then
    std::error_code ignored;
    report->unseen = fs::exists(file(report->id, "unseen"), ignored);
    found.push_back(std::move(*report));
  }
  if (error && error != std::errc::no_such_file_or_directory) return os::failed_call(phrase("read directory {}", directory_.native()), error.value());
  std::ranges::sort(found, {}, [](const StoredReport& report) { return std::pair(report.begun, report.id); });
  return found;
}

Result<StoredReport> ReportStore::find(const std::string& id) const {
  auto all = list();
  if (!all) return pass(all);
  if (id.empty() && !all->empty()) return all->back();
  const auto at = safe_id(id) ? std::ranges::find(*all, id, &StoredReport::id) : all->end();
  if (at != all->end()) return *at;
  return fail(ErrorCode::kNotFound, id.empty() ? phrase("backup report: there is none yet") : phrase("backup report: there is none of {}", id), phrase("verbund backup report list"));
}

std::optional<StoredReport> ReportStore::last_with_sizes() const {
  auto all = list();
  if (!all) return std::nullopt;
  for (auto& each : *all | std::views::reverse) {
    if (!each.sizes.empty()) return std::move(each);
  }
  return std::nullopt;
}

std::vector<std::string> ReportStore::unseen() const {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(directory_, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".unseen") found.push_back(at->path().stem().native());
  }
  std::ranges::sort(found);
  return found;
}

void ReportStore::seen(const std::string& id) const {
  std::error_code ignored;  // it is shown once more then
  if (safe_id(id)) fs::remove(file(id, "unseen"), ignored);
}

Status ReportStore::prune() const {
  auto all = list();
  if (!all) return pass(all);
  for (std::size_t i = 0; i + kKept < all->size(); ++i) {
    for (const auto* form : {"txt", "html", "pdf", "mail", "mail.pdf", "unseen", "json"}) {
      std::error_code ignored;
      fs::remove(file((*all)[i].id, form), ignored);
    }
  }
  return {};
}

}  // namespace verbund::backup
