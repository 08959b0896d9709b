#include "backup/config_offsite.h"

#include <algorithm>

#include "base/messages.h"
#include "platform/os/read_setting.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostKibPerSecond = 100'000'000;

std::unexpected<Error> refuse(const os::ConfigFile& file, const std::string& key, Phrase why, Phrase hint) {
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: {}", file.name(), file.line(key), key, std::move(why)), std::move(hint));
}

/// They become names of files, of a section of rclone.conf, and words of a command line.
bool plain_word(const std::string& text) {
  return !text.empty() && text.size() <= 60 && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

Status read_word(os::ConfigFile& file, const std::string& key, std::string& into) {
  std::string text;
  VERBUND_READ(text, file.text(key, ""));
  into = std::move(text);
  if (plain_word(into)) return {};
  return refuse(file, key, phrase("'{}' is no name", into), phrase("1 to 60 of the characters a-z A-Z 0-9 - _ .; user and password belong into rclone's own configuration."));
}

Status read_directory(os::ConfigFile& file, const std::string& key, std::string& into) {
  std::string text;
  VERBUND_READ(text, file.text(key, ""));
  into = std::move(text);
  while (into.ends_with('/')) into.pop_back();
  const bool leaves = std::ranges::any_of(fs::path(into), [](const fs::path& part) { return part == ".." || part == "."; });
  const bool control = std::ranges::any_of(into, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!into.empty() && !leaves && !control) return {};
  return refuse(file, key, phrase("'{}' can't be a directory on the remote", into), phrase("For example practice/sets; with S3 the bucket comes first."));
}

Status read_path(os::ConfigFile& file, const std::string& key, fs::path& into) {
  std::string text;
  VERBUND_READ(text, file.text(key, ""));
  into = text;
  if (text.empty() || into.is_absolute()) return {};
  return refuse(file, key, phrase("'{}' is no absolute path", text), phrase("For example /etc/verbund/rclone.conf"));
}

Status read_one(os::ConfigFile& file, const std::string& at, OffSite& site) {
  if (auto read = read_word(file, at + "name", site.name); !read) return read;
  if (auto read = read_word(file, at + "remote", site.remote); !read) return read;
  if (auto read = read_directory(file, at + "directory", site.directory); !read) return read;
  if (auto read = read_path(file, at + "rclone_config", site.rclone_config); !read) return read;
  if (auto read = read_path(file, at + "scratch", site.scratch); !read) return read;
  VERBUND_READ(site.keep, file.integer(at + "keep", site.keep, 1, 1000));
  std::uint64_t kib = 0;
  VERBUND_READ(kib, file.integer(at + "kib_per_second", 0, 0, kMostKibPerSecond));
  site.bytes_per_second = kib * 1024;
  return {};
}

}  // namespace

Status read_off_sites(os::ConfigFile& file, std::vector<OffSite>& into) {
  for (std::size_t i = 0; i < file.count("offsite"); ++i) {
    const auto at = fmt::format("offsite.{}.", i);
    OffSite site;
    if (auto read = read_one(file, at, site); !read) return read;
    if (std::ranges::find(into, site.name, &OffSite::name) != into.end()) {
      return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: '{}' is given twice", file.name(), file.line(at + "name"), at + "name", site.name));
    }
    into.push_back(std::move(site));
  }
  return {};
}

}  // namespace verbund::backup
