#include "node/mirror/kept_data.h"

#include <algorithm>

#include "base/messages.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBefore = "data.";

/// Of "data.5", "data.5-2"; nullopt: another name.
std::optional<Term> term_of(const std::string& name) {
  if (!name.starts_with(kBefore)) return std::nullopt;
  auto number = std::string_view(name).substr(kBefore.size());
  if (const auto dash = number.find('-'); dash != std::string_view::npos) {
    if (!parse_u64(number.substr(dash + 1))) return std::nullopt;
    number = number.substr(0, dash);
  }
  const auto term = parse_u64(number);
  return term ? std::optional(Term{*term}) : std::nullopt;
}

Result<std::uint64_t> bytes_in(const fs::path& directory) {
  std::error_code failed;
  std::uint64_t bytes = 0;
  auto entry = fs::recursive_directory_iterator(directory, failed);
  for (; !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    if (entry->symlink_status(failed).type() == fs::file_type::regular) bytes += entry->file_size(failed);
    if (failed) break;
  }
  if (failed) return fail(ErrorCode::kIo, phrase("list {}: {}", directory.native(), failed.message()));
  return bytes;
}

}  // namespace

fs::path kept_beside(const fs::path& data, Term term) {
  std::error_code ignored;
  fs::path kept = fmt::format("{}.{}", data.string(), term.value);
  for (int number = 2; fs::exists(kept, ignored); ++number) kept = fmt::format("{}.{}-{}", data.string(), term.value, number);
  return kept;
}

Result<std::vector<KeptData>> kept_data(const fs::path& installation) {
  const auto directory = installation / "postgres";
  std::vector<KeptData> kept;
  std::error_code failed;
  auto entry = fs::directory_iterator(directory, failed);
  for (; !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    const auto term = term_of(entry->path().filename().string());
    // A link leads elsewhere: nothing that a rejoin has made.
    if (!term || entry->symlink_status(failed).type() != fs::file_type::directory) continue;
    auto bytes = bytes_in(entry->path());
    if (!bytes) return pass(bytes);
    kept.push_back({entry->path(), *term, *bytes});
  }
  if (failed && failed != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("list {}: {}", directory.native(), failed.message()));
  std::ranges::sort(kept, {}, [](const KeptData& each) { return std::pair(each.term, each.path); });
  return kept;
}

Status release_kept(const fs::path& installation, Term term) {
  auto kept = kept_data(installation);
  if (!kept) return pass(kept);
  std::erase_if(*kept, [&](const KeptData& each) { return each.term != term; });
  if (kept->empty()) return fail(ErrorCode::kNotFound, phrase("release: no data of term {} were set aside here", term.value));
  for (const auto& each : *kept) {
    std::error_code failed;
    fs::remove_all(each.path, failed);
    if (failed) return fail(ErrorCode::kIo, phrase("remove {}: {}", each.path.native(), failed.message()));
  }
  return {};
}

}  // namespace verbund::node
