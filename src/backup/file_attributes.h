#pragma once
/// What stat does not tell of a file: ACLs and extended attributes, read and set. One thread. For this folder's units only.
#include <string>
#include <vector>

#include "backup/owner_names.h"
#include "backup/tree_member.h"

namespace verbund::backup {

/// A file by its descriptor; `path_only`: opened with O_PATH (links, pipes), reached through /proc/self/fd.
struct OpenFile {
  int descriptor = -1;
  bool path_only = false;
};

class AttributeReader {
 public:
  explicit AttributeReader(OwnerNames& names);
  /// Fills access_acl, default_acl and attributes: user.*, security.*, trusted.* (only root is shown those), by name.
  /// 0, or errno: some could not be read.
  int read(OpenFile file, TreeMember& member);

 private:
  int read_one(const std::string& target, OpenFile file, const char* name, TreeMember& member);
  OwnerNames* names_;
  std::vector<char> list_, value_;
};

/// Extended attributes and ACLs of a file whose owner and mode are set. What can't be set is added to `failed`, by attribute's name.
void set_attributes(OpenFile file, const TreeMember& member, OwnerNames& names, std::vector<std::string>& failed);

}  // namespace verbund::backup
