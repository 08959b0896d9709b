#include <zstd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sync/model/rows.h"

// A row block from anybody, for a table of as many columns as the first byte says: rows, kBadMessage or kTooLarge. Rows that were read are the same after they were
// written and read again. The rest is tried as a block, and as the rows of one: no mutation gets past zstd's checksum.
namespace {

using namespace verbund;
using namespace verbund::sync;

constexpr std::size_t kMaxColumnsHere = 12;

bool same(const DownRow& a, const DownRow& b) { return a.op == b.op && a.values == b.values; }
bool same(const UpRow& a, const UpRow& b) { return a.op == b.op && a.base == b.base && a.changed == b.changed && a.values == b.values && a.before == b.before; }

Result<bool> next(BlockReader& reader, DownRow& row, std::size_t columns) { return reader.next(row, columns, 1); }
Result<bool> next(BlockReader& reader, UpRow& row, std::size_t columns) { return reader.next(row, columns); }

void expect_refusal(const Error& error) {
  if (error.code != ErrorCode::kBadMessage && error.code != ErrorCode::kTooLarge) std::abort();
}

template <typename Row>
void write_and_read_again(BlockHead::Kind kind, const std::vector<Row>& rows, std::size_t columns) {
  BlockWriter writer(kind);
  for (const auto& row : rows) {
    if (!writer.add(row)) std::abort();
  }
  const auto block = writer.take(true);
  if (!block) std::abort();
  auto reader = BlockReader::open(*block, kind);
  if (!reader || reader->head().rows != rows.size()) std::abort();
  Row again;
  for (const auto& row : rows) {
    const auto more = next(*reader, again, columns);
    if (!more || !*more || !same(again, row)) std::abort();
  }
  const auto end = next(*reader, again, columns);
  if (!end || *end) std::abort();
}

template <typename Row>
void read(std::string_view block, BlockHead::Kind kind, std::size_t columns) {
  auto reader = BlockReader::open(block, kind);
  if (!reader) return expect_refusal(reader.error());
  const auto head = read_block_head(block);
  if (!head || head->rows != reader->head().rows || head->number != reader->head().number) std::abort();
  std::vector<Row> rows;
  for (;;) {
    Row row;
    const auto more = next(*reader, row, columns);
    if (!more) return expect_refusal(more.error());
    if (!*more) break;
    rows.push_back(std::move(row));
  }
  if (rows.size() != reader->head().rows) std::abort();
  write_and_read_again(kind, rows, columns);
}

std::string packed(char kind, std::uint8_t rows, std::string_view raw) {
  std::string block = std::string("VRB1") + kind + '\1' + '\0' + static_cast<char>(rows & 0x7f);
  for (auto size = raw.size(); ; size >>= 7) {
    block.push_back(static_cast<char>(size < 0x80 ? size : size | 0x80));
    if (size < 0x80) break;
  }
  std::string frame(ZSTD_compressBound(raw.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), raw.data(), raw.size(), 1));
  return block + frame;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t columns = 1 + data[0] % kMaxColumnsHere;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  for (const auto& block : {std::string(rest), packed('D', data[1], rest), packed('U', data[1], rest)}) {
    read<DownRow>(block, BlockHead::Kind::kDown, columns);
    read<UpRow>(block, BlockHead::Kind::kUp, columns);
  }
  return 0;
}
