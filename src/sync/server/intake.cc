#include "sync/server/intake.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/messages.h"
#include "feed/tables.h"
#include "platform/os/random.h"
#include "sync/model/rows.h"

namespace verbund::sync::server {
namespace {

using postgres::Connection;

/// bytea as libpq's text parameters take it.
std::string hex_of(std::string_view bytes) {
  auto text = text_of(Kind::kBytes, Value{Blob{std::string(bytes)}});
  return text->value_or("");
}

Result<std::string> from_hex(std::string_view text) {
  auto value = value_of(Kind::kBytes, text);
  if (!value) return pass(value);
  return std::get<Blob>(*value).bytes;
}

/// Rows of an upload as lines of a COPY.
class Stage {
 public:
  /// `foreign`: the bases are of another history.
  Stage(std::uint64_t device, std::uint64_t upload, bool foreign) : head_(fmt::format("{}\t{}\t", device, upload)), foreign_(foreign) {}

  void add(const UploadPart& part, const std::string& columns, const UpRow& row, bool allowed) {
    auto texts = read(part.layout, row);
    std::string reason = allowed ? "" : "right";
    if (!texts.fine) reason = "value";
    lines_ += head_ + std::to_string(count_++) + '\t';
    Connection::append_copy_text(lines_, part.subscription);
    lines_ += fmt::format("\t{}\t{}\t", static_cast<char>(row.op), foreign_ ? 0 : row.base.value);
    for (const auto* field : {&texts.key, &texts.changed, &texts.after, &texts.before}) {
      Connection::append_copy_text(lines_, *field);
      lines_ += '\t';
    }
    Connection::append_copy_text(lines_, columns);
    lines_ += '\t';
    Connection::append_copy_text(lines_, reason.empty() ? std::nullopt : std::optional<std::string_view>(reason));
    lines_ += '\n';
  }
  [[nodiscard]] const std::string& lines() const { return lines_; }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  struct Texts {
    bool fine = true;
    std::optional<std::string> key = "", changed, after, before;
  };

  static std::optional<std::string> array_of(const TableLayout& layout, const std::vector<Value>& values, bool& fine) {
    if (values.empty()) return std::nullopt;
    feed::TextArray array;
    for (std::size_t at = 0; at < values.size(); ++at) {
      auto text = text_of(layout.columns[at].kind, values[at]);
      if (!text) fine = false;
      if (text && *text) {
        array.add(**text);
      } else {
        array.add(std::nullopt);
      }
    }
    return array.take();
  }

  static Texts read(const TableLayout& layout, const UpRow& row) {
    Texts texts;
    texts.after = array_of(layout, row.values, texts.fine);
    texts.before = array_of(layout, row.before, texts.fine);
    const auto& whole = row.op == UpRow::Op::kInsert ? row.values : row.before;
    std::vector<std::string> parts;
    for (const auto place : layout.key) {
      auto text = text_of(layout.columns[place].kind, whole[place]);
      if (!text || !*text) texts.fine = false;
      parts.push_back(text && *text ? **text : std::string());
    }
    const std::vector<std::string_view> views(parts.begin(), parts.end());
    texts.key = feed::join_key(views);
    if (row.op != UpRow::Op::kUpdate) return texts;
    feed::TextArray changed;
    for (std::size_t at = 0; at < row.changed.size(); ++at) {
      if (row.changed[at]) changed.add(std::to_string(at));
    }
    texts.changed = changed.take();
    return texts;
  }

