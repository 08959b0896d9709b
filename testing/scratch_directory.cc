#include "testing/scratch_directory.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace verbund::testing {
namespace fs = std::filesystem;
namespace {

/// A socket's name has at most 107 bytes: a longer TMPDIR is not used.
fs::path scratch_base() {
  constexpr std::size_t kMaxBaseBytes = 60;
  const char* tmp = std::getenv("TMPDIR");
  if (tmp == nullptr || *tmp == '\0' || std::string_view(tmp).size() > kMaxBaseBytes) return "/tmp";
  return tmp;
}

}  // namespace

fs::path make_scratch_directory(std::string_view prefix) {
  std::string name = (scratch_base() / prefix).string() + "XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name + " failed");
  // The server's user has to get in when the tests run as root.
  if (::chmod(name.c_str(), 0755) != 0) throw std::runtime_error("chmod " + name + " failed");
  return name;
}

ScratchDirectory::ScratchDirectory() : path_(make_scratch_directory("verbund-test-")) {}
ScratchDirectory::~ScratchDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
  if (error) std::fprintf(stderr, "remove %s: %s\n", path_.c_str(), error.message().c_str());
}

}  // namespace verbund::testing
