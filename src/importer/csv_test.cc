#include "importer/csv/row.h"

#include <gmock/gmock.h>

namespace verbund::importer::csv {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;

struct Read {
  std::vector<CsvRow> rows;
  std::string error;
};

Read read(std::string_view bytes, CsvFormat format = {}, std::size_t piece = 3, CsvLimits limits = {}) {
  Read out;
  CsvReader reader(format, limits, [&](CsvRow& row) {
    out.rows.push_back(row);
    return true;
  });
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    if (auto fed = reader.feed(bytes.substr(0, piece)); !fed) {
      out.error = fed.error().message;
      return out;
    }
  }
  if (auto finished = reader.finish(); !finished) out.error = finished.error().message;
  return out;
}

TEST(CsvReader, ReadsQuotesBreaksAndEmptyFields) {
  const auto found = read("a;b;c\r\n\"x;y\";\"sie sagt \"\"ja\"\"\";\r\n\r\n\"zwei\r\nZeilen\";;3\n");
  EXPECT_EQ(found.error, "");
  ASSERT_EQ(found.rows.size(), 3U);
  EXPECT_THAT(found.rows[0].fields, ElementsAre("a", "b", "c"));
  EXPECT_THAT(found.rows[1].fields, ElementsAre("x;y", "sie sagt \"ja\"", ""));
  EXPECT_THAT(found.rows[2].fields, ElementsAre("zwei\r\nZeilen", "", "3"));
  EXPECT_EQ(found.rows[2].line, 4U);
}

TEST(CsvReader, TakesAnyLineEndAndTheLastLineWithoutOne) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    const auto found = read("a;b" + end + "1;2" + end + "3;4");
    ASSERT_EQ(found.rows.size(), 3U) << testing::PrintToString(end);
    EXPECT_THAT(found.rows[2].fields, ElementsAre("3", "4"));
    EXPECT_EQ(found.rows[2].line, 3U);
  }
}

TEST(CsvReader, TakesOtherDelimitersAndNoQuotes) {
  EXPECT_THAT(read("a\tb c\t\n", {'\t', '"'}).rows.at(0).fields, ElementsAre("a", "b c", ""));
  EXPECT_THAT(read("5\" Rohr,x\n", {',', '"'}).rows.at(0).fields, ElementsAre("5\" Rohr", "x"));
}

TEST(CsvReader, NamesARowThatIsNotWellFormedAndGoesOn) {
  const auto found = read("a;b\n\"x\"y;2\n3;4\n");
  ASSERT_EQ(found.rows.size(), 3U);
  EXPECT_EQ(found.rows[1].problem, "text follows a closing quote");
  EXPECT_EQ(found.rows[1].line, 2U);
  EXPECT_EQ(found.rows[2].problem, "");
}

TEST(CsvReader, BoundsARowSoThatAnOpenQuoteCannotTakeTheWholeFile) {
  EXPECT_THAT(read("a\n\"x" + std::string(5000, 'y'), {}, 100, {1000, 10}).error, HasSubstr("line 2: the row has more than 1000 bytes"));
  EXPECT_THAT(read("a\n\"x\n").error, HasSubstr("line 2: a quote is opened that is never closed"));
  EXPECT_THAT(read(std::string(100, ';'), {}, 10, {1000, 10}).error, HasSubstr("10 columns"));
}

TEST(CsvReader, CountsTheLastColumnAtTheEndOfTheFileToo) {
  for (const std::string end : {"", "\n"}) {
    EXPECT_EQ(read("1;2;3" + end, {}, 2, {1000, 3}).error, "");
    EXPECT_THAT(read("1;2;3;4" + end, {}, 2, {1000, 3}).error, HasSubstr("3 columns"));
    EXPECT_THAT(read("1;2;3;" + end, {}, 2, {1000, 3}).error, HasSubstr("3 columns"));
  }
}

