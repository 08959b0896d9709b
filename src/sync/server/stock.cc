#include "sync/server/stock.h"

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::sync::server {

using postgres::Connection;

std::string stock_shape(const Bound& bound) { return fmt::format("{}/{}/{}", bound.shape, bound.rule.max_rows, bound.rule.max_bytes); }

Result<std::optional<Stock>> find_stock(Connection& mid_tier, const std::string& shape, const std::string& history, Csn since, Csn until) {
  auto rows = mid_tier.query(
      "SELECT id, csn, blocks FROM sync.stock WHERE shape = $1 AND history = $2 AND csn BETWEEN $3::bigint AND $4::bigint AND blocks IS NOT NULL AND made > now() - $5::integer * interval '1 minute'"
      " ORDER BY csn DESC LIMIT 1",
      {shape, history, std::to_string(since.value), std::to_string(until.value), std::to_string(kStockGoodFor.count())});
  if (!rows) return pass(rows, "sync.stock");
  if (rows->size() == 0) return std::optional<Stock>();
  return std::optional(Stock{parse_u64(rows->text(0, 0)).value_or(0), Csn{parse_u64(rows->text(0, 1)).value_or(0)}, static_cast<std::uint32_t>(parse_u64(rows->text(0, 2)).value_or(0))});
}

Result<bool> is_like_everybody(Connection& mid_tier, std::uint64_t device, const Bound& bound, Csn csn) {
  auto rows = mid_tier.query(
      "SELECT NOT EXISTS (SELECT FROM sync.change WHERE device = $1::bigint AND table_id = $2::integer AND (state IN ('accepted', 'applying') OR told_sync IS NULL OR applied_csn > $3::bigint))",
      {std::to_string(device), std::to_string(bound.table.id), std::to_string(csn.value)});
  if (!rows) return pass(rows, "sync.change");
  return rows->text(0, 0) == "t";
}

Result<std::uint64_t> begin_stock(Connection& mid_tier, const std::string& shape, const std::string& history, Csn csn) {
  auto gone = mid_tier.query("DELETE FROM sync.stock s WHERE s.made < now() - $1::integer * interval '1 minute' AND NOT EXISTS (SELECT FROM sync.output_stock o WHERE o.stock = s.id)",
                             {std::to_string(kStockGoodFor.count())});
  if (!gone) return pass(gone, "sync.stock");
  auto made = mid_tier.query("INSERT INTO sync.stock (shape, history, csn) VALUES ($1, $2, $3::bigint) RETURNING id", {shape, history, std::to_string(csn.value)});
  if (!made) return pass(made, "sync.stock");
  return parse_u64(made->text(0, 0)).value_or(0);
}

BlockSink into_stock(Connection& mid_tier, std::uint64_t stock) {
  return [&mid_tier, stock](const BlockHead& head, const std::string& block) -> Status {
    auto hex = text_of(Kind::kBytes, Value{Blob{block}});
    auto done = mid_tier.query("INSERT INTO sync.stock_block (stock, block, content) VALUES ($1::bigint, $2::integer, $3::bytea)", {std::to_string(stock), std::to_string(head.number), std::move(*hex)});
    return done ? Status{} : pass(done, "sync.stock_block");
  };
}

Status finish_stock(Connection& mid_tier, std::uint64_t stock, std::uint32_t blocks) {
  auto done = mid_tier.query("UPDATE sync.stock SET blocks = $2::integer WHERE id = $1::bigint", {std::to_string(stock), std::to_string(blocks)});
  return done ? Status{} : pass(done, "sync.stock");
}

Status drop_stock(Connection& mid_tier, std::uint64_t stock) {
  auto done = mid_tier.query("DELETE FROM sync.stock WHERE id = $1::bigint", {std::to_string(stock)});
  return done ? Status{} : pass(done, "sync.stock");
}

Status refer_to_stock(Connection& mid_tier, std::uint64_t device, std::uint64_t number, const std::string& subscription, std::uint64_t stock) {
  auto done = mid_tier.query("INSERT INTO sync.output_stock (device, number, subscription, stock) VALUES ($1::bigint, $2::bigint, $3, $4::bigint)",
                             {std::to_string(device), std::to_string(number), subscription, std::to_string(stock)});
  return done ? Status{} : pass(done, "sync.output_stock");
}

}  // namespace verbund::sync::server
