#include "sync/model/rows.h"

#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <zstd.h>

#include "base/messages.h"
#include "sync/model/sums.h"

namespace verbund::sync {
namespace {

constexpr std::string_view kMagic = "VRB1";
constexpr std::uint8_t kLastFlag = 1;

// The low three bits of a value's first number; the rest is a length, or nothing.
enum Form : std::uint8_t { kNull = 0, kWhole = 1, kReal = 2, kText = 3, kBlob = 4 };
constexpr int kFormBits = 3;

void append_varint(std::string& to, std::uint64_t number) {
  while (number >= 0x80) {
    to.push_back(static_cast<char>(number | 0x80));
    number >>= 7;
  }
  to.push_back(static_cast<char>(number));
}

std::uint64_t zigzag(std::int64_t number) { return (static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63); }
std::int64_t unzigzag(std::uint64_t number) { return static_cast<std::int64_t>(number >> 1) ^ -static_cast<std::int64_t>(number & 1); }

void append_bytes(std::string& to, Form form, std::string_view bytes) {
  append_varint(to, std::uint64_t{bytes.size()} << kFormBits | form);
  to.append(bytes);
}

void append_real(std::string& to, double number) {
  append_varint(to, kReal);
  const auto bits = std::bit_cast<std::uint64_t>(number);
  for (int shift = 0; shift < 64; shift += 8) to.push_back(static_cast<char>(bits >> shift & 0xff));
}

void append_whole(std::string& to, std::int64_t number) {
  append_varint(to, kWhole);
  append_varint(to, zigzag(number));
}

/// Reads what a stranger wrote.
class Bytes {
 public:
  Bytes(std::string_view all, std::size_t& at) : all_(all), at_(at) {}

  bool varint(std::uint64_t& number) {
    number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ >= all_.size()) return false;
      const auto byte = static_cast<std::uint8_t>(all_[at_++]);
      if (shift == 63 && byte > 1) return false;
      number |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool bytes(std::uint64_t count, std::string_view& into) {
    if (count > all_.size() - at_) return false;
    into = all_.substr(at_, count);
    at_ += count;
    return true;
  }
  bool byte(std::uint8_t& into) {
    if (at_ >= all_.size()) return false;
    into = static_cast<std::uint8_t>(all_[at_++]);
    return true;
  }
  bool value(Value& into) {
    std::uint64_t first = 0;
    if (!varint(first)) return false;
    const auto length = first >> kFormBits;
    std::string_view found;
    switch (first & ((1U << kFormBits) - 1)) {
      case kNull:
        into = std::monostate{};
        return length == 0;
      case kWhole: {
        std::uint64_t number = 0;
        if (length != 0 || !varint(number)) return false;
        into = unzigzag(number);
        return true;
      }
      case kReal:
        return length == 0 && real(into);
      case kText:
        if (!bytes(length, found)) return false;
        into = std::string(found);
        return true;
      case kBlob:
        if (!bytes(length, found)) return false;
        into = Blob{std::string(found)};
        return true;
      default:
        return false;
    }
  }
  bool values(std::vector<Value>& into, std::size_t count) {
    into.resize(count);
    for (auto& each : into) {
      if (!value(each)) return false;
    }
    return true;
  }

 private:
  bool real(Value& into) {
    std::string_view found;
    if (!bytes(8, found)) return false;
    std::uint64_t bits = 0;
    for (int at = 7; at >= 0; --at) bits = bits << 8 | static_cast<std::uint8_t>(found[static_cast<std::size_t>(at)]);
    const auto number = std::bit_cast<double>(bits);
    if (std::isnan(number)) return false;
    into = number;
    return true;
  }

  std::string_view all_;
  std::size_t& at_;
};

std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::kBadMessage, phrase("read a row block: {}", what)); }

struct HeadRead {
  BlockHead head;
  std::uint64_t raw = 0;
  std::string_view packed;
};