TEST(CsvFormats, ReadsDates) {
  EXPECT_THAT(convert_date("31.12.1974", "DD.MM.YYYY"), Optional(std::string("1974-12-31")));
  EXPECT_THAT(convert_date("31.12.1974", "TT.MM.JJJJ"), Optional(std::string("1974-12-31")));
  EXPECT_THAT(convert_date("1.2.74", "D.M.YY"), Optional(std::string("1974-02-01")));
  EXPECT_THAT(convert_date("1.2.24", "D.M.YY"), Optional(std::string("2024-02-01")));
  EXPECT_THAT(convert_date("19741231", "YYYYMMDD"), Optional(std::string("1974-12-31")));
  EXPECT_THAT(convert_date("31.12.1974 08:15", "DD.MM.YYYY hh:mm"), Optional(std::string("1974-12-31 08:15:00")));
  for (const auto* wrong : {"31.02.1974", "31.12.74", "12/31/1974", "31.12.1974 ", "", "aa.bb.cccc", "00.12.1974"}) {
    EXPECT_FALSE(convert_date(wrong, "DD.MM.YYYY")) << wrong;
  }
  EXPECT_TRUE(is_date_pattern("DD.MM.YYYY"));
  EXPECT_FALSE(is_date_pattern("DD.MM"));
  EXPECT_FALSE(is_date_pattern("DD.MM.YYYY DD"));
}

TEST(CsvFormats, ReadsNumbersAndGuessesNothing) {
  EXPECT_THAT(convert_number("1,5", ','), Optional(std::string("1.5")));
  EXPECT_THAT(convert_number("-1.234.567,50", ','), Optional(std::string("-1234567.50")));
  EXPECT_THAT(convert_number("1,234.5", '.'), Optional(std::string("1234.5")));
  EXPECT_THAT(convert_number("+7", ','), Optional(std::string("7")));
  for (const auto* wrong : {"1.5", "1.23,4", "1,2,3", "12 kg", "", "-", ",", "1.2345", "1234.567", "0x1"}) {
    EXPECT_FALSE(convert_number(wrong, ',')) << wrong;
  }
}

constexpr std::string_view kMapping = R"toml(
[csv]
charset = "windows-1252"
date = "DD.MM.YYYY"
decimal = ","
[target]
table = "patient"
match = ["family_name"]
[[column]]
field = "family_name"
from = "Nachname"
required = true
[[column]]
field = "gender"
from = "Geschlecht"
values = ["m = male", "w = female"]
[[column]]
field = "birth_date"
from = "geb."
[[column]]
field = "birth_date_precision"
value = "day"
[[column]]
field = "country"
from = "Land"
default = "D"
)toml";

Target target() {
  Target out;
  for (const auto* name : {"family_name", "gender", "birth_date", "birth_date_precision", "country"}) {
    out.columns.push_back({name, "text", "text", std::string_view(name) == "birth_date", false, false});
    out.matched.push_back(std::string_view(name) == "family_name");
  }
  return out;
}

std::string converted(std::vector<std::string> fields) {
  const auto mapping = parse_mapping(kMapping, "m.toml");
  EXPECT_TRUE(mapping) << mapping.error().message;
  const auto to = target();
  RowConverter converter(*mapping, to);
  EXPECT_TRUE(converter.read_header({1, {" Nachname", "Geschlecht", "geb.", "Land", "Bemerkung"}, {}}));
  const auto values = converter.convert({2, std::move(fields), {}});
  if (!values) return values.error().english();
  std::string out;
  for (const auto& value : *values) out += value.value_or("NULL") + "|";
  return out;
}

TEST(CsvRow, IsConvertedAsTheMappingSays) {
  EXPECT_EQ(converted({"M\xfcller ", "w", "31.12.1974", "CH", ""}), "Müller|female|1974-12-31|day|CH|");
  EXPECT_EQ(converted({"Meier", "", "", "", "x"}), "Meier|NULL|NULL|day|D|");
  EXPECT_EQ(converted({"Meier", "w", "", "", "", "", ""}), "Meier|female|NULL|day|D|");
}

