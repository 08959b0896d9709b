#include "backup/file_attributes.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/xattr.h>

#include "backup/posix_acl.h"

namespace verbund::backup {
namespace {

/// Linux's limits of the list and of one value (XATTR_LIST_MAX, XATTR_SIZE_MAX).
constexpr std::size_t kLargest = 65536;

std::string reached(OpenFile file) { return file.path_only ? fmt::format("/proc/self/fd/{}", file.descriptor) : std::string(); }

bool none_there(int error) { return error == ENOTSUP || error == ENODATA; }

bool is_kept(std::string_view name) { return name.starts_with("user.") || name.starts_with("security.") || name.starts_with("trusted."); }

bool set(OpenFile file, const std::string& target, const char* name, std::string_view value) {
  const int result = file.path_only ? ::setxattr(target.c_str(), name, value.data(), value.size(), 0)
                                    : ::fsetxattr(file.descriptor, name, value.data(), value.size(), 0);
  return result == 0;
}

}  // namespace

AttributeReader::AttributeReader(OwnerNames& names) : names_(&names), list_(kLargest), value_(kLargest) {}

int AttributeReader::read(OpenFile file, TreeMember& member) {
  const std::string target = reached(file);
  const ssize_t bytes = file.path_only ? ::listxattr(target.c_str(), list_.data(), list_.size())
                                       : ::flistxattr(file.descriptor, list_.data(), list_.size());
  if (bytes < 0) return none_there(errno) ? 0 : errno;
  int failed = 0;
  for (ssize_t at = 0; at < bytes;) {
    const char* name = list_.data() + at;
    at += static_cast<ssize_t>(std::strlen(name)) + 1;
    if (const int error = read_one(target, file, name, member); error != 0) failed = error;
  }
  std::ranges::sort(member.attributes);
  return failed;
}

int AttributeReader::read_one(const std::string& target, OpenFile file, const char* name, TreeMember& member) {
  const bool access = std::strcmp(name, kAccessAcl) == 0;
  const bool inherited = std::strcmp(name, kDefaultAcl) == 0;
  if (!access && !inherited && !is_kept(name)) return 0;
  const ssize_t bytes = file.path_only ? ::getxattr(target.c_str(), name, value_.data(), value_.size())
                                       : ::fgetxattr(file.descriptor, name, value_.data(), value_.size());
  if (bytes < 0) return none_there(errno) ? 0 : errno;
  const std::string_view value(value_.data(), static_cast<std::size_t>(bytes));
  if (!access && !inherited) {
    member.attributes.emplace_back(name, value);
    return 0;
  }
  std::string text = acl_text(value, *names_);
  if (text.empty()) return EINVAL;
  (access ? member.access_acl : member.default_acl) = std::move(text);
  return 0;
}

void set_attributes(OpenFile file, const TreeMember& member, OwnerNames& names, std::vector<std::string>& failed) {
  const std::string target = reached(file);
  for (const auto& [name, value] : member.attributes) {
    if (!is_kept(name) || !set(file, target, name.c_str(), value)) failed.push_back(name);
  }
  const auto set_acl = [&](const char* name, const std::string& text) {
    if (text.empty()) return;
    const std::string bytes = acl_bytes(text, names);
    if (bytes.empty() || !set(file, target, name, bytes)) failed.emplace_back(name);
  };
  set_acl(kAccessAcl, member.access_acl);
  set_acl(kDefaultAcl, member.default_acl);
}

}  // namespace verbund::backup
