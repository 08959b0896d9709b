#include "node/guard_control.h"

#include <future>

#include "base/messages.h"

namespace verbund::node {
namespace {

using guard::Mode;
using postgres::Connection;

constexpr milliseconds kServiceBound{30'000}, kServiceLook{100};

GuardControl::Types guarded(const std::vector<guard::GuardedType>& types) {
  GuardControl::Types names;
  for (const auto& type : types) {
    if (type.mode != Mode::kOff) names.insert(type.type);
  }
  return names;
}

}  // namespace

Result<GuardControl::Types> GuardControl::start(LockEpoch epoch) {
  auto connection = Connection::open(source_);
  if (!connection) return pass(connection);
  auto types = guard::guarded_types(*connection);
  if (!types) return pass(types);
  Types names;
  if (types->empty()) return names;
  for (const auto& type : *types) {
    if (type.mode == Mode::kOff) continue;
    if (auto started = start_type(*connection, type, names); !started) {
      log_.error("guard.not_up_to_date", {{"type", type.type}, {"error", started.error().message}});
    }
  }
  if (auto tidied = guard::tidy(*connection, log_); !tidied) log_.warning("guard.not_tidied", {{"error", tidied.error().message}});
  auto foreign = guard::forget_tokens_from(*connection, FencingToken::of(epoch, 0));
  if (!foreign) return pass(foreign);
  if (*foreign > 0) log_.warning("guard.foreign_tokens", {{"count", *foreign}});
  return names;
}

Status GuardControl::start_type(Connection& source, const guard::GuardedType& type, Types& names) {
  const auto* configured = types_.find(type.type);
  if (configured == nullptr) {
    // Nobody could take a lock of it: its tables could not be written any more.
    log_.warning("guard.type_not_configured", {{"type", type.type}});
    audit_.record("node", "guard.disable", type.type, "the type is not configured any more");
    return guard::disable(source, type.type);
  }
  names.insert(type.type);
  return guard::mend(source, *configured, type.mode);
}

/// Waits until the locks that are held of these types are in the lock table.
Status GuardControl::tell_service(const Types& types) {
  auto told = std::make_shared<std::promise<Status>>();
  auto outcome = told->get_future();
  loop_.post([this, types, told] {
    if (service_ == nullptr) return told->set_value(fail(ErrorCode::kUnavailable, phrase("guard: the node is stopping")));
    service_->set_guarded(types, [told](Status status) { told->set_value(std::move(status)); });
  });
  auto left = kServiceBound / kServiceLook;
  while (outcome.wait_for(kServiceLook) != std::future_status::ready) {
    if (!stopping_ && --left > 0) continue;
    return fail(ErrorCode::kTimedOut, phrase("guard the locks that are held: no answer within {} ms", kServiceBound.count()));
  }
  return outcome.get();
}

Status GuardControl::enable(const std::string& type, Mode mode) {
  const std::scoped_lock lock(mutex_);
  const auto* configured = types_.find(type);
  if (configured == nullptr) {
    return fail(ErrorCode::kNotFound, phrase("guard {}: there is no such record type", type),
                phrase("record types are configured in config/verbund.toml"));
  }
  auto connection = Connection::open(source_);
  if (!connection) return pass(connection);
  if (auto prepared = guard::prepare(*connection, *configured); !prepared) return prepared;
  auto types = guard::guarded_types(*connection);
  if (!types) return pass(types);
  const auto before = guarded(*types);
  auto names = before;
  names.insert(type);
  // The lock table first, then the refusals: who holds a lock is not surprised.
  Status done = tell_service(names);
  if (done) done = guard::set_mode(*connection, *configured, mode);
  if (done) {
    log_.info("guard.enabled", {{"type", type}, {"mode", guard::to_wire(mode)}});
    return done;
  }
  if (auto back = tell_service(before); !back) log_.warning("guard.not_taken_back", {{"type", type}, {"error", back.error().message}});
  return done;
}

Status GuardControl::disable(const std::string& type) {
  const std::scoped_lock lock(mutex_);
  auto connection = Connection::open(source_);
  if (!connection) return pass(connection);
  if (auto done = guard::disable(*connection, type); !done) return done;
  log_.info("guard.disabled", {{"type", type}});
  auto types = guard::guarded_types(*connection);
  if (!types) return pass(types);
  if (auto told = tell_service(guarded(*types)); !told) return told;
  // A busy table keeps its empty triggers for a while: they refuse nothing.
  if (auto tidied = guard::tidy(*connection, log_); !tidied) log_.warning("guard.not_tidied", {{"error", tidied.error().message}});
  return {};
}

Result<std::vector<guard::GuardedType>> GuardControl::state() {
  auto connection = Connection::open(source_);
  if (!connection) return pass(connection);
  return guard::guarded_types(*connection);
}

Result<std::vector<guard::LockRow>> GuardControl::held_locks() {
  auto connection = Connection::open(source_);
  if (!connection) return pass(connection);
  auto types = guard::guarded_types(*connection);
  if (!types) return pass(types);
  if (types->empty()) return std::vector<guard::LockRow>{};
  return guard::read_locks(*connection);
}

Result<std::vector<guard::WarningCount>> GuardControl::warnings() {
  auto connection = Connection::open(source_);
  if (!connection) return pass(connection);
  return guard::warnings(*connection);
}

void GuardControl::count_warnings() {
  if (auto counted = warnings(); !counted) log_.warning("guard.not_counted", {{"error", counted.error().message}});
}

Status GuardControl::restored(LockEpoch epoch) {
  const std::scoped_lock lock(mutex_);
  auto types = start(epoch);
  if (!types) return pass(types);
  if (auto off = tell_service({}); !off) return off;
  if (types->empty()) return {};
  auto connection = Connection::open(source_);
  if (!connection) return pass(connection);
  auto forgotten = guard::forget_tokens_from(*connection, FencingToken{});
  if (!forgotten) return pass(forgotten);
  return tell_service(*types);
}

void GuardControl::removed() {
  audit_.record("node", "guard.removed", "", "somebody has removed the guard from the database");
  if (service_ != nullptr) service_->set_guarded({}, [](const Status&) {});
}

}  // namespace verbund::node
