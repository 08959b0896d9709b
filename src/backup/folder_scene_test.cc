// What the tests of folders share (folder_fixture.h).
#include <array>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backup/folder_fixture.h"
#include "backup/stock_program_fixture.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

void put_sparse(const fs::path& path, std::uint64_t size, const std::vector<std::uint64_t>& at) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ASSERT_GE(file, 0) << path;
  for (const std::uint64_t offset : at) EXPECT_EQ(::pwrite(file, "something", 9, static_cast<off_t>(offset)), 9);
  EXPECT_EQ(::ftruncate(file, static_cast<off_t>(size)), 0);
  ::close(file);
}

void put_odd_names(const fs::path& root) {
  for (const char* name : {"\xE4rzte.txt", "\xC3\xA4rzte.txt", "a\xCC\x88rzte.txt", "new\nline", "-rf", "back\\slash", " blank ", "*", "[x]{y}", "#end", "%20"}) {
    put_file(root / "names" / name, name);
  }
  put_file(root / "names" / std::string(255, 'x'), "longest");
  put_file(root / deep_path(), "deep");
  put_file(root / std::string(99, 'e') / "f", "at the edge");
  fs::create_directories(root / "empty folder");
  put_file(root / "empty file", "");
}

void put_links(const fs::path& root) {
  put_file(root / "links/first", "one content");
  fs::create_hard_link(root / "links/first", root / "links/second");
  fs::create_directories(root / "links/below");
  fs::create_hard_link(root / "links/first", root / "links/below/third");
  fs::create_symlink("../links/first", root / "links/relative");
  fs::create_symlink("/nowhere/at/all", root / "links/dangling");
  fs::create_symlink(fs::path(std::string(300, 'z')) / "\xE4", root / "links/long");
  set_time(root / "links/dangling", 1'000'000'000, 1);
  EXPECT_EQ(::mkfifo((root / "links/pipe").c_str(), 0640), 0);
}

void put_holes(const fs::path& root) {
  fs::create_directories(root / "sparse");
  put_sparse(root / "sparse/all hole", 1 << 20, {});
  put_sparse(root / "sparse/begin", 3 << 20, {(3 << 20) - 9});
  put_sparse(root / "sparse/end", 1ULL << 26, {0, 1 << 20});
  put_sparse(root / "sparse/odd end", (1 << 20) + 77, {4096, 65536});
  put_file(root / "sparse/none", std::string(100'000, '\0'));
}

void put_rights(const fs::path& root) {
  for (const int mode : {0600, 0000, 0444, 0755, 0777}) {
    if (mode == 0 && ::geteuid() != 0) continue;  // only root could save it
    const fs::path file = root / "modes" / fmt::format("{:o}", mode);
    put_file(file, "x");
    ::chmod(file.c_str(), static_cast<mode_t>(mode));
  }
  put_file(root / "modes/set-id", "x");
  ::chmod((root / "modes/set-id").c_str(), 04755);
  for (const auto& [name, mode] : {std::pair{"sticky", 01777}, {"group", 02775}, {"closed", 0555}}) {
    put_file(root / "modes" / name / "file", name);
    ::chmod((root / "modes" / name).c_str(), static_cast<mode_t>(mode));
  }
  if (::geteuid() != 0) return;
  for (const unsigned id : {1U, 12345U, 3'000'000U, 2'000'000'000U}) {
    put_file(root / "owners" / fmt::to_string(id), "x");
    EXPECT_EQ(::chown((root / "owners" / fmt::to_string(id)).c_str(), id, id), 0);
  }
  EXPECT_EQ(::chown((root / "modes/set-id").c_str(), 1, 1), 0);
  ::chmod((root / "modes/set-id").c_str(), 06755);
}

void put_attributes(const fs::path& root) {
  put_file(root / "attributes/file", "x");
  fs::create_directories(root / "attributes/folder");
  if (!set_attribute(root / "attributes/file", "user.comment", "with = and % and \n")) return;
  set_attribute(root / "attributes/file", "user.a=b%c", std::string_view("\0\1\2", 3));
  set_attribute(root / "attributes/file", "user.empty", "");
  set_attribute(root / "attributes/folder", "user.large", std::string(3000, 'l'));
  if (::geteuid() == 0) set_attribute(root / "attributes/file", "trusted.verbund", "t");
  set_attribute(root / "attributes/file", "system.posix_acl_access", sample_acl());
  set_attribute(root / "attributes/folder", "system.posix_acl_access", sample_acl());
  set_attribute(root / "attributes/folder", "system.posix_acl_default", sample_acl());
}

std::string read_log(const fs::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

void put_file(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

std::string file_text(const fs::path& path) { return read_log(path); }

void set_time(const fs::path& path, std::int64_t seconds, long nanoseconds) {
  const timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
  EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

fs::path deep_path() {
  fs::path path = std::string(120, 'a');
  path /= std::string(120, 'b');
  return path / fmt::format("{}\xFF", std::string(50, 'c'));
}

bool set_attribute(const fs::path& path, const std::string& name, std::string_view value) {
  if (::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0) return true;
  static std::set<std::string> told;
  if (told.insert(name).second) std::cout << "[ NOTE     ] without " << name << ": " << std::strerror(errno) << "\n";
  return false;
}

std::string sample_acl() {
  constexpr std::array<unsigned char, 44> kBytes{2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 5, 0, 1, 0, 0, 0, 4, 0,
                                                 5, 0, 255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255};
  return {reinterpret_cast<const char*>(kBytes.data()), kBytes.size()};
}

void make_odd_tree(const fs::path& root) {
  put_odd_names(root);
  put_links(root);
  put_holes(root);
  put_attributes(root);
  put_file(root / "times/old", "1960");
  put_file(root / "times/before", "just before 1970");
  put_file(root / "times/far", "after 2242");
  put_rights(root);
  set_time(root / "times/old", -300'000'000, 250'000'000);
  set_time(root / "times/before", -1, 999'999'999);
  set_time(root / "times/far", 9'000'000'000, 0);
  set_time(root / "times", 1'700'000'000, 1);
  set_time(root / "modes/closed", 1'600'000'000, 123'456'789);
  set_time(root / "names", 1'700'000'000, 999'999'990);
  set_time(root, 1'500'000'000, 5);
}

void make_random_tree(const fs::path& root, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<fs::path> folders{root}, files;
  fs::create_directories(root);
  for (int i = 0; i < 120; ++i) {
    std::string name;
    for (std::uint64_t left = 1 + random() % 30; left > 0; --left) {
      const char c = static_cast<char>(1 + random() % 255);
      name += c == '/' || c == '.' ? '_' : c;
    }
    const fs::path path = folders[random() % folders.size()] / name;
    if (fs::exists(fs::symlink_status(path))) continue;
    switch (random() % 6) {
      case 0: fs::create_directory(path); folders.push_back(path); break;
      case 1: fs::create_symlink(name + "/../x", path); break;
      case 2: put_sparse(path, random() % 5'000'000, {random() % 4'000'000}); break;
      case 3:
        if (!files.empty()) fs::create_hard_link(files[random() % files.size()], path);
        break;
      default:
        put_file(path, sample_bytes(random(), random() % 3 == 0 ? random() % 300'000 : random() % 2000));
        files.push_back(path);
    }
    if (random() % 4 == 0 && fs::exists(fs::symlink_status(path))) set_time(path, static_cast<std::int64_t>(random() % 2'000'000'000), static_cast<long>(random() % 1'000'000'000));
    if (random() % 8 == 0 && fs::is_regular_file(fs::symlink_status(path))) set_attribute(path, "user.x", name);
  }
}

std::string differences(const fs::path& left, const fs::path& right) {
  const auto outcome = run_program({"rsync", "-aAXHnci", "--modify-window=-1", "--numeric-ids", "--delete", left.native() + "/", right.native() + "/"});
  return outcome.output + outcome.errors + (outcome.exit_code == 0 ? "" : fmt::format("rsync ended with {}", outcome.exit_code));
}

std::string extract_with_tar(const std::string& archive, const fs::path& into) {
  put_file(into.native() + ".tar", archive);
  fs::create_directories(into);
  const auto outcome = run_program({"tar", "--acls", "--xattrs", "--xattrs-include=*", "--warning=no-timestamp", "-xpf", into.native() + ".tar", "-C", into.native()});
  return outcome.output + outcome.errors + (outcome.exit_code == 0 ? "" : fmt::format("tar ended with {}", outcome.exit_code));
}

Saved save(const SaveFolderOptions& options) {
  Saved saved;
  StringSink archive(saved.archive), index(saved.index);
  NoProgress progress;
  auto result = save_folder(options, archive, &index, progress);
  if (!result) ADD_FAILURE() << result.error().message;
  else saved.result = std::move(*result);
  return saved;
}

Saved save(const fs::path& root) {
  SaveFolderOptions options;
  options.root = root;
  return save(options);
}

int in_child(const std::function<bool()>& task) {
  std::cout.flush();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(task() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace verbund::backup
