#include "backup/tar_reader.h"

#include <algorithm>
#include <cstring>

#include "backup/tar_fields.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kBufferBytes = 1024 * 1024;

bool all_nothing(const tar::Block& block) {
  return std::ranges::all_of(block, [](char c) { return c == '\0'; });
}

}  // namespace

bool is_member_path(std::string_view path) {
  if (path.size() > kMaxMemberPathBytes || path.find('\0') != std::string_view::npos) return false;
  if (path.empty()) return true;
  while (true) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const auto part = path.substr(0, end);
    if (part.empty() || part == "." || part == "..") return false;
    if (end == path.size()) return true;
    path.remove_prefix(end + 1);
  }
}

TarReader::TarReader(Source& source) : source_(&source), buffer_(kBufferBytes) {}

std::unexpected<Error> TarReader::damaged(Phrase what) const {
  return std::unexpected(make_error(ErrorCode::kDamaged, std::move(what)).in(phrase("archive at byte {}", position_)));
}

/// More bytes behind end_; false: the source has ended.
Result<bool> TarReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  auto got = source_->read(std::span(buffer_).subspan(end_));
  if (!got) return pass(got);
  end_ += *got;
  return *got > 0;
}

Status TarReader::take_block(tar::Block& block) {
  while (end_ - begin_ < tar::kBlock) {
    auto filled = fill();
    if (!filled) return pass(filled);
    if (!*filled) return damaged(phrase("it ends too early"));
  }
  std::memcpy(block.data(), buffer_.data() + begin_, tar::kBlock);
  begin_ += tar::kBlock;
  position_ += tar::kBlock;
  return {};
}

Status TarReader::skip(std::uint64_t bytes) {
  while (bytes > 0) {
    if (begin_ == end_) {
      auto filled = fill();
      if (!filled) return pass(filled);
      if (!*filled) return damaged(phrase("it ends too early"));
    }
    const auto part = std::min<std::uint64_t>(bytes, end_ - begin_);
    begin_ += static_cast<std::size_t>(part);
    position_ += part;
    bytes -= part;
  }
  return {};
}

Result<std::string> TarReader::take_text(std::uint64_t bytes) {
  if (bytes > kMaxTarRecordBytes) return damaged(phrase("records that are too long"));
  std::string text;
  text.reserve(static_cast<std::size_t>(bytes));
  for (std::uint64_t left = bytes; left > 0;) {
    tar::Block block;
    if (auto taken = take_block(block); !taken) return pass(taken);
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left, tar::kBlock));
    text.append(block.data(), part);
    left -= part;
  }
  return text;
}

/// Behind the end marks stand NULs only, and then nothing.
Status TarReader::end() {
  while (true) {
    const auto rest = std::span(buffer_).subspan(begin_, end_ - begin_);
    if (!std::ranges::all_of(rest, [](char c) { return c == '\0'; })) return damaged(phrase("something behind its end"));
    position_ += rest.size();
    begin_ = end_ = 0;
    auto filled = fill();
    if (!filled) return pass(filled);
    if (!*filled) return {};
  }
}

Result<bool> TarReader::next(TreeMember& member) {
  if (auto skipped = skip(left_ + padding_); !skipped) return pass(skipped);
  left_ = padding_ = 0;
  return take_header(member);
}

Result<bool> TarReader::take_header(TreeMember& member) {
  Records records;
  for (int extensions = 0;; ++extensions) {
    tar::Block block;
    if (auto taken = take_block(block); !taken) return pass(taken);
    if (all_nothing(block)) {
      if (extensions > 0) return damaged(phrase("records without their member"));
      if (auto taken = take_block(block); !taken) return pass(taken);
      if (!all_nothing(block)) return damaged(phrase("only one end mark"));
      if (auto ended = end(); !ended) return pass(ended);
      return false;
    }
    const auto sum = tar::read_number(block, tar::kChecksum);
    if (!sum || *sum != tar::checksum(block)) return damaged(phrase("wrong check sum of a header"));
    const char type = block[tar::kType.offset];
    if (std::string_view("xgLK").find(type) == std::string_view::npos) {
      if (auto read = read_member(block, records, member); !read) return pass(read);
      return true;
    }
    const auto bytes = tar::read_number(block, tar::kSize);
    if (!bytes || extensions == 8) return damaged(phrase("extensions that can't be read"));
    if (auto read = read_extension(type, *bytes, records); !read) return pass(read);
  }
}