TEST(CsvRow, IsRefusedWithTheReasonButNotItsContents) {
  EXPECT_EQ(converted({"", "w", "", "", ""}), "Nachname: is required and empty");
  EXPECT_EQ(converted({"Meier", "x", "", "", ""}), "Geschlecht: is none of the values that the mapping knows");
  EXPECT_EQ(converted({"Meier", "m", "31.2.1974", "", ""}), "geb.: is no date of the form DD.MM.YYYY");
  EXPECT_EQ(converted({"Meier", "m", "", ""}), "has 4 columns, the header has 5");
  EXPECT_EQ(converted({"Meier", "m", "", "", "", "zu viel"}), "has 6 columns, the header has 5");
  EXPECT_EQ(converted({"Mei\x81" "er", "m", "", "", ""}), "Nachname: a character that the character set does not have");
}

TEST(CsvRow, NeedsTheColumnsThatTheMappingNames) {
  const auto mapping = parse_mapping(kMapping, "m.toml");
  const auto to = target();
  RowConverter converter(*mapping, to);
  auto missing = converter.read_header({1, {"Name", "Geschlecht"}, {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "line 1: the header has no column \"Nachname\"");
  EXPECT_EQ(missing.error().hint, "it has: Name, Geschlecht");
}

TEST(CsvRow, LeavesNoDateToTheSettingsOfTheServer) {
  const auto mapping = parse_mapping("[csv]\nheader = false\n[target]\ntable = \"t\"\n[[column]]\nfield = \"d\"\nfrom = \"1\"\n", "m.toml");
  ASSERT_TRUE(mapping) << mapping.error().message;
  Target to;
  to.columns.push_back({"d", "date", "date", true, false, false});
  to.matched.push_back(false);
  const RowConverter converter(*mapping, to);
  EXPECT_TRUE(converter.convert({1, {"1974-02-01"}, {}}));
  EXPECT_EQ(converter.convert({1, {"01.02.1974"}, {}}).error().english(), "1: is no date of the form YYYY-MM-DD");
}

TEST(CsvMapping, RefusesWhatCannotBeMeantWithItsLine) {
  const auto error = [](std::string text) {
    const auto mapping = parse_mapping(text, "m.toml");
    return mapping ? std::string("taken") : mapping.error().message;
  };
  const std::string target = "[target]\ntable = \"t\"\n", column = "[[column]]\nfield = \"a\"\nfrom = \"A\"\n";
  EXPECT_EQ(error(target + column), "taken");
  EXPECT_THAT(error(column), HasSubstr("target.table is missing"));
  EXPECT_THAT(error(target), HasSubstr("there is no [[column]]"));
  EXPECT_THAT(error(target + column + column), HasSubstr("column a: is given twice"));
  EXPECT_THAT(error(target + column + "requird = true\n"), HasSubstr("m.toml:6"));
  EXPECT_THAT(error("[csv]\ncharset = \"ebcdic\"\n" + target + column), HasSubstr("no such character set"));
  EXPECT_THAT(error("[csv]\ndelimiter = \"x\"\n" + target + column), HasSubstr("csv.delimiter"));
  EXPECT_THAT(error("[csv]\ndate = \"DD.MM\"\n" + target + column), HasSubstr("no pattern of a date"));
  EXPECT_THAT(error("[csv]\nheader = false\n" + target + column), HasSubstr("numbers from 1"));
  EXPECT_THAT(error("[target]\ntable = \"t\"\nmatch = [\"b\"]\n" + column), HasSubstr("b is not among the columns"));
  EXPECT_THAT(error("[target]\ntable = \"t\"\non_duplicate = \"merge\"\n" + column), HasSubstr("target.on_duplicate"));
  EXPECT_THAT(error(target + "[[column]]\nfield = \"a\"\n"), HasSubstr("needs either"));
}

}  // namespace
}  // namespace verbund::importer::csv
