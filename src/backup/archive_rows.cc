#include "backup/archive_rows.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kMagic = "PGDMP";
constexpr std::size_t kMagicBytes = 11;      // and version (3), bytes of a number, bytes of an offset, format
constexpr char kCustom = 1;
constexpr char kRowsBlock = 1, kObjectsBlock = 3;
constexpr std::size_t kMostNumberBytes = 8;
/// A COPY statement with 1,600 columns of 63 letters, each in quotes.
constexpr std::int64_t kMostText = 1 << 20;
constexpr std::int64_t kMostEntries = 100'000'000;

Error off(const char* what) { return make_error(ErrorCode::kDamaged, phrase("read along with pg_dump: {} is not as its format says", Phrase{what})); }
std::unexpected<Error> damaged(const char* what) { return std::unexpected(off(what)); }

std::unexpected<Error> unknown() {
  return fail(ErrorCode::kUnsupported, phrase("read along with pg_dump: an archive of a version that is not known here"));
}

/// "name" or "a ""quoted"" one" from the front of `text`.
std::optional<std::string> identifier(std::string_view& text) {
  std::string name;
  if (!text.starts_with('"')) {
    const auto end = std::min(text.find_first_of(".,() "), text.size());
    if (end == 0) return std::nullopt;
    name = text.substr(0, end);
    text.remove_prefix(end);
    return name;
  }
  text.remove_prefix(1);
  while (true) {
    const auto quote = text.find('"');
    if (quote == std::string_view::npos) return std::nullopt;
    name += text.substr(0, quote);
    text.remove_prefix(quote + 1);
    if (!text.starts_with('"')) return name;
    name += '"';
    text.remove_prefix(1);
  }
}

bool skip(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

}  // namespace

std::string object_prefix(std::uint64_t oid) { return std::to_string(oid) + ':'; }

std::optional<std::vector<std::string>> copied_columns(std::string_view statement) {
  if (!skip(statement, "COPY ") || !identifier(statement) || !skip(statement, ".") || !identifier(statement) || !skip(statement, " ")) return std::nullopt;
  std::vector<std::string> columns;
  if (skip(statement, "(")) {
    do {
      auto column = identifier(statement);
      if (!column) return std::nullopt;
      columns.push_back(std::move(*column));
    } while (skip(statement, ", "));
    if (!skip(statement, ")")) return std::nullopt;
  }
  if (!skip(statement, " FROM stdin;")) return std::nullopt;
  return columns;
}

/// Collects in `held_` what comes in pieces.
bool ArchiveRows::gather(std::string_view& bytes, std::size_t wanted) {
  const auto more = std::min(bytes.size(), wanted - held_.size());
  held_.append(bytes.substr(0, more));
  bytes.remove_prefix(more);
  return held_.size() == wanted;
}

/// A byte that is not 0 when it is negative, then the value, lowest byte first.
std::optional<std::int64_t> ArchiveRows::number(std::string_view& bytes) {
  if (!gather(bytes, 1 + number_bytes_)) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = number_bytes_; i >= 1; --i) value = (value << 8) | static_cast<unsigned char>(held_[i]);
  const bool negative = held_[0] != 0;
  held_.clear();
  const auto positive = static_cast<std::int64_t>(value & 0x7fff'ffff'ffff'ffff);
  return negative ? -positive : positive;
}

/// A number, -1 for NULL, then so many bytes. In `held_` when it is there and to be kept.
Result<ArchiveRows::Got> ArchiveRows::text(std::string_view& bytes, bool keep) {
  if (!text_left_) {
    const auto length = number(bytes);
    if (!length) return Got::kMore;
    if (*length < 0) return Got::kNull;
    if (keep && *length > kMostText) return damaged(msgid("a text of its contents"));
    text_left_ = *length;
  }
  const auto more = std::min<std::size_t>(bytes.size(), static_cast<std::size_t>(*text_left_));
  if (keep) held_.append(bytes.substr(0, more));
  bytes.remove_prefix(more);
  *text_left_ -= static_cast<std::int64_t>(more);
  if (*text_left_ > 0) return Got::kMore;
  text_left_.reset();
  return Got::kText;
}

Status ArchiveRows::magic(std::string_view& bytes) {
  if (!gather(bytes, kMagicBytes)) return {};
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(held_[at])); };
  if (!held_.starts_with(kMagic)) return damaged(msgid("its head"));
  const bool known = byte(5) == 1 && byte(6) == 14 && held_[10] == kCustom;
  number_bytes_ = byte(8);
  offset_bytes_ = byte(9);
  held_.clear();
  if (!known || number_bytes_ == 0 || number_bytes_ > kMostNumberBytes || offset_bytes_ > kMostNumberBytes) return unknown();
  stage_ = Stage::kHead;
  return {};
}

/// Compression, seven numbers of a time, three texts, how many entries follow.
Status ArchiveRows::head(std::string_view& bytes) {
  constexpr std::size_t kNumbers = 8, kTexts = 3;
  if (field_ >= kNumbers && field_ < kNumbers + kTexts) {
    auto got = text(bytes, false);
    if (!got) return pass(got);
    if (*got != Got::kMore) ++field_;
    return {};
  }
  const auto value = number(bytes);
  if (!value) return {};
  if (field_ == 0 && *value != 0) return unknown();
  if (field_ < kNumbers) {
    ++field_;
    return {};
  }
  if (*value < 0 || *value > kMostEntries) return damaged(msgid("the number of its contents"));
  entries_left_ = *value;
  next_entry();
  return {};
}

