#pragma once
/// zstd on the way. One thread each (the compressor has workers of its own). For this folder's units only.
#include <memory>
#include <string>

#include "backup/stream.h"

namespace verbund::backup {

/// One frame with check sum into `to`. Memory: about 12 MiB per thread at level 3, whatever the length.
Result<std::unique_ptr<Sink>> make_zstd_sink(std::unique_ptr<Sink> to, int level, int threads);
/// Whole frames only; `what` names it in errors. Errors: kDamaged (no zstd, a wrong check sum, cut off), those of `from`.
Result<std::unique_ptr<Source>> make_zstd_source(std::unique_ptr<Source> from, std::string what);

}  // namespace verbund::backup
