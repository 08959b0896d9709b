// What a restore has done, for people and for programs.
#include <boost/json.hpp>

#include "backup/restore_office.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;

/// Names of files stand in the report for people up to this many.
constexpr std::size_t kNamed = 20;

void add_names(std::string& text, Language language, const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  text += "    " + translated(language, what, names.size()) + "\n";
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) text += "      " + names[i] + "\n";
}

}  // namespace

std::string OfficeRestored::to_json() const {
  json::array all_databases, all_folders;
  for (const auto& database : databases) {
    all_databases.push_back(json::object{{"name", database.name}, {"kept_as", database.kept_as}, {"warnings", json::value_from(database.warnings)}});
  }
  for (const auto& folder : folders) {
    json::array all_placed;
    for (const auto& each : folder.placed) all_placed.push_back(json::object{{"path", each.path}, {"original", each.original}});
    all_folders.push_back(json::object{{"application", folder.application}, {"version", folder.version}, {"root", folder.root.string()},
                                       {"files", std::to_string(folder.counts.files)}, {"bytes", std::to_string(folder.counts.bytes)},
                                       {"placed", all_placed}, {"missing", json::value_from(folder.missing)},
                                       {"not_set", json::value_from(folder.not_set)}, {"left_out", json::value_from(folder.left_out)}});
  }
  return json::serialize(json::object{{"set", set}, {"databases", all_databases}, {"folders", all_folders}, {"stopped", json::value_from(stopped)},
                                      {"services_down", json::value_from(services_down)}});
}

std::string OfficeRestored::to_text(Language language) const {
  std::string text;
  const auto line = [&](const char* msgid, const auto&... args) { text += translated(language, msgid, args...) + "\n"; };
  line(msgid("Restored from set {}:"), set);
  for (const auto& database : databases) {
    database.kept_as.empty() ? line(msgid("  database {}"), database.name) : line(msgid("  database {}; see also {}"), database.name, database.kept_as);
    for (const auto& warning : database.warnings) text += "    " + warning + "\n";
  }
  for (const auto& folder : folders) {
    line(msgid("  {} {}: {} files to {}"), folder.application, folder.version, folder.counts.files, folder.root.string());
    for (const auto& each : folder.placed) {
      if (!each.original.empty()) line(msgid("    {}: the former one is now {}"), each.path.empty() ? folder.root.string() : each.path, each.original);
    }
    add_names(text, language, msgid("{} entries of the list are not in the set:"), folder.missing);
    add_names(text, language, msgid("{} times owner, rights or attributes could not be set:"), folder.not_set);
    add_names(text, language, msgid("{} devices were left out:"), folder.left_out);
  }
  for (const auto& name : services_down) line(msgid("SERVICE DOWN: {} could not be started. Start it by hand, or: verbund backup recover"), name);
  return text;
}

}  // namespace verbund::backup
