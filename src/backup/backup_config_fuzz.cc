// config/backup.toml: whatever stands in it is read or refused.
#include <cstddef>
#include <cstdint>

#include "backup/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto file = verbund::os::ConfigFile::parse_toml(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.toml");
  if (file) static_cast<void>(verbund::backup::read_config(*file).has_value());
  return 0;
}
