#pragma once
/// What a shadow's columns were made of, and what leads from there to the columns that the source has now. Pure.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace verbund::feed {

struct CapturedTable;

/// Columns by their number in the source's catalog, which a column keeps whatever it is called.
struct Layout {
  struct Column {
    int number = 0;
    std::uint32_t type = 0;
    std::int32_t modifier = -1;
    std::string name;
  };
  std::vector<Column> columns;
  std::vector<int> key;  ///< numbers, in the order of the primary key

  [[nodiscard]] const Column* named(std::string_view name) const;
};

Layout layout_of(const CapturedTable& table);
/// As feed.source_table.layout has it: a line per column, then the key.
std::string layout_text(const Layout& layout);
/// nullopt: not written by layout_text.
std::optional<Layout> parse_layout(std::string_view text);

/// How a shadow becomes that of a table which has changed.
struct Reshaping {
  enum class Kind {
    kNone,
    kFollow,  ///< its columns change, its values stay right
    kReread,  ///< values may have changed without a word in the log: compare with the source
    kRekey,   ///< the rows are called otherwise: empty it, then as kReread
  } kind = Kind::kNone;
  std::vector<std::pair<std::string, std::string>> renamed;  ///< the shadow's column → its new name
  std::vector<std::string> dropped;
  std::vector<std::size_t> added;                            ///< columns of the table, ascending

  [[nodiscard]] bool changes_columns() const { return !renamed.empty() || !dropped.empty() || !added.empty(); }
};

/// Whether it is still the same table, and whether its rows have been rewritten, as far as the catalog tells.
struct Evidence {
  bool same_relation = true;
  bool same_files = true;
};
Reshaping reshape(const Layout& before, const CapturedTable& now, Evidence evidence);

}  // namespace verbund::feed
