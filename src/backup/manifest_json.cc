// Manifest → manifest.json
#include <boost/json.hpp>

#include "backup/manifest.h"
#include "backup/manifest_words.h"
#include "base/utf8.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;

/// JSON is UTF-8; names of files may be any bytes.
std::string shown(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t good = valid_utf8_prefix(text);
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) break;
    out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    text.remove_prefix(1);
  }
  return out;
}

json::array texts(const std::vector<std::string>& values) {
  json::array array;
  for (const std::string& value : values) array.emplace_back(shown(value));
  return array;
}

/// 64-bit numbers are strings (DESIGN §4): JavaScript rounds them above 2^53.
std::string number(std::uint64_t value) { return std::to_string(value); }

json::object to_json(const Member& member) {
  return {{"name", member.name},
          {"content", word_of(member.content)},
          {"plain_bytes", number(member.plain_bytes)},
          {"plain_sha256", member.plain_sha256},
          {"stored_bytes", number(member.stored_bytes)},
          {"sealed", member.sealed},
          {"parts", texts(member.parts)}};
}

json::object to_json(const DatabaseEntry& database) {
  json::array tables;
  for (const TableHash& table : database.tables) {
    tables.push_back(json::array{shown(table.schema), shown(table.table), number(table.rows), shown(table.hash), texts(table.columns)});
  }
  return {{"name", shown(database.name)},
          {"owner", shown(database.owner)},
          {"encoding", shown(database.encoding)},
          {"locale", shown(database.locale)},
          {"member", database.member},
          {"server_version", database.server_version},
          {"snapshot_lsn", shown(database.snapshot_lsn)},
          {"tables", std::move(tables)}};
}

json::object to_json(const FolderEntry& folder) {
  return {{"application", shown(folder.application)},
          {"version", shown(folder.version)},
          {"root", shown(folder.root)},
          {"member", folder.member},
          {"files", number(folder.files)},
          {"bytes", number(folder.bytes)},
          {"restore", texts(folder.restore)},
          {"restore_optional", texts(folder.restore_optional)},
          {"ignore_case", folder.ignore_case},
          {"missing", texts(folder.missing)},
          {"changed", texts(folder.changed)},
          {"unreadable", texts(folder.unreadable)}};
}

template <typename Entries>
json::array entries(const Entries& values) {
  json::array array;
  for (const auto& value : values) array.emplace_back(to_json(value));
  return array;
}

/// A field a line, and an entry a line in its lists.
std::string lines_of(const json::object& root) {
  std::string out = "{";
  const char* comma = "\n";
  for (const auto& [name, value] : root) {
    out += fmt::format("{}{}: ", std::exchange(comma, ",\n"), json::serialize(json::value(name)));
    if (!value.is_array() || value.get_array().empty()) {
      out += json::serialize(value);
      continue;
    }
    const char* between = "[\n  ";
    for (const json::value& entry : value.get_array()) out += std::exchange(between, ",\n  ") + json::serialize(entry);
    out += ']';
  }
  return out + "\n}\n";
}

}  // namespace

std::string manifest_json(const Manifest& manifest) {
  return lines_of({{"format", manifest.format},
                   {"id", manifest.id},
                   {"sequence", number(manifest.sequence)},
                   {"previous_hash", manifest.previous_hash},
                   {"copy_of", manifest.copy_of},
                   {"installation", shown(manifest.installation)},
                   {"host", shown(manifest.host)},
                   {"program_version", shown(manifest.program_version)},
                   {"role", shown(manifest.role)},
                   {"begun", to_iso8601(manifest.begun)},
                   {"ended", to_iso8601(manifest.ended)},
                   {"barrier", shown(manifest.barrier)},
                   {"complete", manifest.complete},
                   {"reasons", texts(manifest.reasons)},
                   {"recipients", texts(manifest.recipients)},
                   {"details", manifest.details},
                   {"members", entries(manifest.members)},
                   {"databases", entries(manifest.databases)},
                   {"folders", entries(manifest.folders)}});
}

const Member* Manifest::member(std::string_view name) const {
  const auto found = std::ranges::find(members, name, &Member::name);
  return found == members.end() ? nullptr : &*found;
}

Manifest without_details(Manifest manifest) {
  manifest.reasons.clear();
  for (DatabaseEntry& database : manifest.databases) database.tables.clear();
  for (FolderEntry& folder : manifest.folders) {
    folder.root.clear();
    for (auto* list : {&folder.restore, &folder.restore_optional, &folder.missing, &folder.changed, &folder.unreadable}) list->clear();
  }
  return manifest;
}

std::string set_id(WallTime begun, std::uint64_t sequence) {
  return fmt::format("{:%Y%m%d-%H%M%S}-{:06}", fmt::gmtime(std::chrono::system_clock::to_time_t(begun)), sequence);
}

}  // namespace verbund::backup
