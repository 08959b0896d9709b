#include "importer/record_locks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/messages.h"

namespace verbund::importer {
namespace {

/// Of some seconds' batches: that long a token may stand in the table after its lock has been given back.
constexpr std::size_t kEarlierTokens = 256;

}  // namespace

Status UnderGuard::begin() {
  if (locks_ == nullptr) return {};
  if (!guarded_) {
    auto found = connection_.query("SELECT to_regprocedure('verbund.wanted_locks()') IS NOT NULL");
    if (!found) return pass(found, "look for the guard");
    guarded_ = found->text(0, 0) == "t";
  }
  if (!*guarded_) return {};
  auto set = connection_.query("SELECT set_config('verbund.refuse', 'at commit', true), set_config('verbund.earlier', $1, true)",
                               {fmt::format("{}", fmt::join(earlier_, ","))});
  if (!set) return pass(set);
  return {};
}

Status UnderGuard::settle() {
  if (!guarded_.value_or(false)) return {};
  auto rows = connection_.query("SELECT type, id FROM verbund.wanted_locks()");
  if (!rows) return pass(rows, "see which work locks the import needs");
  if (rows->size() == 0) return {};
  std::vector<RecordKey> keys;
  for (int row = 0; row < rows->size(); ++row) keys.push_back({std::string(rows->text(row, 0)), std::string(rows->text(row, 1))});
  holding_ = true;
  auto tokens = locks_->take(keys);
  if (!tokens) return pass(tokens, phrase("lock the {} records that the import writes", keys.size()));
  std::vector<std::uint64_t> shown;
  for (const auto& token : *tokens) {
    shown.push_back(token.value);
    earlier_.push_back(std::to_string(token.value));
  }
  while (earlier_.size() > kEarlierTokens) earlier_.pop_front();
  auto used = connection_.query("SELECT verbund.use_lock(VARIADIC $1::bigint[])", {fmt::format("{{{}}}", fmt::join(shown, ","))});
  if (!used) return pass(used, "show the import's work locks");
  return {};
}

void UnderGuard::over() {
  if (std::exchange(holding_, false)) locks_->release();
}

std::optional<std::string> UnderGuard::held_by() const {
  if (locks_ == nullptr || connection_.last_sqlstate() != kRefusedByGuard) return std::nullopt;
  const auto key = parse_record_key(connection_.last_detail());
  return key ? locks_->holder(*key) : std::string();
}

}  // namespace verbund::importer
