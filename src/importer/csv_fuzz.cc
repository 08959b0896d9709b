/// Any bytes as CSV: no crash; the same rows in whatever pieces they come; quoting what was read gives the same rows again.
#include <cstdlib>

#include "importer/csv/row.h"

namespace {

using namespace verbund::importer;
using namespace verbund::importer::csv;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Read {
  std::vector<CsvRow> rows;
  bool whole = false;
};

Read read(std::string_view bytes, std::size_t piece) {
  Read out;
  CsvReader reader({';', '"'}, {4096, 50}, [&](CsvRow& row) {
    out.rows.push_back(row);
    return true;
  });
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    if (!reader.feed(bytes.substr(0, piece))) return out;
  }
  out.whole = reader.finish().has_value();
  return out;
}

std::string quoted(const CsvRow& row) {
  std::string out;
  for (const auto& field : row.fields) {
    out += out.empty() ? "\"" : ";\"";
    for (const char c : field) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    out += '"';
  }
  return out + "\r\n";
}

void convert(const std::vector<CsvRow>& rows) {
  static const auto mapping = parse_mapping("[csv]\ndate=\"D.M.YYYY\"\ndecimal=\",\"\n[target]\ntable=\"t\"\n"
                                            "[[column]]\nfield=\"a\"\nfrom=\"a\"\n[[column]]\nfield=\"b\"\nfrom=\"b\"\nvalues=[\"m=male\"]\n",
                                            "fuzz");
  static const Target target{"t", "t", {{"a", "date", "date", true, false, false}, {"b", "text", "text", false, false, false}},
                             {false, false}, {}, {}, {}};
  require(mapping.has_value());
  RowConverter converter(*mapping, target);
  if (rows.empty() || !converter.read_header(rows.front())) return;
  for (const auto& row : rows) {
    if (const auto values = converter.convert(row)) require(values->size() == 2);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = read(bytes, bytes.size() + 1);
  const auto pieces = read(bytes, 3);
  require(whole.whole == pieces.whole && whole.rows.size() == pieces.rows.size());
  for (std::size_t at = 0; at < whole.rows.size(); ++at) {
    const auto& row = whole.rows[at];
    require(row.fields == pieces.rows[at].fields && row.line == pieces.rows[at].line && row.problem == pieces.rows[at].problem);
    if (!row.problem.empty()) continue;
    const auto text = quoted(row);
    const auto again = read(text, 5);
    if (text.size() < 4096) require(again.whole && again.rows.size() == 1 && again.rows[0].fields == row.fields);
  }
  convert(whole.rows);
  (void)convert_number(bytes.substr(0, 40), ',');
  return 0;
}
