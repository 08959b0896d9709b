// The report for a screen and for the body of a mail.
#include <algorithm>

#include "backup/report/report.h"
#include "base/utf8.h"

namespace verbund::backup {
namespace {

/// Columns of a terminal that a text takes; wide characters are rare in names of files here.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t to, bool right) {
  const auto own = width(text);
  const std::string blanks(own < to ? to - own : 0, ' ');
  return right ? blanks + text : text + blanks;
}

void table(std::string& out, const Document::Section& section) {
  std::vector<std::size_t> widths(section.columns.size(), 0);
  auto all = section.rows;
  all.insert(all.begin(), section.columns);
  for (const auto& row : all) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  for (const auto& row : all) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) line += " " + padded(row[i], widths[i], section.numbers && i > 0) + " ";
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  }
}

}  // namespace

std::string text_of(const Document& document) {
  std::string out = fmt::format("{}: {}\n{}\n", document.title, document.subtitle, document.verdict);
  for (const auto& section : document.sections) {
    out += fmt::format("\n{}\n", section.heading);
    for (const auto& line : section.lines) out += "  " + line + "\n";
    std::size_t label = 0;
    for (const auto& fact : section.facts) label = std::max(label, width(fact.first));
    for (const auto& [name, value] : section.facts) out += fmt::format("  {}  {}\n", padded(name + ":", label + 1, false), value);
    if (!section.rows.empty()) table(out, section);
  }
  return out + "\n" + document.footer + "\n";
}

}  // namespace verbund::backup
