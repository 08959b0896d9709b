// The report as one page of HTML, for the screen and for paper.
#include "backup/report/report.h"

namespace verbund::backup {
namespace {

/// No script, nothing from elsewhere.
constexpr std::string_view kStyle = R"css(
body { font: 15px/1.45 "Segoe UI", "DejaVu Sans", system-ui, sans-serif; color: #1b1f24; max-width: 52rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.35rem; margin: 0; }
.office { color: #57606a; margin: .15rem 0 1rem; }
.verdict { font-size: 1.1rem; font-weight: 600; padding: .6rem .9rem; border-left: .4rem solid; border-radius: .2rem; margin: 0 0 1.2rem; }
.ok { border-color: #1a7f37; background: #e9f7ee; }
.incomplete { border-color: #b26a00; background: #fff5e0; }
.failed, .missed { border-color: #b3261e; background: #fdecea; }
h2 { font-size: 1rem; margin: 1.4rem 0 .35rem; padding-bottom: .15rem; border-bottom: 1px solid #d0d7de; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
dl { display: grid; grid-template-columns: 15rem 1fr; gap: .15rem 1rem; margin: .3rem 0; }
dt { color: #57606a; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .3rem 0; }
th { text-align: left; font-weight: 600; color: #57606a; }
th, td { padding: .2rem .8rem .2rem 0; vertical-align: top; border-bottom: 1px solid #eaeef2; overflow-wrap: anywhere; }
.numbers th:not(:first-child), .numbers td:not(:first-child) { text-align: right; white-space: nowrap; padding-right: 0; padding-left: .8rem; }
footer { margin-top: 2rem; color: #57606a; font-size: .85rem; }
@media print { body { margin: 0; max-width: none; font-size: 10.5pt; } tr, dl, li { break-inside: avoid; } h2 { break-after: avoid; } .verdict { print-color-adjust: exact; } }
)css";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string row_of(const std::vector<std::string>& cells, const char* tag) {
  std::string out = "<tr>";
  for (const auto& cell : cells) out += fmt::format("<{}>{}</{}>", tag, escaped(cell), tag);
  return out + "</tr>\n";
}

std::string section_of(const Document::Section& section) {
  std::string out = fmt::format("<h2>{}</h2>\n", escaped(section.heading));
  if (!section.lines.empty()) {
    out += "<ul>\n";
    for (const auto& line : section.lines) out += fmt::format("<li>{}</li>\n", escaped(line));
    out += "</ul>\n";
  }
  if (!section.facts.empty()) {
    out += "<dl>\n";
    for (const auto& [name, value] : section.facts) out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
    out += "</dl>\n";
  }
  if (!section.rows.empty()) {
    out += fmt::format("<table{}>\n<thead>{}</thead>\n<tbody>\n", section.numbers ? " class=\"numbers\"" : "", row_of(section.columns, "th"));
    for (const auto& row : section.rows) out += row_of(row, "td");
    out += "</tbody></table>\n";
  }
  return out;
}

}  // namespace

std::string html_of(const Document& document) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{}: {}</title>\n<style>{}</style>\n"
      "</head>\n<body>\n<h1>{}</h1>\n<p class=\"office\">{}</p>\n<p class=\"verdict {}\">{}</p>\n",
      document.language, escaped(document.title), escaped(document.subtitle), kStyle, escaped(document.title), escaped(document.subtitle), outcome_name(document.outcome),
      escaped(document.verdict));
  for (const auto& section : document.sections) out += section_of(section);
  return out + fmt::format("<footer>{}</footer>\n</body>\n</html>\n", escaped(document.footer));
}

}  // namespace verbund::backup
