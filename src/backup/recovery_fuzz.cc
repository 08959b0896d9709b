/// What people type from a recovery sheet: what is taken is a key that prints the same groups.
#include <cstdint>
#include <cstdlib>

#include "backup/keys.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::backup;
  const auto key = RecipientKey::from_recovery_text({reinterpret_cast<const char*>(data), size});
  if (!key) {
    if (key.error().code != verbund::ErrorCode::kDamaged) std::abort();
    return 0;
  }
  const auto again = RecipientKey::from_recovery_text(key->recovery_text());
  if (!again || again->age_text() != key->age_text()) std::abort();
  return 0;
}
