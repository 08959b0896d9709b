// Whatever the bytes: an entry or a refusal, and every value a refusal of unknown settings could name has a line.
#include <cstdlib>

#include "platform/os/config_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  auto file = verbund::os::ConfigFile::parse_properties(text, "fuzz");
  if (!file) {
    if (file.error().code != verbund::ErrorCode::kBadConfig || !file.error().message.starts_with("fuzz:")) std::abort();
    return 0;
  }
  (void)file->integer("a", 0, 0, 10);
  (void)file->boolean("b", false);
  (void)file->list("c", {});
  const auto unknown = file->refuse_unknown();
  if (!unknown && unknown.error().message.starts_with("fuzz:0:")) std::abort();
  return 0;
}
