#include "cli/import_locks.h"

#include <algorithm>

#include "protocol/messages.h"

namespace verbund::cli {
namespace {

/// A record that somebody has just taken, or that an earlier batch is still giving back. Meanwhile the import keeps its rows busy.
constexpr milliseconds kWait{5'000};

Error error_of(const Failure& failure) {
  // The node has said it in the session's language.
  return make_error(code_from_wire(failure.code), Phrase{failure.message, {}, true}, Phrase{failure.hint, {}, true});
}

}  // namespace

Status ImportLocks::connect() {
  if (client_) return {};
  auto settings = client_settings(globals_);
  if (!settings) return pass(settings);
  settings->watch_types.clear();
  settings->watch_locks = settings->watch_presence = false;
  settings->tool = false;  // whoever holds a record is somebody whom others see
  settings->workstation = "import";
  auto client = std::make_unique<Client>(std::move(*settings));
  if (auto connected = client->connect(); !connected) return std::unexpected(error_of(connected.error()));
  client_ = std::move(client);
  return {};
}

Result<std::vector<FencingToken>> ImportLocks::take(std::span<const RecordKey> keys) {
  if (auto connected = connect(); !connected) return pass(connected);
  std::vector<FencingToken> tokens;
  while (!keys.empty()) {
    const auto some = keys.first(std::min(keys.size(), protocol::kMaxKeysPerRequest));
    keys = keys.subspan(some.size());
    std::vector<std::string> names;
    for (const auto& key : some) names.push_back(to_string(key));
    auto grant = client_->lock(names, kWait);
    if (!grant) return std::unexpected(error_of(grant.error()));
    taken_.insert(taken_.end(), names.begin(), names.end());
    for (const auto& [key, token] : grant->tokens) {
      if (std::ranges::find(tokens, token, &FencingToken::value) == tokens.end()) tokens.push_back({token});
    }
  }
  return tokens;
}

void ImportLocks::release() {
  holders_.clear();
  for (std::span<const std::string> left = taken_; !left.empty();) {
    const auto some = left.first(std::min(left.size(), protocol::kMaxKeysPerRequest));
    left = left.subspan(some.size());
    // What fails here (the connection is gone, the lease is over) ends with the session.
    if (auto released = client_->unlock({some.begin(), some.end()}, {}, true); !released) break;
  }
  taken_.clear();
}

std::string ImportLocks::holder(const RecordKey& key) {
  auto name = to_string(key);
  if (const auto known = holders_.find(name); known != holders_.end()) return known->second;
  std::string who;
  if (connect()) {
    if (auto locks = client_->locks(name)) {
      const auto held = std::ranges::find(*locks, name, &LockInfo::key);
      if (held != locks->end()) who = held->user.empty() ? held->workstation : fmt::format("{} ({})", held->workstation, held->user);
    }
  }
  return holders_.emplace(std::move(name), std::move(who)).first->second;
}

}  // namespace verbund::cli
