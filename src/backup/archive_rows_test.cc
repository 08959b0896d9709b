// Sums of rows: what they tell apart, whatever pieces they come in; and names of columns as a COPY statement has them.
#include "backup/archive_rows.h"

#include <gmock/gmock.h>

namespace verbund::backup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;

std::string sum_of(std::string_view text, std::size_t piece) {
  RowSum sum;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) sum.take(text.substr(0, piece));
  EXPECT_TRUE(sum.whole());
  return fmt::format("{} {}", sum.rows(), sum.text());
}

TEST(RowSums, DoNotDependOnPiecesOrOrder) {
  constexpr std::string_view kRows = "1\ta\n\n2\t\\N\n22\tlonger than the others, by far, so that it is cut more often\n";
  const auto whole = sum_of(kRows, kRows.size());
  for (std::size_t piece = 1; piece < kRows.size(); ++piece) EXPECT_EQ(sum_of(kRows, piece), whole) << piece;
  EXPECT_EQ(sum_of("22\tlonger than the others, by far, so that it is cut more often\n2\t\\N\n1\ta\n\n", 7), whole);
}

TEST(RowSums, EndWhereCopyEnds) {
  for (std::size_t piece = 1; piece < 9; ++piece) {
    EXPECT_EQ(sum_of("1\n2\n\\.\n\n\n", piece), sum_of("1\n2\n", 4)) << piece;
    EXPECT_EQ(sum_of("\\.\n\n\n", piece), sum_of("", 1)) << "a table without rows, " << piece;
    EXPECT_NE(sum_of("\n\n\\.\n\n\n", piece), sum_of("\\.\n\n\n", piece)) << "rows without columns are rows, " << piece;
    EXPECT_EQ(sum_of("\\..\n\\\\.\n", piece), sum_of("\\\\.\n\\..\n", 20)) << "other lines that begin so are rows, " << piece;
  }
}

TEST(RowSums, TellTwoEqualRowsFromNone) {
  EXPECT_NE(sum_of("a\na\n", 9), sum_of("", 9));
  EXPECT_NE(sum_of("a\na\n", 9).substr(2), sum_of("b\nb\n", 9).substr(2));
}

TEST(RowSums, KeepTheirValues) {
  // XXH3 promises it; sets of years ago are compared with it.
  EXPECT_EQ(sum_of("verbund\n", 100), "1 c0000000000000000" + fmt::format("{:016x}", Hash64::of("verbund")));
  EXPECT_EQ(Hash64::of(""), 0x2d06800538d394c2U);
}

TEST(ColumnsOfACopyStatement, AreThoseOfTheTable) {
  EXPECT_THAT(copied_columns("COPY public.patient (id, name) FROM stdin;\n"), Optional(ElementsAre("id", "name")));
  EXPECT_THAT(copied_columns("COPY \"Labor (a). Ä\".\"x \"\"y\"\" (b)\" (\"a, b\", \"c)\", \"\"\"\") FROM stdin;\n"), Optional(ElementsAre("a, b", "c)", "\"")));
  EXPECT_THAT(copied_columns("COPY public.nothing  FROM stdin;\n"), Optional(IsEmpty()));
  for (const char* off : {"", "COPY", "COPY public.t", "COPY public.t (a", "COPY public.t (a) FROM stdin", "COPY public.t (a,b) FROM stdin;", "COPY \"t FROM stdin;", "INSERT INTO t"}) {
    EXPECT_EQ(copied_columns(off), std::nullopt) << off;
  }
}

TEST(ReadingAlong, RefusesWhatIsNoArchiveAndWhatItDoesNotKnow) {
  const auto code_of = [](std::string_view bytes) {
    ArchiveRows rows;
    const auto taken = rows.take(bytes);
    return taken ? rows.finish().error().code : taken.error().code;
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(code_of(""), ErrorCode::kDamaged);
  EXPECT_EQ(code_of("PGDMP\x01\x0e"), ErrorCode::kDamaged) << "cut";
  EXPECT_EQ(code_of("<html>no archive</html>"), ErrorCode::kDamaged);
  EXPECT_EQ(code_of("PGDMP\x01\x10\x00\x04\x08\x01"sv), ErrorCode::kUnsupported) << "version 1.16";
  EXPECT_EQ(code_of("PGDMP\x01\x0e\x00\x04\x08\x01\x00\x06\x00\x00\x00"sv), ErrorCode::kUnsupported) << "compressed";
}

}  // namespace
}  // namespace verbund::backup
