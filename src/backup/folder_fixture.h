#pragma once
/// Trees with everything that file systems have, for tests; and outside tools that compare them.
#include <filesystem>
#include <functional>
#include <random>
#include <string>

#include "backup/folders.h"
#include "backup/memory_stream_fixture.h"

namespace verbund::backup {

class NoProgress final : public Progress {
 public:
  void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
};

/// Writes a file, its folders too.
void put_file(const std::filesystem::path& path, std::string_view content);
std::string file_text(const std::filesystem::path& path);
void set_time(const std::filesystem::path& path, std::int64_t seconds, long nanoseconds);
/// False (and says why, once): the file system, or the user, has none.
bool set_attribute(const std::filesystem::path& path, const std::string& name, std::string_view value);
/// user::rwx,user:1:r-x,group::r-x,mask::rwx,other::--- as the kernel has it.
std::string sample_acl();

/// One of the odd tree's files, over 255 bytes and no UTF-8.
std::filesystem::path deep_path();

/// Odd names, times, rights, owners, links, holes, ACLs, attributes; owners and devices only as root. No sockets.
void make_odd_tree(const std::filesystem::path& root);
/// The same kind of things by chance, equal for equal seeds.
void make_random_tree(const std::filesystem::path& root, std::uint64_t seed);

/// What rsync would have to change (-aAXHnci, times to the nanosecond): empty when the trees are equal.
std::string differences(const std::filesystem::path& left, const std::filesystem::path& right);
/// GNU tar's extraction into `into`, which is made. Its complaints; empty: none.
std::string extract_with_tar(const std::string& archive, const std::filesystem::path& into);

struct Saved {
  SavedFolder result;
  std::string archive, index;
};
/// Of `options.root`; a test failure when it is an error.
Saved save(const SaveFolderOptions& options);
Saved save(const std::filesystem::path& root);

/// Runs `task` in a child process that ends with 0 when it returns true; its exit code, or 128 + signal.
int in_child(const std::function<bool()>& task);

}  // namespace verbund::backup
