#include "importer/xdt/file.h"

#include "importer/byte_source.h"

namespace verbund::importer::xdt {

Status read_file(const InputFile& file, const XdtOptions& options, std::uint64_t& read_bytes,
                 const std::function<bool(XdtRecord&)>& record, const std::function<void(Tolerated, std::uint64_t)>& tolerated) {
  auto source = ByteSource::open(file);
  if (!source) return pass(source);
  DiskProgress progress(*source, read_bytes);
  XdtReader reader(options, record, tolerated);
  for (;;) {
    auto bytes = source->next();
    if (!bytes) return pass(bytes);
    if (bytes->empty()) return reader.finish();
    progress.update();
    if (auto fed = reader.feed(*bytes); !fed || reader.ended()) return fed;
  }
}

Status check_file(const InputFile& file, const XdtOptions& options) {
  std::uint64_t ignored = 0;
  return read_file(file, options, ignored, [](XdtRecord&) { return true; }, {});
}

}  // namespace verbund::importer::xdt