Result<HeadRead> read_head(std::string_view block) {
  if (block.size() > kMaxBlockBytes) return fail(ErrorCode::kTooLarge, phrase("read a row block: {} bytes are more than {}", block.size(), kMaxBlockBytes));
  if (!block.starts_with(kMagic)) return malformed("it does not begin as one");
  std::size_t at = kMagic.size();
  Bytes bytes(block, at);
  HeadRead read;
  std::uint8_t kind = 0, flags = 0;
  std::uint64_t number = 0, rows = 0;
  if (!bytes.byte(kind) || !bytes.byte(flags) || !bytes.varint(number) || !bytes.varint(rows) || !bytes.varint(read.raw)) return malformed("it ends in its head");
  if ((kind != 'D' && kind != 'U') || (flags & ~kLastFlag) != 0 || number > UINT32_MAX || rows > kMaxBlockRawBytes) return malformed("its head says what nobody writes");
  if (read.raw > kMaxBlockRawBytes) return fail(ErrorCode::kTooLarge, phrase("read a row block: {} bytes are more than {}", read.raw, kMaxBlockRawBytes));
  read.head = {static_cast<BlockHead::Kind>(kind), static_cast<std::uint32_t>(number), flags == kLastFlag, static_cast<std::uint32_t>(rows)};
  read.packed = block.substr(at);
  return read;
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

bool append_real_text(std::string& to, std::string_view text) {
  auto value = value_of(Kind::kReal, text);
  if (!value) return false;
  append_value(to, *value);
  return true;
}

void append_mask(std::string& to, const std::vector<bool>& mask) {
  std::uint8_t byte = 0;
  for (std::size_t at = 0; at < mask.size(); ++at) {
    if (mask[at]) byte = static_cast<std::uint8_t>(byte | 1U << (at % 8));
    if (at % 8 == 7 || at + 1 == mask.size()) {
      to.push_back(static_cast<char>(byte));
      byte = 0;
    }
  }
}

bool read_mask(Bytes& bytes, std::vector<bool>& mask, std::size_t columns) {
  std::string_view found;
  if (!bytes.bytes((columns + 7) / 8, found)) return false;
  mask.assign(columns, false);
  for (std::size_t at = 0; at < columns; ++at) mask[at] = (static_cast<std::uint8_t>(found[at / 8]) >> (at % 8) & 1U) != 0;
  return true;
}

}  // namespace

void append_value(std::string& to, const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return append_whole(to, *whole);
  if (const auto* number = std::get_if<double>(&value)) return append_real(to, *number);
  if (const auto* text = std::get_if<std::string>(&value)) return append_bytes(to, kText, *text);
  if (const auto* blob = std::get_if<Blob>(&value)) return append_bytes(to, kBlob, blob->bytes);
  append_varint(to, kNull);
}

bool append_text_value(std::string& to, Kind kind, std::optional<std::string_view> text) {
  if (!text) {
    append_varint(to, kNull);
    return true;
  }
  switch (kind) {
    case Kind::kText:
      append_bytes(to, kText, *text);
      return true;
    case Kind::kBoolean:
      append_whole(to, *text == "t" ? 1 : 0);
      return *text == "t" || *text == "f";
    case Kind::kReal:
      return append_real_text(to, *text);
    case Kind::kInteger:
    case Kind::kBytes:
      break;
  }
  auto value = value_of(kind, text);
  if (!value) return false;
  append_value(to, *value);
  return true;
}

struct BlockWriter::Impl {
  BlockHead head;
  int level = 1;
  std::string raw;
  std::string packed;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context{ZSTD_createCCtx()};

  /// Undoes what `from` on was added when the row is too large.
  Status added(std::size_t from) {
    if (raw.size() <= kMaxBlockRawBytes) {
      ++head.rows;
      return {};
    }
    const auto size = raw.size() - from;
    raw.resize(from);
    return fail(ErrorCode::kTooLarge, phrase("write a row block: a row of {} bytes is more than {}", size, kMaxBlockRawBytes - kBlockRawBytes));
  }
};

BlockWriter::BlockWriter(BlockHead::Kind kind, int level, std::uint32_t first) : impl_(std::make_unique<Impl>()) {
  impl_->head.kind = kind;
  impl_->head.number = first;
  impl_->level = level;
  impl_->raw.reserve(kBlockRawBytes + kBlockRawBytes / 8);
}
BlockWriter::~BlockWriter() = default;
BlockWriter::BlockWriter(BlockWriter&&) noexcept = default;
BlockWriter& BlockWriter::operator=(BlockWriter&&) noexcept = default;

Status BlockWriter::add(const DownRow& row) {
  const auto from = impl_->raw.size();
  impl_->raw.push_back(static_cast<char>(row.op));
  for (const auto& value : row.values) append_value(impl_->raw, value);
  return impl_->added(from);
}

Status BlockWriter::add(const UpRow& row) {
  const auto from = impl_->raw.size();
  auto& raw = impl_->raw;
  raw.push_back(static_cast<char>(row.op));
  append_varint(raw, row.base.value);
  if (row.op == UpRow::Op::kUpdate) append_mask(raw, row.changed);
  for (const auto& value : row.values) append_value(raw, value);
  for (const auto& value : row.before) append_value(raw, value);
  return impl_->added(from);
}

