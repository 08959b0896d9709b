#pragma once
/// Reads a GDT or BDT file from disk, plain or gzip.
#include "importer/input.h"
#include "importer/xdt/reader.h"

namespace verbund::importer::xdt {

/// Calls `record` for each; false from it ends the reading. `read_bytes` grows by the bytes taken from disk.
/// Errors: kBadInput "line N: …", kIo.
Status read_file(const InputFile& file, const XdtOptions& options, std::uint64_t& read_bytes,
                 const std::function<bool(XdtRecord&)>& record, const std::function<void(Tolerated, std::uint64_t)>& tolerated);

/// Reads it to its end and throws it away: what strict reading has against it. Errors: as read_file.
Status check_file(const InputFile& file, const XdtOptions& options);

}  // namespace verbund::importer::xdt
