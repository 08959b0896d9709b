#pragma once
/// A member on its way: hash → zstd → age → parts → hash. For this folder's units only.
#include <memory>
#include <span>
#include <string>

#include "backup/partial_set.h"
#include "backup/set.h"

namespace verbund::backup {

/// `set` outlives it. When it is destroyed unfinished its files go.
Result<std::unique_ptr<Sink>> make_member_sink(PartialSet& set, const WriteOptions& options, const std::string& name, Content content);

}  // namespace verbund::backup
