#pragma once
/// POSIX ACLs between the kernel's form (the attribute system.posix_acl_access, linux/posix_acl_xattr.h) and the text that stands
/// in archives: "user::rwx,user:anna:r-x:1001,group::r-x,mask::rwx,other::---", which GNU tar and star read. One thread.
#include <string>
#include <string_view>

#include "backup/owner_names.h"

namespace verbund::backup {

inline constexpr const char* kAccessAcl = "system.posix_acl_access";
inline constexpr const char* kDefaultAcl = "system.posix_acl_default";

/// Empty: `bytes` is no ACL of the known version.
std::string acl_text(std::string_view bytes, OwnerNames& names);
/// Users and groups by name, else by number. Empty: the text is none, or names somebody whom this machine does not know.
std::string acl_bytes(std::string_view text, OwnerNames& names);

}  // namespace verbund::backup
