#include "importer/input.h"

#include <memory_resource>

#include "base/messages.h"
#include "importer/byte_source.h"

namespace verbund::importer {
namespace {

namespace json = boost::json;

/// Counts what a document takes and ends the parsing when it is too much: a few bytes of JSON can ask for many of memory.
class BoundedMemory final : public json::memory_resource {
 public:
  explicit BoundedMemory(std::uint64_t max_bytes) : left_(max_bytes) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t align) override {
    if (bytes > left_) throw std::bad_alloc();
    left_ -= bytes;
    return ::operator new(bytes, std::align_val_t(align));
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t align) override {
    left_ += bytes;
    ::operator delete(memory, std::align_val_t(align));
  }
  bool do_is_equal(const json::memory_resource& other) const noexcept override { return this == &other; }

  std::uint64_t left_;
};

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

json::parse_options options_for(const InputLimits& limits) {
  json::parse_options options;
  options.max_depth = limits.max_depth;
  return options;
}

/// The file's name is a part of its own: a report that shows it already leaves it out.
std::unexpected<Error> refused(const InputFile& file, ErrorCode code, Phrase cause, Phrase hint = {}) {
  return std::unexpected(make_error(code, std::move(cause), std::move(hint)).in(phrase("read {}", file.shown)));
}

Phrase as_lines() { return phrase("Export it as NDJSON, one resource a line, which has no limit."); }

Phrase cause_of(const boost::system::error_code& error, const InputLimits& limits) {
  if (error == json::error::too_deep) return phrase("is nested deeper than {} levels", limits.max_depth);
  return phrase("is not JSON: {}", error.message());
}

Status feed(json::stream_parser& parser, ByteSource& source, const InputFile& file, const InputLimits& limits, DiskProgress progress) {
  std::uint64_t position = 0;
  for (;;) {
    auto chunk = source.next();
    if (!chunk) return pass(chunk);
    if (chunk->empty()) break;
    progress.update();
    auto text = *chunk;
    if (position == 0 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    boost::system::error_code error;
    const auto taken = parser.write(text.data(), text.size(), error);
    if (error) {
      return refused(file, ErrorCode::kBadInput, phrase("byte {} {}", position + taken, cause_of(error, limits)));
    }
    position += chunk->size();
    if (position > limits.max_document_bytes) {
      return refused(file, ErrorCode::kTooLarge, phrase("holds more than {} MiB", limits.max_document_bytes >> 20), as_lines());
    }
  }
  boost::system::error_code error;
  parser.finish(error);
  if (error) return refused(file, ErrorCode::kBadInput, phrase("ends too early, {}", cause_of(error, limits)));
  return {};
}

Status read_document(const InputFile& file, const InputLimits& limits, std::uint64_t& read_bytes,
                     const std::function<bool(Document&)>& visit) {
  auto source = ByteSource::open(file);
  if (!source) return pass(source);
  BoundedMemory bounded(limits.max_memory_bytes);
  json::monotonic_resource memory(64 * 1024, json::storage_ptr(&bounded));
  json::value value;
  try {
    // Its own stack is bounded too: an endless flat array lives there until its bracket closes.
    json::stream_parser parser(json::storage_ptr(&bounded), options_for(limits));
    parser.reset(json::storage_ptr(&memory));
    if (auto fed = feed(parser, *source, file, limits, DiskProgress(*source, read_bytes)); !fed) return fed;
    value = parser.release();
    Document document{value.if_object(), {}, 0};
    if (document.object == nullptr) document.problem = phrase("is not a JSON object");
    visit(document);
  } catch (const std::bad_alloc&) {
    return refused(file, ErrorCode::kTooLarge, phrase("takes more than {} MiB of memory", limits.max_memory_bytes >> 20), as_lines());
  }
  return {};
}

/// Parses one line and shows it. False: the visitor wants no more.
bool show_line(std::string_view line, std::uint64_t number, const InputLimits& limits, const std::function<bool(Document&)>& visit) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (number == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (line.find_first_not_of(" \t") == std::string_view::npos) return true;
  Document document{nullptr, {}, number};
  BoundedMemory bounded(limits.max_memory_bytes);
  json::monotonic_resource memory(16 * 1024, json::storage_ptr(&bounded));
  json::value value;
  try {
    boost::system::error_code error;
    value = json::parse({line.data(), line.size()}, error, json::storage_ptr(&memory), options_for(limits));
    document.object = error ? nullptr : value.if_object();
    if (error) document.problem = cause_of(error, limits);
    else if (document.object == nullptr) document.problem = phrase("is not a JSON object");
  } catch (const std::bad_alloc&) {
    document.problem = phrase("takes more than {} MiB of memory", limits.max_memory_bytes >> 20);
  }
  return visit(document);
}

Status read_lines(const InputFile& file, const InputLimits& limits, std::uint64_t& read_bytes,
                  const std::function<bool(Document&)>& visit) {
  auto source = ByteSource::open(file);
  if (!source) return pass(source);
  DiskProgress progress(*source, read_bytes);
  std::string line;
  std::uint64_t number = 1;
  bool too_long = false;
  const auto finish_line = [&] {
    Document refused{nullptr, phrase("is longer than {} MiB", limits.max_line_bytes >> 20), number};
    const bool more = too_long ? visit(refused) : show_line(line, number, limits, visit);
    line.clear();
    too_long = false;
    ++number;
    return more;
  };
  for (;;) {
    auto chunk = source->next();
    if (!chunk) return pass(chunk);
    if (chunk->empty()) break;
    progress.update();
    for (auto rest = *chunk; !rest.empty();) {
      const auto end = rest.find('\n');
      const auto part = rest.substr(0, end);
      if (line.size() + part.size() > limits.max_line_bytes) too_long = true;
      if (!too_long) line += part;
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      if (end != std::string_view::npos && !finish_line()) return {};
    }
  }
  if (!line.empty() || too_long) finish_line();
  return {};
}

}  // namespace

Status read_documents(const InputFile& file, const InputLimits& limits, std::uint64_t& read_bytes,
                      const std::function<bool(Document&)>& visit) {
  return kind_of(file.path) == FileKind::kNdjson ? read_lines(file, limits, read_bytes, visit)
                                                 : read_document(file, limits, read_bytes, visit);
}

}  // namespace verbund::importer
