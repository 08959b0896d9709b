#pragma once
/// Finds the files of an import, and reads .json and .ndjson, each also as .gz. Memory is bounded whatever a file holds.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "base/result.h"

namespace verbund::importer {

/// Limits of one input. Beyond them a file or line is refused by name, the others go on.
struct InputLimits {
  std::uint64_t max_document_bytes = 512ULL * 1024 * 1024;  ///< a .json file, unpacked; NDJSON files have no limit
  std::uint64_t max_memory_bytes = 1536ULL * 1024 * 1024;   ///< of a parsed document
  std::size_t max_line_bytes = 32ULL * 1024 * 1024;         ///< a line of NDJSON
  std::size_t max_depth = 64;                               ///< nesting of JSON
};

enum class FileKind { kJson, kNdjson, kXdt, kCsv, kForeign };
/// From the name; ".gz" is looked through.
FileKind kind_of(const std::filesystem::path& path);

struct InputFile {
  std::filesystem::path path;
  std::string shown;  ///< as the user named it, for the report
  std::uint64_t size_bytes = 0;
  FileKind kind = FileKind::kForeign;
};

struct Discovery {
  std::vector<InputFile> files;                               ///< patients first (by name), then encounters, then the rest
  std::vector<std::pair<std::string, Phrase>> problems;  ///< (shown path, cause): foreign or unreadable
};
enum class Wanted { kRecords, kCsv };
/// Walks directories in the order of their names; follows symbolic links, each directory once; leaves hidden files out.
/// A file whose name says nothing (devices call them "PRAXEKG1.001") is GDT or BDT if it begins so. Wanted::kCsv looks for
/// CSV files alone (.csv, .tsv); one that is named itself may have any name.
/// Errors: kNotFound for a path that does not exist.
Result<Discovery> discover(std::span<const std::filesystem::path> paths, Wanted wanted = Wanted::kRecords);

/// A line or document as read from a file.
struct Document {
  boost::json::object* object = nullptr;  ///< null: not a JSON object, see problem
  Phrase problem;
  std::uint64_t line = 0;  ///< NDJSON, from 1; 0: the whole file
};
/// Calls `visit` for the document, or for each line (blank ones are left out); false from it ends the reading.
/// `read_bytes` grows by the bytes taken from disk. Errors: kBadInput, kTooLarge, kIo with file and position.
Status read_documents(const InputFile& file, const InputLimits& limits, std::uint64_t& read_bytes,
                      const std::function<bool(Document&)>& visit);

}  // namespace verbund::importer
