#include "platform/postgres/log_segments.h"

#include <algorithm>
#include <cstring>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/postgres/owned_files.h"

namespace verbund::postgres {
namespace {

constexpr std::size_t kNameLength = 24;
constexpr std::size_t kPageBytes = 8192;
/// xlp_pageaddr of XLogPageHeaderData, behind magic, info and timeline.
constexpr std::size_t kAddressAt = 8;
constexpr std::uint64_t kSegmentsPerFile = (1ULL << 32U) / kSegmentBytes;

std::uint64_t hex(std::string_view text) {
  std::uint64_t number = 0;
  for (const char c : text) number = number * 16 + static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'A' + 10);
  return number;
}

std::string name_of(std::uint64_t timeline, std::uint64_t segment) {
  return fmt::format("{:08X}{:08X}{:08X}", timeline, segment / kSegmentsPerFile, segment % kSegmentsPerFile);
}

}  // namespace

std::string segment_name(std::uint32_t timeline, Lsn position) { return name_of(timeline, position.value / kSegmentBytes); }

bool is_segment_name(std::string_view name) {
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return name.size() == kNameLength && std::ranges::all_of(name, digit) && hex(name.substr(16)) < kSegmentsPerFile;
}

Lsn segment_start(std::string_view name) { return {(hex(name.substr(8, 8)) * kSegmentsPerFile + hex(name.substr(16))) * kSegmentBytes}; }

std::uint32_t segment_timeline(std::string_view name) { return static_cast<std::uint32_t>(hex(name.substr(0, 8))); }

std::string next_segment(std::string_view name) { return name_of(hex(name.substr(0, 8)), segment_start(name).value / kSegmentBytes + 1); }

Status check_segment(std::string_view content, std::string_view name) {
  const auto damaged = [&] { return fail(ErrorCode::kDamaged, phrase("read the log file {}: it is not as it was written", name)); };
  if (content.size() != kSegmentBytes) return damaged();
  const std::uint64_t start = segment_start(name).value;
  for (std::size_t at = 0; at < content.size(); at += kPageBytes) {
    std::uint64_t address = 0;
    std::memcpy(&address, content.data() + at + kAddressAt, sizeof address);
    if (address != start + at && (address != 0 || at == 0)) return damaged();
  }
  return {};
}

Status make_server_directory(const std::filesystem::path& path) {
  if (auto made = os::make_directories(path, 0700); !made) return made;
  return give_to_server(path);
}

Status put_for_server(const std::filesystem::path& path, std::string_view content) {
  // Its own before it has its name: the server may look for it at any moment.
  const std::filesystem::path beside = path.string() + ".ours";
  if (auto written = os::write_file_atomically(beside, content, 0600); !written) return written;
  if (auto given = give_to_server(beside); !given) return given;
  if (std::rename(beside.c_str(), path.c_str()) != 0) return system_error(phrase("rename to {}", path.string()));
  return sync_directory(path.parent_path());
}

}  // namespace verbund::postgres
