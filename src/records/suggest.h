#pragma once
/// Proposals for [[record]] blocks from a catalog that nobody at Verbund has seen before: which tables are the roots, which
/// belong to them, which columns name a row to people. Pure: the same catalog gives the same text; any thread.
#include <string>
#include <vector>

#include "base/messages.h"
#include "records/record_types.h"

namespace verbund::records {

struct SnapshotColumn {
  std::string name;
  std::string type;  ///< of the domain's base type: "text", "character varying", "date"
  bool not_null = false;
};

struct SnapshotTable {
  std::string schema, table;
  std::vector<SnapshotColumn> columns;
  std::vector<std::string> key;                    ///< primary key; empty: it can be no record's root, and is not captured
  std::vector<std::vector<std::string>> uniques;   ///< further unique keys
  std::vector<ForeignKey> foreign_keys;
  double rows = -1;                                ///< estimate; below 0: never analysed
};

/// Tables ordered by schema and name; no partitions (their parent stands for them), none of extensions or of Verbund.
struct CatalogSnapshot {
  std::vector<SnapshotTable> tables;
};

struct SuggestedChild {
  std::string path;    ///< as children = […] has it: "public.befund.patient_id"
  bool keyless = false;  ///< no primary key: named, but not captured
};

struct SuggestedRecord {
  std::string type, label;
  std::string schema, table;
  std::string label_sql, group_sql;  ///< empty: no column looks like a name
  std::vector<std::string> search;
  std::vector<SuggestedChild> children;
  std::size_t referenced_by = 0;     ///< tables with a foreign key to it
  double score = 0;
};

inline constexpr std::size_t kMaxSuggestions = 8;

/// Best first, at most `limit`. A table is a child of at most one of them.
std::vector<SuggestedRecord> suggest(const CatalogSnapshot& catalog, std::size_t limit = kMaxSuggestions);

/// Ready to be pasted into config/verbund.toml, with comments in `language`.
std::string suggestions_toml(const std::vector<SuggestedRecord>& suggestions, const CatalogSnapshot& catalog, Language language);

}  // namespace verbund::records