Status BlockWriter::add_upsert(const std::vector<Kind>& kinds, const std::vector<std::optional<std::string_view>>& texts) {
  const auto from = impl_->raw.size();
  impl_->raw.push_back(static_cast<char>(DownRow::Op::kUpsert));
  for (std::size_t at = 0; at < kinds.size(); ++at) {
    if (append_text_value(impl_->raw, kinds[at], texts[at])) continue;
    impl_->raw.resize(from);
    return fail(ErrorCode::kInternal, fmt::format("write a row block: value {} is no {}", at, name_of(kinds[at])));
  }
  return impl_->added(from);
}

bool BlockWriter::full() const { return impl_->raw.size() >= kBlockRawBytes; }
std::uint32_t BlockWriter::rows() const { return impl_->head.rows; }
std::uint32_t BlockWriter::number() const { return impl_->head.number; }

Result<std::string> BlockWriter::take(bool last) {
  auto& own = *impl_;
  std::string block(kMagic);
  block.push_back(static_cast<char>(own.head.kind));
  block.push_back(static_cast<char>(last ? kLastFlag : 0));
  append_varint(block, own.head.number);
  append_varint(block, own.head.rows);
  append_varint(block, own.raw.size());
  own.packed.resize(ZSTD_compressBound(own.raw.size()));
  ZSTD_CCtx_setParameter(own.context.get(), ZSTD_c_compressionLevel, own.level);
  ZSTD_CCtx_setParameter(own.context.get(), ZSTD_c_checksumFlag, 1);
  const auto size = ZSTD_compress2(own.context.get(), own.packed.data(), own.packed.size(), own.raw.data(), own.raw.size());
  if (ZSTD_isError(size) != 0) return fail(ErrorCode::kInternal, fmt::format("write a row block: {}", ZSTD_getErrorName(size)));
  block.append(own.packed, 0, size);
  own.raw.clear();
  own.head.rows = 0;
  ++own.head.number;
  return block;
}

Result<BlockHead> read_block_head(std::string_view block) {
  auto read = read_head(block);
  if (!read) return pass(read);
  return read->head;
}

Result<BlockReader> BlockReader::open(std::string_view block, BlockHead::Kind kind) {
  auto read = read_head(block);
  if (!read) return pass(read);
  if (read->head.kind != kind) return malformed("it is of the other direction");
  BlockReader reader;
  reader.head_ = read->head;
  reader.raw_.resize(read->raw);
  const auto size = ZSTD_decompress(reader.raw_.data(), reader.raw_.size(), read->packed.data(), read->packed.size());
  if (ZSTD_isError(size) != 0) return malformed(ZSTD_getErrorName(size));
  if (size != read->raw) return malformed("it is shorter than its head says");
  return reader;
}

Result<bool> BlockReader::next(DownRow& row, std::size_t columns, std::size_t key) {
  if (read_ == head_.rows) {
    if (at_ != raw_.size()) return malformed("bytes follow its last row");
    return false;
  }
  Bytes bytes(raw_, at_);
  std::uint8_t op = 0;
  if (!bytes.byte(op) || op < 1 || op > 4) return malformed("a row does not say what is to be done");
  row.op = static_cast<DownRow::Op>(op);
  const auto count = row.op == DownRow::Op::kUpsert ? columns : row.op == DownRow::Op::kSlot ? 1 : key;
  if (!bytes.values(row.values, count)) return malformed("it ends within a row");
  const auto* slot = std::get_if<std::int64_t>(row.values.data());
  if (row.op == DownRow::Op::kSlot && (slot == nullptr || *slot < 0 || *slot >= static_cast<std::int64_t>(kMaxSlots))) return malformed("a slot has no number");
  ++read_;
  return true;
}

Result<bool> BlockReader::next(UpRow& row, std::size_t columns) {
  if (read_ == head_.rows) {
    if (at_ != raw_.size()) return malformed("bytes follow its last row");
    return false;
  }
  Bytes bytes(raw_, at_);
  std::uint8_t op = 0;
  if (!bytes.byte(op) || (op != 'I' && op != 'U' && op != 'D')) return malformed("a row does not say what is to be done");
  row.op = static_cast<UpRow::Op>(op);
  const bool update = row.op == UpRow::Op::kUpdate;
  row.changed.clear();
  if (!bytes.varint(row.base.value) || (update && !read_mask(bytes, row.changed, columns)) ||
      !bytes.values(row.values, row.op == UpRow::Op::kDelete ? 0 : columns) || !bytes.values(row.before, row.op == UpRow::Op::kInsert ? 0 : columns)) {
    return malformed("it ends within a row");
  }
  ++read_;
  return true;
}

}  // namespace verbund::sync
