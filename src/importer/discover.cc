#include <set>

#include "base/messages.h"
#include "importer/byte_source.h"

namespace verbund::importer {
namespace {

namespace fs = std::filesystem;

std::string lower_name(const fs::path& path) {
  std::string name = path.filename().string();
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

/// Exports of servers name files after resource types. Patients first saves reading the others twice.
constexpr int kLastRank = 3;
int rank_of(const InputFile& file) {
  const auto name = lower_name(file.path);
  if (name.starts_with("patient")) return 0;
  if (name.starts_with("medication-") || name.starts_with("medication.")) return 1;
  return name.starts_with("encounter") ? 2 : kLastRank;
}

/// Length 013, field 8000: the first line of every GDT or BDT file.
bool begins_like_xdt(const InputFile& file) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  auto source = ByteSource::open(file);
  if (!source) return false;
  auto bytes = source->next();
  if (!bytes) return false;
  auto begin = *bytes;
  if (begin.starts_with(kByteOrderMark)) begin.remove_prefix(kByteOrderMark.size());
  const bool digits = begin.size() >= 7 && begin.substr(0, 3).find_first_not_of("0123456789") == std::string_view::npos;
  return digits && begin.substr(3, 4) == "8000";
}

class Walk {
 public:
  Walk(Discovery& out, Wanted wanted) : out_(out), wanted_(wanted) {}

  void visit(const fs::path& path, bool named_by_user) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (error) return problem(path, verbatim(error.message()));
    if (fs::is_directory(status)) return visit_directory(path);
    if (!fs::is_regular_file(status)) return problem(path, phrase("is not a regular file"));
    const auto size = fs::file_size(path, error);
    if (error) return problem(path, verbatim(error.message()));
    InputFile file{path, path.string(), size, kind_of(path)};
    if (wanted_ == Wanted::kCsv && named_by_user) file.kind = FileKind::kCsv;
    if (wanted_ == Wanted::kRecords && file.kind == FileKind::kForeign && begins_like_xdt(file)) file.kind = FileKind::kXdt;
    if (wanted_ == Wanted::kCsv && file.kind != FileKind::kCsv) return;  // a folder may hold other things beside
    if (wanted_ == Wanted::kRecords && file.kind == FileKind::kCsv) return problem(path, phrase("a CSV file needs a mapping: --mapping FILE.toml"));
    if (file.kind == FileKind::kForeign) return problem(path, phrase("is no FHIR file (.json, .ndjson), no GDT or BDT file, nor .gz of one"));
    const auto canonical = fs::canonical(path, error);
    // The same file under two names is read once.
    if (!error && !seen_files_.insert(canonical).second && !named_by_user) return;
    out_.files.push_back(std::move(file));
  }

 private:
  void visit_directory(const fs::path& path) {
    std::error_code error;
    const auto canonical = fs::canonical(path, error);
    if (error) return problem(path, verbatim(error.message()));
    if (!seen_directories_.insert(canonical).second) return;
    std::vector<fs::path> entries;
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) entries.push_back(it->path());
    if (error) problem(path, verbatim(error.message()));
    std::sort(entries.begin(), entries.end());
    for (const auto& entry : entries) {
      if (!entry.filename().string().starts_with('.')) visit(entry, false);  // hidden: not meant for people
    }
  }

  void problem(const fs::path& path, Phrase cause) { out_.problems.emplace_back(path.string(), std::move(cause)); }

  Discovery& out_;
  Wanted wanted_;
  std::set<fs::path> seen_directories_;
  std::set<fs::path> seen_files_;
};

}  // namespace

FileKind kind_of(const fs::path& path) {
  std::string name = lower_name(path);
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with(".json")) return FileKind::kJson;
  if (name.ends_with(".ndjson")) return FileKind::kNdjson;
  if (name.ends_with(".gdt") || name.ends_with(".bdt") || name.ends_with(".xdt")) return FileKind::kXdt;
  return name.ends_with(".csv") || name.ends_with(".tsv") ? FileKind::kCsv : FileKind::kForeign;
}

Result<Discovery> discover(std::span<const fs::path> paths, Wanted wanted) {
  Discovery out;
  Walk walk(out, wanted);
  for (const auto& path : paths) {
    std::error_code error;
    if (!fs::exists(path, error)) {
      return fail(ErrorCode::kNotFound, phrase("import {}: {}", path.string(), error ? error.message() : "no such file or directory"));
    }
    walk.visit(path, true);
  }
  std::vector<InputFile> ranked;
  ranked.reserve(out.files.size());
  for (int rank = 0; rank <= kLastRank; ++rank) {
    for (auto& file : out.files) {
      if (rank_of(file) == rank) ranked.push_back(file);
    }
  }
  out.files = std::move(ranked);
  return out;
}

}  // namespace verbund::importer
