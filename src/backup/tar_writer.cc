#include "backup/tar_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "backup/tar_format.h"
#include "base/utf8.h"

namespace verbund::backup {
namespace {

using tar::Block;
using tar::Field;

/// Large enough that neither system calls nor the sink's locks count.
constexpr std::size_t kBufferBytes = 1024 * 1024;
constexpr std::size_t kLeastRoom = 64 * 1024;

char type_flag(MemberType type) {
  switch (type) {
    case MemberType::kFile: return '0';
    case MemberType::kHardLink: return '1';
    case MemberType::kSymbolicLink: return '2';
    case MemberType::kCharacterDevice: return '3';
    case MemberType::kBlockDevice: return '4';
    case MemberType::kFolder: return '5';
    case MemberType::kFifo: return '6';
  }
  return '0';
}

void put_text(Block& block, Field field, std::string_view text) {
  std::memcpy(block.data() + field.offset, text.data(), std::min(text.size(), field.length));
}

/// What does not fit stands in a pax record; the field then holds zero.
void put_number(Block& block, Field field, std::uint64_t value) {
  const auto text = fmt::format("{:0{}o}", value <= tar::largest(field.length) ? value : 0, field.length - 1);
  put_text(block, field, text);
}

void seal(Block& block) {
  put_text(block, tar::kMagic, std::string_view("ustar\00000", 8));
  put_text(block, tar::kChecksum, fmt::format("{:06o}", tar::checksum(block)) + std::string("\0 ", 2));
}

bool ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// What is not UTF-8 has no place in a pax record as long as the ustar field holds it: readers would try to convert it.
bool needs_record(std::string_view text, std::size_t field_bytes) {
  return text.size() > field_bytes || (!ascii(text) && is_utf8(text));
}

std::string name_of(const TreeMember& member) {
  if (member.path.empty()) return "./";
  return member.type == MemberType::kFolder ? member.path + "/" : member.path;
}

std::string time_text(const Timestamp& time) {
  // -1.25 s is -2 s and 750,000,000 ns here, "-1.25" there.
  const bool negative = time.seconds < 0;
  const bool borrowed = negative && time.nanoseconds > 0;
  const std::int64_t whole = borrowed ? time.seconds + 1 : time.seconds;
  const std::uint32_t part = borrowed ? 1'000'000'000 - time.nanoseconds : time.nanoseconds;
  std::string text = fmt::format("{}{}", negative && whole == 0 ? "-" : "", whole);
  if (part == 0) return text;
  text += fmt::format(".{:09}", part);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

std::string sparse_map(const TreeMember& member) {
  std::string map = fmt::format("{}\n", member.extents.size());
  for (const Extent& extent : member.extents) map += fmt::format("{}\n{}\n", extent.offset, extent.length);
  map.resize(map.size() + tar::padding(map.size()), '\0');
  return map;
}

std::string pax_records(const TreeMember& member, const std::string& name, std::uint64_t archived) {
  std::string out;
  if (member.sparse) {
    out += tar::record("GNU.sparse.major", "1") + tar::record("GNU.sparse.minor", "0") + tar::record("GNU.sparse.name", name) +
           tar::record("GNU.sparse.realsize", fmt::to_string(member.size));
  } else if (needs_record(name, tar::kName.length)) {
    out += tar::record("path", name);
  }
  if (needs_record(member.link, tar::kLink.length)) out += tar::record("linkpath", member.link);
  const bool plain_time = member.modified.nanoseconds == 0 && member.modified.seconds >= 0 &&
                          static_cast<std::uint64_t>(member.modified.seconds) <= tar::largest(tar::kModified.length);
  if (!plain_time) out += tar::record("mtime", time_text(member.modified));
  if (archived > tar::largest(tar::kSize.length)) out += tar::record("size", fmt::to_string(archived));
  if (member.uid > tar::largest(tar::kUid.length)) out += tar::record("uid", fmt::to_string(member.uid));
  if (member.gid > tar::largest(tar::kGid.length)) out += tar::record("gid", fmt::to_string(member.gid));
  if (needs_record(member.owner, tar::kOwner.length - 1)) out += tar::record("uname", member.owner);
  if (needs_record(member.group, tar::kGroup.length - 1)) out += tar::record("gname", member.group);
  if (!member.access_acl.empty()) out += tar::record("SCHILY.acl.access", member.access_acl);
  if (!member.default_acl.empty()) out += tar::record("SCHILY.acl.default", member.default_acl);
  for (const auto& [key, value] : member.attributes) out += tar::record("SCHILY.xattr." + tar::encode_attribute(key), value);
  return out;
}

Block pax_header(std::string_view name, std::size_t bytes) {
  Block block{};
  // For readers that don't know pax: a file of that name appears.
  put_text(block, tar::kName, "PaxHeaders/" + std::string(name.substr(0, 80)));
  put_number(block, tar::kMode, 0644);
  put_number(block, tar::kUid, 0);
  put_number(block, tar::kGid, 0);
  put_number(block, tar::kSize, bytes);
  put_number(block, tar::kModified, 0);
  block[tar::kType.offset] = 'x';
  seal(block);
  return block;
}

Block member_header(const TreeMember& member, const std::string& name, std::uint64_t archived) {
  Block block{};
  put_text(block, tar::kName, member.sparse ? "GNUSparseFile.0/" + name : name);
  put_text(block, tar::kLink, member.link);
  put_number(block, tar::kMode, member.mode & 07777);
  put_number(block, tar::kUid, member.uid);
  put_number(block, tar::kGid, member.gid);
  put_number(block, tar::kSize, archived);
  put_number(block, tar::kModified, member.modified.seconds > 0 ? static_cast<std::uint64_t>(member.modified.seconds) : 0);
  block[tar::kType.offset] = type_flag(member.type);
  put_text(block, tar::kOwner, std::string_view(member.owner).substr(0, tar::kOwner.length - 1));
  put_text(block, tar::kGroup, std::string_view(member.group).substr(0, tar::kGroup.length - 1));
  put_number(block, tar::kMajor, member.device_major);
  put_number(block, tar::kMinor, member.device_minor);
  seal(block);
  return block;
}

std::string_view view(const Block& block) { return {block.data(), block.size()}; }

}  // namespace

TarWriter::TarWriter(Sink& sink) : sink_(&sink), buffer_(kBufferBytes) {}

Status TarWriter::begin(const TreeMember& member) {
  assert(left_ == 0);
  if (auto padded = pad(std::exchange(padding_, 0)); !padded) return padded;
  const std::string name = name_of(member);
  const std::string map = member.sparse ? sparse_map(member) : std::string();
  const std::uint64_t archived = member.stored() + map.size();
  const std::string records = pax_records(member, name, archived);
  if (!records.empty()) {
    if (auto put_header = put(view(pax_header(name, records.size()))); !put_header) return put_header;
    if (auto put_records = put(records); !put_records) return put_records;
    if (auto padded = pad(tar::padding(records.size())); !padded) return padded;
  }
  if (auto put_header = put(view(member_header(member, name, archived))); !put_header) return put_header;
  left_ = member.stored();
  padding_ = tar::padding(archived);
  return put(map);
}

Result<std::span<char>> TarWriter::room() {
  const std::uint64_t wanted = std::min<std::uint64_t>(left_, kLeastRoom);
  if (buffer_.size() - used_ < wanted) {
    if (auto flushed = flush(); !flushed) return pass(flushed);
  }
  const std::uint64_t free = buffer_.size() - used_;
  return std::span(buffer_).subspan(used_, static_cast<std::size_t>(std::min(free, left_)));
}

void TarWriter::fill(std::size_t bytes) {
  assert(bytes <= left_ && bytes <= buffer_.size() - used_);
  used_ += bytes;
  left_ -= bytes;
}

Status TarWriter::fill_with_nothing() {
  while (left_ > 0) {
    auto space = room();
    if (!space) return pass(space);
    std::memset(space->data(), 0, space->size());  // ranges::fill goes byte by byte where nothing is optimised: minutes for 9 GiB
    fill(space->size());
  }
  return {};
}

Status TarWriter::finish() {
  assert(left_ == 0);
  if (auto padded = pad(std::exchange(padding_, 0)); !padded) return padded;
  const std::uint64_t end = written() + 2 * tar::kBlock;
  if (auto padded = pad(2 * tar::kBlock + (tar::kRecord - end % tar::kRecord) % tar::kRecord); !padded) return padded;
  return flush();
}

Status TarWriter::put(std::string_view bytes) {
  while (!bytes.empty()) {
    if (used_ == buffer_.size()) {
      if (auto flushed = flush(); !flushed) return flushed;
    }
    const std::size_t part = std::min(bytes.size(), buffer_.size() - used_);
    std::memcpy(buffer_.data() + used_, bytes.data(), part);
    used_ += part;
    bytes.remove_prefix(part);
  }
  return {};
}

Status TarWriter::pad(std::uint64_t bytes) {
  static constexpr std::array<char, tar::kRecord + 2 * tar::kBlock> kNothing{};
  return put(std::string_view(kNothing.data(), static_cast<std::size_t>(bytes)));
}

Status TarWriter::flush() {
  if (used_ == 0) return {};
  const auto bytes = std::exchange(used_, 0);
  written_ += bytes;
  return sink_->write(std::string_view(buffer_.data(), bytes));
}

}  // namespace verbund::backup
