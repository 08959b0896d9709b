#include "importer/report.h"

#include <boost/json.hpp>

namespace verbund::importer {
namespace {

namespace json = boost::json;

json::array examples_of(const Occurrences& found) {
  json::array out;
  for (const auto& example : found.examples) out.emplace_back(example);
  return out;
}

std::string reason_text(Language language, const Skip& skip) {
  std::string text(translate(language, msgid(skip.reason)));
  return skip.detail.empty() ? text : fmt::format("{}: {}", text, skip.detail);
}

/// As importers name a place: "FILE: line 17: entry 3". Files keep their names.
std::string place_in(Language language, std::string place) {
  for (const char* part : {verbund::msgid(": entry {}"), verbund::msgid(": line {}")}) {
    const auto word = std::string_view(part).substr(0, std::string_view(part).find('{'));
    const auto at = place.rfind(word);
    if (at == place.npos) continue;
    const auto number = at + word.size();
    const auto end = std::min(place.find_first_not_of("0123456789", number), place.size());
    if (end == number || (end < place.size() && place[end] != ':')) continue;
    place.replace(at, end - at, translated(language, part, place.substr(number, end - number)));
  }
  return place;
}

void append_occurrences(std::string& out, Language language, const std::string& text, const Occurrences& found) {
  fmt::format_to(std::back_inserter(out), "    {:>9} {}\n", found.count, text);
  for (const auto& example : found.examples) {
    fmt::format_to(std::back_inserter(out), "              {} {}\n", translate(language, "e.g."), place_in(language, example));
  }
}

void append_type(std::string& out, const std::string& name, const TypeReport& type) {
  fmt::format_to(std::back_inserter(out), "{:<28} {:>9} {:>9} {:>9} {:>9}\n", name, type.imported, type.updated, type.unchanged,
                 type.skipped_count());
}

std::string cause_in(Language language, const FileProblem& problem) {
  auto text = message_in(language, problem.error);
  if (const auto hint = hint_in(language, problem.error); !hint.empty()) text += fmt::format(". {}", hint);
  return text;
}

void append_problems(std::string& out, Language language, const ImportReport& report) {
  const auto& problems = report.file_problems;
  if (report.file_problem_count > 0) out += translated(language, "files and lines that were left out: {}\n", report.file_problem_count);
  for (const auto& problem : problems) out += fmt::format("    {}: {}\n", place_in(language, problem.file), cause_in(language, problem));
  if (report.file_problem_count > problems.size()) {
    out += translated(language, "    and {} more\n", report.file_problem_count - problems.size());
  }
}

void append_tolerated(std::string& out, Language language, const ImportReport& report) {
  if (report.tolerated.empty()) return;
  out += translated(language, "read although it is against the rules of the format:\n");
  for (const auto& [what, found] : report.tolerated) append_occurrences(out, language, std::string(translate(language, msgid(what))), found);
}

/// All resources of types without a table in one line: an export has dozens of them.
void append_foreign_types(std::string& out, Language language, const ImportReport& report) {
  std::uint64_t count = 0;
  std::string names;
  std::size_t shown = 0;
  for (const auto& [name, type] : report.types) {
    const auto found = type.skipped.find(Skip{SkipReason::kTypeNotImported, {}});
    if (found == type.skipped.end()) continue;
    count += found->second.count;
    ++shown;
    if (shown <= 8) names += fmt::format("{}{} {}", names.empty() ? "" : ", ", name, found->second.count);
  }
  if (count == 0) return;
  if (shown > 8) names += translated(language, " and {} more types", shown - 8);
  out += translated(language, "not imported, no table for them: {} ({})\n", count, names);
}

json::object type_json(const TypeReport& type) {
  json::object out{{"imported", type.imported}, {"updated", type.updated}, {"unchanged", type.unchanged},
                   {"skipped", type.skipped_count()}};
  json::array skipped;
  for (const auto& [skip, found] : type.skipped) {
    skipped.push_back({{"reason", reason_text(Language::kEnglish, skip)}, {"count", found.count}, {"examples", examples_of(found)}});
  }
  json::array notes;
  for (const auto& [note, found] : type.notes) {
    notes.push_back({{"note", msgid(note)}, {"count", found.count}, {"examples", examples_of(found)}});
  }
  out["skipped_because"] = std::move(skipped);
  out["notes"] = std::move(notes);
  return out;
}

}  // namespace

std::uint64_t TypeReport::skipped_count() const {
  std::uint64_t count = 0;
  for (const auto& [skip, found] : skipped) count += found.count;
  return count;
}

void ImportReport::file_problem(std::string file, Phrase cause) {
  file_problem(std::move(file), make_error(ErrorCode::kBadInput, std::move(cause)));
}

void ImportReport::file_problem(std::string file, const Error& error) {
  ++file_problem_count;
  if (file_problems.size() >= kMaxFileProblems) return;
  auto cause = error.hint.empty() ? error.message : fmt::format("{}. {}", error.message, error.hint);
  file_problems.push_back({std::move(file), std::move(cause), error});
}

TypeReport ImportReport::total() const {
  TypeReport sum;
  for (const auto& [name, type] : types) {
    sum.imported += type.imported;
    sum.updated += type.updated;
    sum.unchanged += type.unchanged;
    for (const auto& [skip, found] : type.skipped) sum.skipped[skip].count += found.count;
    for (const auto& [note, found] : type.notes) sum.notes[note].count += found.count;
  }
  return sum;
}

std::optional<ErrorCode> ImportReport::outcome() const {
  if (file_problem_count > 0) return ErrorCode::kIncomplete;
  for (const auto& [skip, found] : total().skipped) {
    if (skip.reason != SkipReason::kTypeNotImported && skip.reason != SkipReason::kDuplicate) return ErrorCode::kIncomplete;
  }
  return std::nullopt;
}

std::string ImportReport::to_text(Language language) const {
  std::string out = fmt::format("{:<28} {:>9} {:>9} {:>9} {:>9}\n", translate(language, "resource type"),
                                translate(language, "imported"), translate(language, "updated"),
                                translate(language, "unchanged"), translate(language, "skipped"));
  const auto only_foreign = [](const TypeReport& type) {
    return type.imported + type.updated + type.unchanged == 0 && type.skipped.size() == 1 &&
           type.skipped.begin()->first.reason == SkipReason::kTypeNotImported;
  };
  for (const auto& [name, type] : types) {
    if (only_foreign(type)) continue;
    append_type(out, name, type);
    for (const auto& [skip, found] : type.skipped) append_occurrences(out, language, reason_text(language, skip), found);
    for (const auto& [note, found] : type.notes) append_occurrences(out, language, std::string(translate(language, msgid(note))), found);
  }
  append_foreign_types(out, language, *this);
  append_tolerated(out, language, *this);
  append_problems(out, language, *this);
  if (dry_run) out += translated(language, "dry run: nothing of this was written\n");
  const double mebibytes = static_cast<double>(bytes) / (1024.0 * 1024.0);
  out += translated(language, "{} files, {:.1f} MiB, {:.1f} s\n", files, mebibytes, static_cast<double>(elapsed.count()) / 1000.0);
  return out;
}

std::string ImportReport::to_json() const {
  json::object by_type;
  for (const auto& [name, type] : types) by_type[name] = type_json(type);
  json::array problems;
  for (const auto& problem : file_problems) problems.push_back({{"file", problem.file}, {"cause", problem.cause}});
  json::array warnings;
  for (const auto& [what, found] : tolerated) {
    warnings.push_back({{"warning", msgid(what)}, {"count", found.count}, {"examples", examples_of(found)}});
  }
  const auto sum = total();
  const json::object out{{"complete", !outcome().has_value()},
                         {"dry_run", dry_run},
                         {"files", files},
                         {"bytes", bytes},
                         {"elapsed_ms", elapsed.count()},
                         {"imported", sum.imported},
                         {"updated", sum.updated},
                         {"unchanged", sum.unchanged},
                         {"skipped", sum.skipped_count()},
                         {"types", std::move(by_type)},
                         {"warnings", std::move(warnings)},
                         {"file_problem_count", file_problem_count},
                         {"file_problems", std::move(problems)}};
  return json::serialize(out);
}

}  // namespace verbund::importer
