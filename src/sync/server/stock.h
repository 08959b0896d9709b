#pragma once
/// Blocks of a subscription's rows that several devices get: written once, from the snapshot of the first one (ADR 39). Blocking; any thread, one connection each.
#include <optional>
#include <string>

#include "sync/server/reply.h"

namespace verbund::sync::server {

struct Stock {
  std::uint64_t id = 0;
  Csn csn;                   ///< its rows are those as of this change; what came since follows in blocks of the device's own
  std::uint32_t blocks = 0;
};

/// So long a stock is good: what has changed since grows.
inline constexpr std::chrono::minutes kStockGoodFor{10};

/// What a stock is found by. Devices whose rows are the same have the same.
std::string stock_shape(const Bound& bound);

/// One that is whole, of this history, whose csn lies from `since` to `until`. None: there is no such.
Result<std::optional<Stock>> find_stock(postgres::Connection& mid_tier, const std::string& shape, const std::string& history, Csn since, Csn until);
/// Whether the device has rows as anybody has them who has the bucket as of `csn`: nothing of its own is undecided, untold or later than that.
Result<bool> is_like_everybody(postgres::Connection& mid_tier, std::uint64_t device, const Bound& bound, Csn csn);

/// Takes away what is not good any more and begins one.
Result<std::uint64_t> begin_stock(postgres::Connection& mid_tier, const std::string& shape, const std::string& history, Csn csn);
BlockSink into_stock(postgres::Connection& mid_tier, std::uint64_t stock);
Status finish_stock(postgres::Connection& mid_tier, std::uint64_t stock, std::uint32_t blocks);
Status drop_stock(postgres::Connection& mid_tier, std::uint64_t stock);

/// The reply to this sync begins with it.
Status refer_to_stock(postgres::Connection& mid_tier, std::uint64_t device, std::uint64_t number, const std::string& subscription, std::uint64_t stock);

}  // namespace verbund::sync::server
