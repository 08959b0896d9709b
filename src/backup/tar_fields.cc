#include "backup/tar_fields.h"

#include <charconv>

#include "backup/tar_reader.h"
#include "base/messages.h"

namespace verbund::backup::tar {
namespace {

std::unexpected<Error> damaged(Phrase what) { return fail(ErrorCode::kDamaged, std::move(what)); }

const std::string* find(const Records& records, std::string_view key) {
  const auto found = records.find(key);
  return found == records.end() ? nullptr : &found->second;
}

std::optional<std::uint64_t> number(const Block& block, Field field, const Records& records, std::string_view key) {
  if (const auto* text = find(records, key)) return decimal(*text);
  return read_number(block, field);
}

std::optional<Timestamp> read_time(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const std::size_t point = std::min(text.find('.'), text.size());
  const auto whole = decimal(text.substr(0, point));
  if (!whole || *whole > (std::uint64_t{1} << 60)) return std::nullopt;
  std::string part(text.substr(std::min(point + 1, text.size())));
  part.resize(9, '0');  // finer than nanoseconds is cut
  const auto nanoseconds = decimal(part);
  if (!nanoseconds) return std::nullopt;
  Timestamp time{static_cast<std::int64_t>(*whole), static_cast<std::uint32_t>(*nanoseconds)};
  if (!negative) return time;
  time.seconds = -time.seconds - (time.nanoseconds > 0 ? 1 : 0);
  if (time.nanoseconds > 0) time.nanoseconds = 1'000'000'000 - time.nanoseconds;
  return time;
}

std::optional<MemberType> read_type(char flag) {
  switch (flag) {
    case '\0':
    case '0':
    case '7': return MemberType::kFile;
    case '1': return MemberType::kHardLink;
    case '2': return MemberType::kSymbolicLink;
    case '3': return MemberType::kCharacterDevice;
    case '4': return MemberType::kBlockDevice;
    case '5': return MemberType::kFolder;
    case '6': return MemberType::kFifo;
    default: return std::nullopt;
  }
}

std::string text_of(const Block& block, Field field, const Records& records, std::string_view key) {
  if (const auto* text = find(records, key)) return *text;
  return std::string(read_text(block, field));
}

/// "./a/b/" is a/b here; "./" is the root.
Status tidy_path(std::string& path, bool folder) {
  if (path.starts_with("./")) path.erase(0, 2);
  if (folder && path == ".") path.clear();
  if (folder && path.ends_with('/')) path.pop_back();
  if (!is_member_path(path) || (path.empty() && !folder)) return damaged(phrase("a name that leads out of the tree"));
  return {};
}

Status read_names(const Block& block, const Records& records, TreeMember& member) {
  const auto* sparse_name = find(records, "GNU.sparse.name");
  const auto* long_name = sparse_name != nullptr ? sparse_name : find(records, "path");
  if (long_name != nullptr) {
    member.path = *long_name;
  } else {
    const bool ustar = std::string_view(block.data() + kMagic.offset, 6) == std::string_view("ustar\0", 6);
    const auto prefix = ustar ? read_text(block, kPrefix) : std::string_view();
    member.path = prefix.empty() ? std::string(read_text(block, kName)) : std::string(prefix) + "/" + std::string(read_text(block, kName));
  }
  if (auto tidied = tidy_path(member.path, member.type == MemberType::kFolder); !tidied) return tidied;
  member.link = text_of(block, kLink, records, "linkpath");
  if (member.type == MemberType::kHardLink) return tidy_path(member.link, false);
  if (member.type != MemberType::kSymbolicLink) member.link.clear();
  else if (member.link.empty() || member.link.find('\0') != std::string::npos) return damaged(phrase("a symbolic link that says nothing"));
  return {};
}

Status read_owner(const Block& block, const Records& records, TreeMember& member) {
  const auto mode = read_number(block, kMode);
  const auto uid = number(block, kUid, records, "uid");
  const auto gid = number(block, kGid, records, "gid");
  if (!mode || !uid || !gid || *uid > 0xFFFFFFFE || *gid > 0xFFFFFFFE) return damaged(phrase("mode or owner is no number"));
  member.mode = static_cast<std::uint32_t>(*mode & 07777);
  member.uid = *uid;
  member.gid = *gid;
  member.owner = text_of(block, kOwner, records, "uname");
  member.group = text_of(block, kGroup, records, "gname");
  const auto seconds = read_number(block, kModified);
  std::optional<Timestamp> time;
  if (const auto* text = find(records, "mtime")) time = read_time(*text);
  else if (seconds && *seconds <= (std::uint64_t{1} << 60)) time = Timestamp{static_cast<std::int64_t>(*seconds), 0};
  if (!time) return damaged(phrase("the modification time is no number"));
  member.modified = *time;
  return {};
}

void read_attributes(const Records& records, TreeMember& member) {
  constexpr std::string_view kAttribute = "SCHILY.xattr.";
  if (const auto* acl = find(records, "SCHILY.acl.access")) member.access_acl = *acl;
  if (const auto* acl = find(records, "SCHILY.acl.default")) member.default_acl = *acl;
  for (auto at = records.lower_bound(kAttribute); at != records.end() && at->first.starts_with(kAttribute); ++at) {
    member.attributes.emplace_back(decode_attribute(std::string_view(at->first).substr(kAttribute.size())), at->second);
  }
}

Status read_sparse(const Records& records, TreeMember& member) {
  const auto* major = find(records, "GNU.sparse.major");
  const auto* minor = find(records, "GNU.sparse.minor");
  if (major == nullptr && minor == nullptr) {
    const auto other = records.lower_bound("GNU.sparse.");
    if (other != records.end() && other->first.starts_with("GNU.sparse.")) return damaged(phrase("an old sparse format"));
    return {};
  }
  const auto* size = find(records, "GNU.sparse.realsize");
  const auto bytes = size != nullptr ? decimal(*size) : std::nullopt;
  if (member.type != MemberType::kFile || major == nullptr || *major != "1" || minor == nullptr || *minor != "0" || !bytes) {
    return damaged(phrase("a sparse format that is not known"));
  }
  member.sparse = true;
  member.size = *bytes;
  return {};
}

}  // namespace

std::optional<std::uint64_t> decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Status read_fields(const Block& block, const Records& records, TreeMember& member, std::uint64_t& archived) {
  member = TreeMember{};
  const auto type = read_type(block[kType.offset]);
  if (!type) return damaged(phrase("a member of unknown kind"));
  member.type = *type;
  if (auto names = read_names(block, records, member); !names) return names;
  if (auto owner = read_owner(block, records, member); !owner) return owner;
  const auto size = number(block, kSize, records, "size");
  if (!size || *size > (std::uint64_t{1} << 62)) return damaged(phrase("the size is no number"));
  if (*size > 0 && member.type != MemberType::kFile) return damaged(phrase("content where none can be"));
  archived = *size;
  member.size = *size;
  if (auto sparse = read_sparse(records, member); !sparse) return sparse;
  if (member.type == MemberType::kCharacterDevice || member.type == MemberType::kBlockDevice) {
    member.device_major = static_cast<std::uint32_t>(read_number(block, kMajor).value_or(0));
    member.device_minor = static_cast<std::uint32_t>(read_number(block, kMinor).value_or(0));
  }
  read_attributes(records, member);
  return {};
}

}  // namespace verbund::backup::tar
