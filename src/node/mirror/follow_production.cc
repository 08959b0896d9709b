#include "node/mirror/follow_production.h"

#include "base/messages.h"
#include "node/command_server.h"
#include "node/mirror/report.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

/// A piece over a slow line takes a minute at 17 kB/s.
constexpr std::size_t kPieceBytes = 1024UL * 1024;

std::int64_t milli(nanoseconds span) { return std::chrono::duration_cast<milliseconds>(span).count(); }

}  // namespace

FollowProduction::FollowProduction(const Installation& installation, mirror::Member mirror, std::function<void(std::string)> on_alarm, const Clock& clock, Log& log, Counters& counters)
    : installation_(installation),
      log_(log),
      sync_({.server = installation.directory() / "postgres",
             .superuser = [&installation] { return CommandServer::connection(installation, "postgres"); },
             .member = mirror,
             .fall_back_after = installation.settings().follow.fall_back_after,
             .on_alarm = std::move(on_alarm)},
            clock, log, counters),
      kept_({.server = installation.directory() / "postgres",
             .superuser = [&installation] { return CommandServer::connection(installation, "postgres"); },
             .member = mirror,
             .max_bytes = installation.settings().follow.archive_gb * 1'000'000'000},
            clock, log) {}

Status FollowProduction::start() {
  auto mode = load_follow_mode(installation_.directory(), installation_.settings().follow);
  if (!mode) return pass(mode);
  mode_ = *mode;
  if (auto started = sync_.start(mode_.synchronous); !started) return started;
  kept_.set(mode_.interval);
  kept_.start();
  return {};
}

Status FollowProduction::let_go() {
  kept_.forget();
  return sync_.let_go();
}

void FollowProduction::let_in(mirror::Member mirror) {
  sync_.let_in(mirror);
  kept_.let_in(mirror);
}

Result<std::string> FollowProduction::log_list() const {
  auto list = kept_.archive().list();
  if (!list) return pass(list);
  json::array segments;
  for (const auto& one : *list) segments.push_back(json::object{{"name", one.name}, {"bytes", std::to_string(one.bytes)}});
  return json::serialize(json::object{{"segments", segments}});
}

Result<std::string> FollowProduction::log_piece(const std::string& name, std::uint64_t offset) const {
  return kept_.archive().slice(name, offset, kPieceBytes);
}

Result<std::string> FollowProduction::change(const json::object& request) {
  const std::lock_guard guard(mutex_);
  const auto mode = changed_mode(mode_, request);
  if (!mode) return std::unexpected(mode.error());
  if (mode->periodic() && installation_.settings().follow.archive_gb == 0) {
    return fail(ErrorCode::kUsage, phrase("change how the mirror follows: no log is kept that could be sent"), phrase("[mirror] archive_gb says how much may be kept."));
  }
  if (*mode != mode_) {
    if (auto saved = save_follow_mode(installation_.directory(), *mode); !saved) return pass(saved);
    mode_ = *mode;
    sync_.want(mode_.synchronous);
    kept_.set(mode_.interval);
    log_.info("mirror.follow", {{"synchronous", mode_.synchronous}, {"interval_s", mode_.interval.count()}});
  }
  return json::serialize(to_json(mode_));
}

void FollowProduction::answer_beat(const mirror::Received& received, json::object& answer) {
  sync_.heard(received.in_recovery && received.streaming);
  kept_.heard(received.received);
  {
    const std::lock_guard guard(mutex_);
    answer["follow"] = to_json(mode_);
  }
  const auto promised = sync_.promise();
  answer["promised_ms"] = std::to_string(promised ? milli(*promised) : 0);
}

json::object FollowProduction::status() const {
  json::object shown;
  {
    const std::lock_guard guard(mutex_);
    shown = to_json(mode_);
  }
  const auto kept = kept_.kept();
  shown["log"] = json::object{{"segments", std::to_string(kept.segments)}, {"bytes", std::to_string(kept.bytes)}, {"first", kept.first}, {"last", kept.last}, {"error", kept.error}};
  const auto seen = sync_.seen();
  shown["commits"] = json::object{{"wanted", seen.wanted}, {"state", mirror::to_string(seen.state)}, {"since_ms", milli(seen.since)}, {"reason", seen.reason},
                                  {"waiting", std::to_string(seen.waiting)}, {"fallen_back", std::to_string(seen.fallen_back)},
                                  {"fall_back_ms", milli(installation_.settings().follow.fall_back_after)}};
  return shown;
}

seconds FollowProduction::interval() const {
  const std::lock_guard guard(mutex_);
  return mode_.interval;
}

}  // namespace verbund::node