Status TarReader::read_extension(char type, std::uint64_t bytes, Records& records) {
  auto text = take_text(bytes);
  if (!text) return pass(text);
  if (type == 'x') return read_records(*text, records);
  if (type == 'g') return {};  // a comment of whoever wrote it
  text->resize(std::strlen(text->c_str()));
  records.insert_or_assign(type == 'L' ? "path" : "linkpath", std::move(*text));
  return {};
}

Status TarReader::read_records(std::string_view text, Records& records) const {
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    const auto length = blank == std::string_view::npos ? std::nullopt : tar::decimal(text.substr(0, blank));
    if (!length || *length > text.size() || *length < blank + 3 || text[*length - 1] != '\n') return damaged(phrase("a record of wrong length"));
    const auto body = text.substr(blank + 1, *length - blank - 2);
    const std::size_t equals = body.find('=');
    if (equals == std::string_view::npos || equals == 0) return damaged(phrase("a record without its key"));
    records.insert_or_assign(std::string(body.substr(0, equals)), std::string(body.substr(equals + 1)));
    text.remove_prefix(*length);
  }
  return {};
}

Status TarReader::read_member(const tar::Block& block, const Records& records, TreeMember& member) {
  std::uint64_t archived = 0;
  if (auto read = tar::read_fields(block, records, member, archived); !read) {
    return pass(read, phrase("archive at byte {}", position_ - tar::kBlock));
  }
  left_ = archived;
  padding_ = tar::padding(archived);
  extent_ = 0;
  in_extent_ = 0;
  if (member.sparse) {
    if (auto map = read_sparse_map(member); !map) return map;
    extents_ = member.extents;
  } else {
    extents_.assign(member.size > 0 ? 1 : 0, Extent{0, member.size});
  }
  return {};
}

/// Digits up to a newline, inside the member's content.
Result<std::uint64_t> TarReader::take_map_number(std::uint64_t& map_bytes) {
  std::string digits;
  while (true) {
    if (left_ == 0 || digits.size() > 20) return damaged(phrase("a sparse map that can't be read"));
    if (begin_ == end_) {
      auto filled = fill();
      if (!filled) return pass(filled);
      if (!*filled) return damaged(phrase("it ends too early"));
    }
    const char c = buffer_[begin_++];
    ++position_;
    ++map_bytes;
    --left_;
    if (c == '\n') break;
    digits += c;
  }
  const auto value = tar::decimal(digits);
  if (!value) return damaged(phrase("a sparse map that can't be read"));
  return *value;
}

Status TarReader::read_sparse_map(TreeMember& member) {
  std::uint64_t map_bytes = 0;
  const auto count = take_map_number(map_bytes);
  if (!count) return std::unexpected(count.error());
  if (*count > kMaxExtents) return damaged(phrase("a sparse map that is too long"));
  std::uint64_t end = 0;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto offset = take_map_number(map_bytes);
    if (!offset) return std::unexpected(offset.error());
    const auto length = take_map_number(map_bytes);
    if (!length) return std::unexpected(length.error());
    if (*offset < end || *offset > member.size || *length > member.size - *offset) return damaged(phrase("a sparse map that contradicts itself"));
    end = *offset + *length;
    member.extents.push_back({*offset, *length});
  }
  const std::uint64_t rest = tar::padding(map_bytes);
  if (rest > left_) return damaged(phrase("a sparse map that can't be read"));
  if (auto skipped = skip(rest); !skipped) return skipped;
  left_ -= rest;
  if (member.stored() != left_) return damaged(phrase("a sparse map that contradicts the size"));
  return {};
}

Result<TarReader::Piece> TarReader::content() {
  while (extent_ < extents_.size() && in_extent_ == extents_[extent_].length) {
    ++extent_;
    in_extent_ = 0;
  }
  if (left_ == 0 || extent_ == extents_.size()) return Piece{};
  if (begin_ == end_) {
    auto filled = fill();
    if (!filled) return pass(filled);
    if (!*filled) return damaged(phrase("it ends too early"));
  }
  const Extent& extent = extents_[extent_];
  const auto bytes = std::min<std::uint64_t>({left_, end_ - begin_, extent.length - in_extent_});
  const Piece piece{extent.offset + in_extent_, {buffer_.data() + begin_, static_cast<std::size_t>(bytes)}};
  begin_ += static_cast<std::size_t>(bytes);
  position_ += bytes;
  left_ -= bytes;
  in_extent_ += bytes;
  return piece;
}

}  // namespace verbund::backup
