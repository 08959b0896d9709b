#pragma once
/// Files of a server's log (pg_wal): their names, whether one is whole, and putting one where an owned server may read it.
/// Pure but for the last two; any thread.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace verbund::postgres {

/// As initdb makes them; an owned server has no other.
inline constexpr std::uint64_t kSegmentBytes = 16ULL << 20U;

/// "000000010000000000000003": the file that holds the byte at `position`.
std::string segment_name(std::uint32_t timeline, Lsn position);
bool is_segment_name(std::string_view name);
/// The first byte's position; the end is kSegmentBytes further. `name` is one.
Lsn segment_start(std::string_view name);
std::uint32_t segment_timeline(std::string_view name);
/// The following one of the same timeline.
std::string next_segment(std::string_view name);

/// Whether `content` is that file and was not written over while it was read: each page says where it belongs (or is empty, after a switch).
/// Errors: kDamaged.
Status check_segment(std::string_view content, std::string_view name);

/// A directory that an owned server's user may enter and read. Errors: kIo.
Status make_server_directory(const std::filesystem::path& path);
/// Written beside, fsync, rename, fsync; readable for the server's user and nobody else. Errors: kIo, kDiskFull.
Status put_for_server(const std::filesystem::path& path, std::string_view content);

}  // namespace verbund::postgres
