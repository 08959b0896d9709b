#include "sync/model/folder_messages.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/utf8.h"
#include "sync/model/fields.h"
#include "sync/model/rules.h"

namespace verbund::sync {
namespace {

namespace json = boost::json;

json::object to_json(const FileEntry& file) {
  return {{"path", file.path}, {"bytes", std::to_string(file.bytes)}, {"hash", file.hash}, {"modified_ms", std::to_string(file.modified_ms)}};
}

std::string path_of(Fields& fields, std::string_view name) {
  auto path = fields.text(name);
  if (!is_file_path(path)) fields.wrong(name, "it is no path below a folder");
  return path;
}

FileEntry read_file(Fields& fields) {
  FileEntry file;
  file.path = path_of(fields, "path");
  file.bytes = fields.number("bytes");
  file.hash = fields.text("hash");
  if (!is_file_hash(file.hash)) fields.wrong("hash", "it is none");
  if (file.bytes > INT64_MAX) fields.wrong("bytes", "they are too many");
  const auto modified = fields.number("modified_ms");
  constexpr std::uint64_t kYear9999 = 253'402'300'799'000;
  if (modified > kYear9999) fields.wrong("modified_ms", "it is too large");
  file.modified_ms = static_cast<std::int64_t>(modified);
  return file;
}

FolderCursor read_cursor(Fields& fields) {
  FolderCursor cursor{fields.optional_text("shape"), fields.optional_number("version")};
  if (cursor.version > INT64_MAX) fields.wrong("version", "it is too large");
  return cursor;
}

template <typename Message>
Result<Message> sound(const Fields& fields, Message message) {
  if (!fields.status()) return std::unexpected(fields.status().error());
  return message;
}

}  // namespace

std::string encode(const FolderCursor& message) { return json::serialize(json::object{{"shape", message.shape}, {"version", std::to_string(message.version)}}); }

std::string encode(const FolderPage& message) {
  json::array files;
  for (const auto& file : message.files) files.push_back(to_json(file));
  return json::serialize(json::object{{"shape", message.cursor.shape}, {"version", std::to_string(message.cursor.version)}, {"whole", message.whole}, {"more", message.more},
                                      {"files", std::move(files)}, {"gone", json::array(message.gone.begin(), message.gone.end())}});
}

std::string encode(const FileEntry& message) { return json::serialize(to_json(message)); }

std::string encode(const FileTaken& message) {
  if (message.path.empty()) return json::serialize(json::object{{"have", std::to_string(message.have)}});
  return json::serialize(json::object{{"path", message.path}});
}

Result<FolderCursor> decode_folder_cursor(std::string_view text) {
  auto fields = Fields::parse(text, "cursor of a folder");
  auto message = read_cursor(fields);
  return sound(fields, std::move(message));
}

Result<FolderPage> decode_folder_page(std::string_view text) {
  auto fields = Fields::parse(text, "files of a folder");
  FolderPage message;
  message.cursor = read_cursor(fields);
  message.whole = fields.flag("whole");
  message.more = fields.flag("more");
  fields.each("files", kFolderPageFiles, [&](Fields& inner) { message.files.push_back(read_file(inner)); });
  message.gone = fields.texts("gone", kFolderPageFiles);
  if (!std::ranges::all_of(message.gone, is_file_path)) fields.wrong("gone", "it has no path below a folder");
  return sound(fields, std::move(message));
}

Result<FileEntry> decode_file_entry(std::string_view text) {
  auto fields = Fields::parse(text, "file of a device");
  auto message = read_file(fields);
  return sound(fields, std::move(message));
}

Result<FileTaken> decode_file_taken(std::string_view text) {
  auto fields = Fields::parse(text, "file of a device");
  FileTaken message{fields.optional_number("have"), fields.optional_text("path")};
  if (!message.path.empty() && !is_file_path(message.path)) fields.wrong("path", "it is no path below a folder");
  return sound(fields, std::move(message));
}

bool is_file_hash(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_file_path(std::string_view path) {
  constexpr std::size_t kPartBytes = 255;
  if (path.empty() || path.size() > kMaxFilePathBytes || path.back() == '/' || !is_utf8(path)) return false;
  if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) return false;
  return std::ranges::none_of(path_parts(path), [](const std::string& part) { return part.empty() || part == "." || part == ".." || part.size() > kPartBytes; });
}

std::string expression_of(const std::vector<std::string>& names) {
  std::string any;
  for (const auto& name : names) {
    if (!any.empty()) any += '|';
    for (const char c : name) {
      if (c == '*') any += "[^/]*";
      else if (c == '?') any += "[^/]";
      else if (std::string_view(".^$+()|\\{}[]").find(c) != std::string_view::npos) any += std::string("\\") + c;
      else any += c;
    }
  }
  return any.empty() ? any : "(^|/)(" + any + ")$";
}

}  // namespace verbund::sync
