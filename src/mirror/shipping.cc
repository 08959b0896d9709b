#include "mirror/shipping.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include "base/messages.h"
#include "platform/os/descriptor.h"
#include "platform/os/file.h"
#include "platform/postgres/log_segments.h"

namespace verbund::mirror {
namespace {

namespace fs = std::filesystem;
using postgres::kSegmentBytes;

/// Mostly pages that were logged whole: fast counts more than small.
constexpr int kLevel = 1;
/// What stays free for the server itself.
constexpr std::uint64_t kSpareBytes = 1ULL << 30U;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

Result<std::string> pack(std::string_view content) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) return fail(ErrorCode::kInternal, phrase("compress: no memory"));
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string packed(ZSTD_compressBound(content.size()), '\0');
  const std::size_t size = ZSTD_compress2(context.get(), packed.data(), packed.size(), content.data(), content.size());
  if (ZSTD_isError(size) != 0) return fail(ErrorCode::kInternal, phrase("compress: {}", ZSTD_getErrorName(size)));
  packed.resize(size);
  return packed;
}

std::optional<std::string> name_in(const fs::path& path) {
  const auto file = path.filename().string();
  if (!file.ends_with(".zst") || !postgres::is_segment_name(std::string_view(file).substr(0, file.size() - 4))) return std::nullopt;
  return file.substr(0, file.size() - 4);
}

}  // namespace

Result<std::string> unpack_segment(std::string_view packed, const std::string& name) {
  std::string content(kSegmentBytes + 1, '\0');  // one more: a longer one is seen
  const std::size_t size = ZSTD_decompress(content.data(), content.size(), packed.data(), packed.size());
  if (ZSTD_isError(size) != 0) return fail(ErrorCode::kDamaged, phrase("read the log file {}: it is not as it was written", name));
  content.resize(size);
  if (auto whole = postgres::check_segment(content, name); !whole) return pass(whole);
  return content;
}

Result<std::vector<KeptSegment>> LogArchive::list() const {
  std::vector<KeptSegment> kept;
  std::error_code error;
  for (fs::directory_iterator at(archive_, error), end; !error && at != end; at.increment(error)) {
    const auto name = name_in(at->path());
    std::error_code gone;
    const auto size = name ? at->file_size(gone) : 0;
    if (name && !gone) kept.push_back({*name, size});
  }
  if (error && error != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("read {}: {}", archive_.string(), error.message()));
  std::ranges::sort(kept, {}, &KeptSegment::name);
  auto first = kept.size();
  while (first > 1 && postgres::next_segment(kept[first - 2].name) == kept[first - 1].name) --first;
  if (first > 1) kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(first) - 1);
  return kept;
}

Status LogArchive::refuse_full(std::uint64_t bytes) const {
  auto kept = list();
  if (!kept) return pass(kept);
  std::uint64_t used = bytes;
  for (const auto& one : *kept) used += one.bytes;
  const auto room = os::free_bytes(archive_);
  if (!room) return std::unexpected(room.error());
  if (used <= max_bytes_ && *room >= bytes + kSpareBytes) return {};
  return fail(ErrorCode::kDiskFull, phrase("keep log for the mirror in {}: {} MB are kept, {} MB are free", archive_.string(), (used - bytes) >> 20U, *room >> 20U),
              phrase("[mirror] archive_gb says how much may be kept."));
}

Status LogArchive::keep(const std::string& name) {
  if (auto made = os::make_directories(archive_, 0700); !made) return made;
  auto content = os::read_file(log_ / name, kSegmentBytes);
  if (!content) return pass(content);
  if (auto whole = postgres::check_segment(*content, name); !whole) return whole;
  auto packed = pack(*content);
  if (!packed) return pass(packed);
  if (auto room = refuse_full(packed->size()); !room) return room;
  return os::write_file_atomically(file(name), *packed, 0600);
}

Status LogArchive::drop_before(const std::string& name) {
  std::error_code error;
  std::vector<fs::path> old;
  for (fs::directory_iterator at(archive_, error), end; !error && at != end; at.increment(error)) {
    const auto kept = name_in(at->path());
    if (!kept || kept->substr(8) < name.substr(8)) old.push_back(at->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("read {}: {}", archive_.string(), error.message()));
  for (const auto& path : old) {
    fs::remove(path, error);
    if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", path.string(), error.message()));
  }
  return {};
}

Result<std::string> LogArchive::slice(const std::string& name, std::uint64_t offset, std::size_t max) const {
  if (!postgres::is_segment_name(name)) return fail(ErrorCode::kBadMessage, phrase("send a log file: '{}' is no name of one", name));
  const os::Descriptor descriptor(::open(file(name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor) return fail(ErrorCode::kNotFound, phrase("send the log file {}: it is not kept (any more)", name));
  std::string bytes(max, '\0');
  std::size_t filled = 0;
  while (filled < max) {
    const auto got = ::pread(descriptor.number(), bytes.data() + filled, max - filled, static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorCode::kIo, phrase("read {}: {}", file(name).string(), verbatim(std::strerror(errno))));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace verbund::mirror