  std::string head_;
  bool foreign_;
  std::string lines_;
  std::size_t count_ = 0;
};

Result<std::vector<std::string>> blocks_of(Connection& mid_tier, std::uint64_t device, const SyncRequest& request) {
  std::uint32_t wanted = 0;
  for (const auto& part : request.parts) wanted += part.blocks;
  // What lies behind them a copy of the device's database has left here under the same number.
  auto rows = mid_tier.query("SELECT block, content FROM sync.input WHERE device = $1::bigint AND upload = $2::bigint AND block < $3::integer ORDER BY block",
                             {std::to_string(device), std::to_string(request.upload), std::to_string(wanted)});
  if (!rows) return pass(rows, "sync.input");
  std::vector<std::string> blocks;
  std::string all;
  for (int row = 0; row < rows->size(); ++row) {
    if (std::string(rows->text(row, 0)) != std::to_string(row)) break;
    auto content = from_hex(rows->text(row, 1));
    if (!content) return pass(content);
    all += *content;
    blocks.push_back(std::move(*content));
  }
  if (blocks.size() != wanted) return fail(ErrorCode::kNotFound, phrase("upload {}: {} of {} blocks are here", request.upload, blocks.size(), wanted));
  if (os::blake2b_hex(all) != request.upload_hash) return fail(ErrorCode::kBadMessage, phrase("upload {}: its blocks are not those of its hash", request.upload));
  return blocks;
}

Status stage_part(const UploadPart& part, const std::vector<std::string>& blocks, const std::vector<Bound>& bounds, Stage& stage) {
  const bool allowed = std::ranges::any_of(bounds, [&](const Bound& bound) { return bound.rule.name == part.subscription; });
  if (part.first_block > blocks.size() || part.blocks > blocks.size() - part.first_block) return fail(ErrorCode::kBadMessage, phrase("upload: it has no blocks of {}", part.subscription));
  std::vector<std::string> names;
  for (const auto& column : part.layout.columns) names.push_back(column.name);
  const auto columns = array_parameter(names);
  UpRow row;
  for (std::uint32_t at = part.first_block; at < part.first_block + part.blocks; ++at) {
    auto reader = BlockReader::open(blocks[at], BlockHead::Kind::kUp);
    if (!reader) return pass(reader);
    for (;;) {
      auto more = reader->next(row, part.layout.columns.size());
      if (!more) return pass(more);
      if (!*more) break;
      stage.add(part, columns, row, allowed);
    }
  }
  return {};
}

constexpr std::string_view kToChanges = R"sql(
  INSERT INTO sync.change (device, upload, row, subscription, table_id, op, base, key, columns, changed, after, before, state, reason, decided)
  SELECT s.device, s.upload, s.row, s.subscription, coalesce((SELECT table_id FROM sync.watch w WHERE w.subscription = s.subscription), 0), s.op, s.base, s.key, s.columns::text[],
         s.changed::integer[], s.after::text[], s.before::text[], CASE WHEN s.reason IS NULL THEN 'accepted' ELSE 'rejected' END, s.reason, CASE WHEN s.reason IS NULL THEN NULL ELSE now() END
    FROM sync.staging s WHERE s.device = $1::bigint AND s.upload = $2::bigint ORDER BY s.row
  ON CONFLICT (device, upload, row) DO NOTHING)sql";

Status store(Connection& mid_tier, std::uint64_t device, const SyncRequest& request, const Stage& stage) {
  const auto number = std::to_string(device), upload = std::to_string(request.upload);
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction);
  if (auto cleared = mid_tier.query("DELETE FROM sync.staging WHERE device = $1::bigint", {number}); !cleared) return pass(cleared);
  if (auto begun = mid_tier.copy_in_begin("COPY sync.staging (device, upload, row, subscription, op, base, key, changed, after, before, columns, reason) FROM STDIN"); !begun) return begun;
  if (auto written = mid_tier.copy_in_write(stage.lines()); !written) return written;
  if (auto finished = mid_tier.copy_in_finish(); !finished) return pass(finished, "sync.staging");
  if (auto moved = mid_tier.query(kToChanges, {number, upload}); !moved) return pass(moved, "sync.change");
  auto noted = mid_tier.query("INSERT INTO sync.upload (device, upload, hash, rows) VALUES ($1::bigint, $2::bigint, $3, $4::integer)", {number, upload, request.upload_hash, std::to_string(stage.count())});
  if (!noted) return pass(noted, "sync.upload");
  for (const auto* statement : {"DELETE FROM sync.staging WHERE device = $1::bigint AND upload = $2::bigint", "DELETE FROM sync.input WHERE device = $1::bigint AND upload <= $2::bigint"}) {
    if (auto cleared = mid_tier.query(statement, {number, upload}); !cleared) return pass(cleared);
  }
  return transaction->commit();
}

/// An upload that was taken before comes again in another sync: the device has not kept what became of it, and is told again. False: that is no longer known (tidy.h),
/// it is taken anew.
Result<bool> tell_again(Connection& mid_tier, std::uint64_t device, std::uint64_t upload) {
  const std::vector<postgres::Parameter> which{std::to_string(device), std::to_string(upload)};
  auto told = mid_tier.query("UPDATE sync.change SET told_sync = NULL WHERE device = $1::bigint AND upload = $2::bigint AND told_sync IS NOT NULL", which);
  if (!told) return pass(told, "sync.change");
  auto gone = mid_tier.query(
      "DELETE FROM sync.upload u WHERE u.device = $1::bigint AND u.upload = $2::bigint AND u.rows > (SELECT count(*) FROM sync.change c WHERE c.device = u.device AND c.upload = u.upload)", which);
  if (!gone) return pass(gone, "sync.upload");
  return gone->affected() == 0;
}

