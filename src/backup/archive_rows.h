#pragma once
/// Inside backup only: reads along while pg_dump writes an archive, and sums up the rows in it, table by table.
/// Pure; one thread. Format: PostgreSQL's custom archive as it is written into a pipe, version 1.14 (PostgreSQL 12 to 15), which
/// src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c describe: a head, the table of contents, then a block per table.
#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backup/manifest.h"
#include "backup/row_sum.h"

namespace verbund::backup {

class ArchiveRows {
 public:
  /// The next bytes, cut anywhere. Memory: some numbers per table. Errors: kUnsupported (another version, or compressed: nothing of it is
  /// understood from here on), kDamaged.
  Status take(std::string_view bytes);
  /// One entry per table with data, in order of schema and name; the large objects, if there are any, as
  /// pg_catalog.pg_largeobject. Errors: kDamaged (it ends too early).
  [[nodiscard]] Result<std::vector<TableHash>> finish() const;

 private:
  enum class Stage { kMagic, kHead, kEntry, kDependency, kOffset, kBlockType, kBlockId, kObject, kLength, kPiece };
  enum class Kind { kNumber, kText };
  struct Table {
    std::string schema, table;
    std::vector<std::string> columns;
    RowSum rows;
  };

  Status step(std::string_view& bytes);
  bool gather(std::string_view& bytes, std::size_t wanted);
  std::optional<std::int64_t> number(std::string_view& bytes);
  enum class Got { kMore, kNull, kText };
  Result<Got> text(std::string_view& bytes, bool keep);

  Status magic(std::string_view& bytes);
  Status head(std::string_view& bytes);
  Status entry(std::string_view& bytes);
  Status entered();
  Status dependency(std::string_view& bytes);
  Status block_type(std::string_view& bytes);
  Status block_id(std::string_view& bytes);
  Status object(std::string_view& bytes);
  Status length(std::string_view& bytes);
  Status piece(std::string_view& bytes);
  void next_entry();

  Stage stage_ = Stage::kMagic;
  std::string held_;                         // of a number or text that was cut
  std::optional<std::int64_t> text_left_;    // bytes of the text that is being read
  std::size_t number_bytes_ = 4, offset_bytes_ = 8;
  std::size_t field_ = 0;
  std::int64_t entries_left_ = 0;
  std::int64_t id_ = 0;                      // of the entry
  std::string tag_, what_, copy_, schema_;   // of the entry
  std::map<std::int64_t, Table> tables_;     // by the number that their block has
  bool of_objects_ = false;                  // the block holds large objects
  Table* table_ = nullptr;                   // whose block it is; none: rows of something else
  std::uint64_t piece_left_ = 0;
  Hash64 object_hash_;
  HashSum objects_sum_;
  std::uint64_t objects_ = 0;
};

/// What the hash of a large object begins with.
std::string object_prefix(std::uint64_t oid);
/// The columns of `COPY s.t (a, "B") FROM stdin;`, without quotes. nullopt: no such statement. Pure.
std::optional<std::vector<std::string>> copied_columns(std::string_view statement);

}  // namespace verbund::backup
