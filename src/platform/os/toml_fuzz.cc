// Whatever the bytes: a flat view or a refusal that names a line.
#include <cstdlib>

#include "platform/os/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  auto file = verbund::os::ConfigFile::parse_toml(text, "fuzz");
  if (!file) {
    if (file.error().code != verbund::ErrorCode::kBadConfig || !file.error().message.starts_with("fuzz:")) std::abort();
    return 0;
  }
  for (std::size_t i = 0; i < file->count("a"); ++i) (void)file->text("a." + std::to_string(i) + ".b", "");
  (void)file->integer("b", 0, 0, 10);
  const auto unknown = file->refuse_unknown();
  if (!unknown && unknown.error().message.starts_with("fuzz:0:")) std::abort();
  return 0;
}
