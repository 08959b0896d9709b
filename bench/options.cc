#include "options.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace verbund::bench {

void give_up(std::string_view what, std::string_view why) {
  fmt::print(stderr, "{}: {}\n", what, why);
  std::exit(1);
}

void give_up_errno(std::string_view what) { give_up(what, std::strerror(errno)); }

Options::Options(int argc, char** argv) {
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (!name.starts_with("--") || i + 1 == argc) give_up("arguments", fmt::format("'{}' is no --name with a value", name));
    values_[name.substr(2)] = argv[i + 1];
  }
}

std::string Options::text(const std::string& name, std::string fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::move(fallback) : found->second;
}

std::string Options::text(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) give_up("arguments", fmt::format("--{} is missing", name));
  return found->second;
}

long Options::number(const std::string& name, long fallback) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return fallback;
  char* end = nullptr;
  const long value = std::strtol(found->second.c_str(), &end, 10);
  if (*end != '\0' || found->second.empty()) give_up("arguments", fmt::format("--{} wants a number", name));
  return value;
}

std::string token_of(const std::string& client_toml) {
  std::ifstream file(client_toml);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("token")) continue;
    const auto begin = line.find('"');
    const auto end = line.rfind('"');
    if (begin != std::string::npos && end > begin) return line.substr(begin + 1, end - begin - 1);
  }
  give_up("read the token", fmt::format("{} holds none", client_toml));
}

void raise_descriptor_limit(unsigned long needed) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) give_up_errno("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) give_up_errno("setrlimit");
  if (limit.rlim_cur < needed) give_up("descriptors", fmt::format("{} are needed, {} allowed", needed, limit.rlim_cur));
}

}  // namespace verbund::bench