/// A copy of another device's database may bring what that one has brought: it has been decided, once. False: it has not, or not all of it.
Result<bool> taken_over(Connection& mid_tier, const DeviceIdentity& device, const SyncRequest& request) {
  if (device.split_from == 0) return false;
  const std::vector<postgres::Parameter> which{std::to_string(device.split_from), std::to_string(request.upload), request.upload_hash, std::to_string(device.id)};
  auto whole = mid_tier.query(
      "SELECT FROM sync.upload u WHERE u.device = $1::bigint AND u.upload = $2::bigint AND u.hash = $3"
      " AND u.rows = (SELECT count(*) FROM sync.change c WHERE c.device = u.device AND c.upload = u.upload AND c.state IN ('applied', 'rejected', 'dismissed'))",
      {which[0], which[1], which[2]});
  if (!whole) return pass(whole, "sync.upload");
  if (whole->size() == 0) return false;
  const postgres::Statement statements[] = {
      {"INSERT INTO sync.change (device, upload, row, subscription, table_id, op, base, key, columns, changed, after, before, state, applied_csn, as_sent, reason, message, theirs, decided, retried)"
       " SELECT $3::bigint, upload, row, subscription, table_id, op, base, key, columns, changed, after, before, state, applied_csn, as_sent, reason, message, theirs, decided, retried"
       " FROM sync.change WHERE device = $1::bigint AND upload = $2::bigint ORDER BY id",
       {which[0], which[1], which[3]}},
      {"INSERT INTO sync.upload (device, upload, hash, rows) SELECT $3::bigint, upload, hash, rows FROM sync.upload WHERE device = $1::bigint AND upload = $2::bigint", {which[0], which[1], which[3]}},
      {"DELETE FROM sync.input WHERE device = $1::bigint AND upload <= $2::bigint", {which[3], which[1]}}};
  if (auto done = mid_tier.run(statements); !done) return pass(done, "sync.change");
  return true;
}

}  // namespace

Status keep_block(Connection& mid_tier, std::uint64_t device, std::uint64_t upload, std::uint32_t block, std::string_view content, std::uint64_t most) {
  auto head = read_block_head(content);
  if (!head) return pass(head);
  if (head->kind != BlockHead::Kind::kUp || block >= kMaxUploadBlocks) return fail(ErrorCode::kBadMessage, phrase("upload {}: block {} is none", upload, block));
  auto kept = mid_tier.query(
      "INSERT INTO sync.input (device, upload, block, content) SELECT $1::bigint, $2::bigint, $3::integer, $4::bytea"
      " WHERE coalesce((SELECT sum(octet_length(content)) FROM sync.input WHERE device = $1::bigint AND (upload, block) <> ($2::bigint, $3::integer)), 0) < $5::bigint"
      " ON CONFLICT (device, upload, block) DO UPDATE SET content = excluded.content",
      {std::to_string(device), std::to_string(upload), std::to_string(block), hex_of(content), std::to_string(most)});
  if (!kept) return pass(kept, "sync.input");
  if (kept->affected() == 1) return {};
  return fail(ErrorCode::kTooLarge, phrase("upload {}: the device has {} MB here that no sync has taken", upload, most / 1'000'000), phrase("Sync what is there first."));
}

Status take_upload(Connection& mid_tier, const DeviceIdentity& from, const SyncRequest& request, const std::vector<Bound>& bounds, const std::string& history) {
  if (request.upload == 0) return {};
  const auto device = from.id;
  auto taken = mid_tier.query("SELECT hash FROM sync.upload WHERE device = $1::bigint AND upload = $2::bigint", {std::to_string(device), std::to_string(request.upload)});
  if (!taken) return pass(taken, "sync.upload");
  if (taken->size() == 1) {
    if (taken->text(0, 0) != request.upload_hash) return fail(ErrorCode::kAlreadyExists, phrase("upload {}: another one with this number was taken already", request.upload));
    auto known = tell_again(mid_tier, device, request.upload);
    if (!known) return pass(known);
    if (*known) return {};
  }
  auto over = taken_over(mid_tier, from, request);
  if (!over) return pass(over);
  if (*over) return {};
  auto blocks = blocks_of(mid_tier, device, request);
  if (!blocks) return pass(blocks);
  Stage stage(device, request.upload, !request.upload_history.empty() && request.upload_history != history);
  for (const auto& part : request.parts) {
    if (auto staged = stage_part(part, *blocks, bounds, stage); !staged) return staged;
  }
  return store(mid_tier, device, request, stage);
}

}  // namespace verbund::sync::server
