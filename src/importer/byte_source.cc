#include "importer/byte_source.h"

#include <zlib.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::importer {
namespace {

constexpr unsigned kPieceBytes = 256 * 1024;

}  // namespace

void ByteSource::Close::operator()(gzFile_s* handle) const { gzclose(handle); }

ByteSource::ByteSource(gzFile_s* handle, const InputFile& file) : handle_(handle), file_(&file), buffer_(kPieceBytes, '\0') {}

Result<ByteSource> ByteSource::open(const InputFile& file) {
  gzFile handle = gzopen(file.path.c_str(), "rb");
  if (handle == nullptr) return fail(ErrorCode::kIo, phrase("read {}: {}", file.shown, std::strerror(errno)));
  gzbuffer(handle, kPieceBytes);
  return ByteSource(handle, file);
}

Result<std::string_view> ByteSource::next() {
  const int got = gzread(handle_.get(), buffer_.data(), kPieceBytes);
  int code = Z_OK;
  Phrase cause = verbatim(gzerror(handle_.get(), &code));
  if (got < 0 || code == Z_BUF_ERROR) {
    if (code == Z_ERRNO) cause = verbatim(std::strerror(errno));
    if (code == Z_BUF_ERROR) cause = phrase("the compressed file ends too early");
    return fail(code == Z_ERRNO ? ErrorCode::kIo : ErrorCode::kBadInput, phrase("read {}: {}", file_->shown, cause));
  }
  return std::string_view(buffer_.data(), static_cast<std::size_t>(got));
}

std::uint64_t ByteSource::disk_position() const {
  const auto offset = gzoffset(handle_.get());
  return offset < 0 ? 0 : static_cast<std::uint64_t>(offset);
}

void DiskProgress::update() {
  const auto now = source_.disk_position();
  total_ += now - std::min(now, seen_);
  seen_ = std::max(now, seen_);
}

}  // namespace verbund::importer
