/// What a medium may hold as manifest.json. What is taken can be written and is read again the same.
#include <cstdint>
#include <cstdlib>

#include "backup/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::backup;
  const auto manifest = read_manifest({reinterpret_cast<const char*>(data), size});
  if (!manifest) {
    if (manifest.error().message.empty()) std::abort();
    return 0;
  }
  const std::string json = manifest_json(*manifest);
  const auto again = read_manifest(json);
  if (!again || manifest_json(*again) != json) std::abort();
  if (!read_manifest(manifest_json(without_details(*manifest)))) std::abort();
  return 0;
}
