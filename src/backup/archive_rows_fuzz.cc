/// What might stand in an archive of pg_dump: any bytes, in any pieces, cost bounded memory and come to the same end.
#include <cstdint>
#include <cstdlib>

#include "backup/archive_rows.h"
#include "backup/database.h"

namespace {

using namespace verbund;

Result<std::vector<backup::TableHash>> sums(std::string_view text, std::size_t piece) {
  backup::ArchiveRows rows;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    if (auto taken = rows.take(text.substr(0, piece)); !taken) return pass(taken);
  }
  return rows.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto whole = sums(text, size), cut = sums(text, 3);
  if (whole.has_value() != cut.has_value()) std::abort();
  if (whole && !backup::compare_hashes(*whole, *cut)) std::abort();
  return 0;
}
