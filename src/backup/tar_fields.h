#pragma once
/// What header block and pax records say about a member, put together. For this folder's units only; pure.
#include <map>
#include <string>

#include "backup/tar_format.h"
#include "backup/tree_member.h"
#include "base/result.h"

namespace verbund::backup::tar {

using Records = std::map<std::string, std::string, std::less<>>;

/// Fills all but a sparse file's extents; `archived` becomes the bytes of content behind the header. Errors: kDamaged, without the place.
Status read_fields(const Block& block, const Records& records, TreeMember& member, std::uint64_t& archived);

/// Decimal; nothing: no number, or too large.
std::optional<std::uint64_t> decimal(std::string_view text);

}  // namespace verbund::backup::tar