void ArchiveRows::next_entry() {
  field_ = 0;
  tag_.clear(), what_.clear(), copy_.clear(), schema_.clear();
  stage_ = entries_left_ > 0 ? Stage::kEntry : Stage::kBlockType;
}

Status ArchiveRows::entry(std::string_view& bytes) {
  // number, has data, two oids, tag, what, section, definition, drop, COPY, schema, tablespace, access method, owner, with oids
  using enum Kind;
  static constexpr std::array kFields{kNumber, kNumber, kText, kText, kText, kText, kNumber, kText, kText, kText, kText, kText, kText, kText, kText};
  std::string* const kept = field_ == 4 ? &tag_ : field_ == 5 ? &what_ : field_ == 9 ? &copy_ : field_ == 10 ? &schema_ : nullptr;
  if (kFields.at(field_) == kNumber) {
    const auto value = number(bytes);
    if (!value) return {};
    if (field_ == 0) id_ = *value;
  } else {
    auto got = text(bytes, kept != nullptr);
    if (!got) return pass(got);
    if (*got == Got::kMore) return {};
    if (kept != nullptr) *kept = std::exchange(held_, {});
  }
  if (++field_ == kFields.size()) stage_ = Stage::kDependency;
  return {};
}

Status ArchiveRows::dependency(std::string_view& bytes) {
  auto got = text(bytes, false);
  if (!got) return pass(got);
  if (*got == Got::kNull) stage_ = Stage::kOffset;
  return {};
}

Status ArchiveRows::entered() {
  if (what_ == "TABLE DATA") {
    auto columns = copied_columns(copy_);
    if (!columns) return damaged(msgid("a COPY statement"));
    tables_[id_] = {schema_, tag_, std::move(*columns), {}};
  }
  --entries_left_;
  next_entry();
  return {};
}

Status ArchiveRows::block_type(std::string_view& bytes) {
  const char type = bytes.front();
  bytes.remove_prefix(1);
  if (type != kRowsBlock && type != kObjectsBlock) return damaged(msgid("a block"));
  of_objects_ = type == kObjectsBlock;
  stage_ = Stage::kBlockId;
  return {};
}

Status ArchiveRows::block_id(std::string_view& bytes) {
  const auto id = number(bytes);
  if (!id) return {};
  const auto found = tables_.find(*id);
  table_ = found != tables_.end() ? &found->second : nullptr;
  stage_ = of_objects_ ? Stage::kObject : Stage::kLength;
  return {};
}

Status ArchiveRows::object(std::string_view& bytes) {
  const auto oid = number(bytes);
  if (!oid) return {};
  if (*oid == 0) {
    stage_ = Stage::kBlockType;
    return {};
  }
  ++objects_;
  object_hash_.begin();
  object_hash_.update(object_prefix(static_cast<std::uint64_t>(*oid)));
  stage_ = Stage::kLength;
  return {};
}

Status ArchiveRows::length(std::string_view& bytes) {
  const auto length = number(bytes);
  if (!length) return {};
  if (*length < 0) return damaged(msgid("the length of a piece"));
  piece_left_ = static_cast<std::uint64_t>(*length);
  stage_ = Stage::kPiece;
  if (piece_left_ > 0) return {};
  if (of_objects_) objects_sum_.add(object_hash_.value());
  if (table_ != nullptr && !table_->rows.whole()) return damaged(msgid("the end of a table"));
  stage_ = of_objects_ ? Stage::kObject : Stage::kBlockType;
  return {};
}

Status ArchiveRows::piece(std::string_view& bytes) {
  const auto now = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), piece_left_)));
  if (of_objects_) {
    object_hash_.update(now);
  } else if (table_ != nullptr) {
    table_->rows.take(now);
  }
  bytes.remove_prefix(now.size());
  piece_left_ -= now.size();
  if (piece_left_ == 0) stage_ = Stage::kLength;
  return {};
}

Status ArchiveRows::step(std::string_view& bytes) {
  switch (stage_) {
    case Stage::kMagic: return magic(bytes);
    case Stage::kHead: return head(bytes);
    case Stage::kEntry: return entry(bytes);
    case Stage::kDependency: return dependency(bytes);
    case Stage::kOffset:
      if (!gather(bytes, 1 + offset_bytes_)) return {};
      held_.clear();
      return entered();
    case Stage::kBlockType: return block_type(bytes);
    case Stage::kBlockId: return block_id(bytes);
    case Stage::kObject: return object(bytes);
    case Stage::kLength: return length(bytes);
    case Stage::kPiece: return piece(bytes);
  }
  return damaged(msgid("its state"));
}

Status ArchiveRows::take(std::string_view bytes) {
  while (!bytes.empty()) {
    if (auto moved = step(bytes); !moved) return moved;
  }
  return {};
}

Result<std::vector<TableHash>> ArchiveRows::finish() const {
  if (stage_ != Stage::kBlockType) return damaged(msgid("its end"));
  std::vector<TableHash> hashes;
  for (const auto& [id, table] : tables_) {
    hashes.push_back({table.schema, table.table, table.rows.rows(), table.rows.text(), table.columns});
  }
  std::ranges::sort(hashes, {}, [](const TableHash& table) { return std::tie(table.schema, table.table); });
  if (objects_ > 0) {
    hashes.push_back({"pg_catalog", "pg_largeobject", objects_, objects_sum_.text(), {}});
  }
  return hashes;
}

}  // namespace verbund::backup
