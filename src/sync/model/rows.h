#pragma once
/// Row blocks: how rows travel between device and server (docs/formats/row-block.md). The only bulk data of a sync.
///
/// A block is a unit of transfer and of resuming: complete in itself, checked (zstd's checksum), bounded. Pure; a writer or reader belongs to one
/// thread at a time. Data of a block that is read come from a stranger: every length is checked before anything is kept of it.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "sync/model/value.h"

namespace verbund::sync {

inline constexpr std::size_t kBlockRawBytes = 1024 * 1024;      ///< a writer ends a block behind the row that reaches it
inline constexpr std::size_t kMaxBlockRawBytes = 16 * 1024 * 1024;  ///< a row that makes a block larger is refused
inline constexpr std::size_t kMaxBlockBytes = kMaxBlockRawBytes + 4096;
inline constexpr std::size_t kMaxColumns = 1600;                ///< PostgreSQL's own limit

/// From the server.
struct DownRow {
  enum class Op : std::uint8_t {
    kUpsert = 1,  ///< values: all columns of the layout
    kDelete = 2,  ///< values: the key; the device has it no more, if it had it
    kKeep = 3,    ///< values: the key; in a refresh or repair: the device's row stays as it is, its own change to it is not decided yet
    kSlot = 4,    ///< values: a number; in a repair: what the device has in this slot (sums.h) and is not among the rows goes
  } op = Op::kUpsert;
  std::vector<Value> values;
};

/// From a device: what became of one row since the device knew it last.
struct UpRow {
  enum class Op : std::uint8_t { kInsert = 'I', kUpdate = 'U', kDelete = 'D' } op = Op::kInsert;
  Csn base;                    ///< the device's cursor when it first changed the row: it had the row as of then. Insert: 0
  std::vector<bool> changed;   ///< update: per column of the layout, whether it differs; key columns never do
  std::vector<Value> values;   ///< insert, update: all columns; delete: empty
  std::vector<Value> before;   ///< update, delete: all columns as of `base`; insert: empty
};

/// Of a block, without its rows.
struct BlockHead {
  enum class Kind : std::uint8_t { kDown = 'D', kUp = 'U' } kind = Kind::kDown;
  std::uint32_t number = 0;  ///< from 0, without a gap
  bool last = false;
  std::uint32_t rows = 0;
};

class BlockWriter {
 public:
  /// `first`: of the block that is written first. `level`: of zstd.
  explicit BlockWriter(BlockHead::Kind kind, int level = 1, std::uint32_t first = 0);
  ~BlockWriter();
  BlockWriter(BlockWriter&&) noexcept;
  BlockWriter& operator=(BlockWriter&&) noexcept;

  /// Errors: kTooLarge (nothing of the row is kept).
  Status add(const DownRow& row);
  Status add(const UpRow& row);
  /// The same as a DownRow of these texts, for the way from PostgreSQL: no value is made. `kinds` and `texts` have the same size.
  Status add_upsert(const std::vector<Kind>& kinds, const std::vector<std::optional<std::string_view>>& texts);

  [[nodiscard]] bool full() const;             ///< time for `take`
  [[nodiscard]] std::uint32_t rows() const;    ///< since the last `take`
  [[nodiscard]] std::uint32_t number() const;  ///< of the block that `take` gives next
  /// The block so far, maybe without rows; the next number begins. Errors: kInternal.
  Result<std::string> take(bool last);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class BlockReader {
 public:
  /// Unpacks it. Errors: kBadMessage (malformed, damaged, of the other kind), kTooLarge.
  static Result<BlockReader> open(std::string_view block, BlockHead::Kind kind);
  [[nodiscard]] const BlockHead& head() const { return head_; }

  /// The next row; false: there is none. `columns`: of the layout; `key`: of its primary key. Errors: kBadMessage.
  Result<bool> next(DownRow& row, std::size_t columns, std::size_t key);
  Result<bool> next(UpRow& row, std::size_t columns);

 private:
  BlockHead head_;
  std::string raw_;
  std::size_t at_ = 0;
  std::uint32_t read_ = 0;
};

/// The head alone, of a block that is only handed on. Errors: kBadMessage, kTooLarge.
Result<BlockHead> read_block_head(std::string_view block);

/// One value as it stands in a row.
void append_value(std::string& to, const Value& value);
/// The same of PostgreSQL's text, without making a value of it. False: it is none of this kind; something of it may stand in `to`.
bool append_text_value(std::string& to, Kind kind, std::optional<std::string_view> text);

}  // namespace verbund::sync
