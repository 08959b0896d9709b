#include "node/mirror/follower.h"

#include "base/messages.h"
#include "node/mirror/report.h"
#include "node/version.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

constexpr seconds kEvery{1};
constexpr seconds kPatience{3};

}  // namespace

Follower::Follower(FollowerSettings settings, const Clock& clock, Log& log, Counters& counters)
    : settings_(std::move(settings)),
      clock_(clock),
      log_(log),
      folder_files_(counters.gauge("verbund_mirror_folder_behind_files", "Files of production's folders, as last listed, that are not here")),
      folder_bytes_(counters.gauge("verbund_mirror_folder_behind_bytes", "The same, in bytes")),
      bytes_(counters.gauge("verbund_mirror_behind_bytes", "Log of production, as last heard of, that is not here; -1: not known")),
      seconds_(counters.gauge("verbund_mirror_behind_seconds", "Since this mirror last had all that production had; -1: not known")),
      age_(counters.gauge("verbund_mirror_heard_seconds", "Since production was last heard; -1: never since the start")),
      streaming_(counters.gauge("verbund_mirror_streaming", "1 while PostgreSQL is connected to production's")),
      safe_(counters.gauge("verbund_mirror_slot_safe_bytes", "So much may production write until this mirror needs a new copy; -1: without limit or not known")),
      promote_(counters.gauge("verbund_mirror_promote_seconds", "About so long would a promotion take; -1: not known")) {}

Follower::~Follower() { stop(); }

void Follower::start() { thread_ = std::jthread([this] { run(); }); }

void Follower::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  stop_.request_stop();  // a request to a machine that is gone holds nobody up
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

FollowState Follower::state() const {
  const std::lock_guard guard(mutex_);
  FollowState state = state_;
  const auto now = clock_.now();
  const Lsn received = state.received ? state.received->received : Lsn{};
  if (settings_.fetcher) state.log_error = settings_.fetcher->error();
  if (settings_.folders) {
    state.folders = settings_.folders->state();
    state.folders_error = settings_.folders->error();
  }
  state.behind = meter_.behind(received, now);
  state.loss = meter_.report(state.term, received, {}, now);
  state.to_promote = replay_.to_promote();
  return state;
}

void Follower::run() {
  while (true) {
    const auto looked = look();
    const auto heard = looked ? hear() : Status{};
    {
      const std::lock_guard guard(mutex_);
      note(state_.database_error, looked, "mirror.database");
      if (looked) note(state_.production_error, heard, "mirror.production");
    }
    count();
    std::unique_lock guard(mutex_);
    if (changed_.wait_for(guard, kEvery, [this] { return stopping_; })) return;
  }
}

/// Told once, not once a second.
void Follower::note(std::string& into, const Status& outcome, std::string_view event) {
  const std::string now = outcome ? std::string() : outcome.error().message;
  if (now == into) return;
  if (outcome) {
    log_.info(event, {{"answers", true}});
  } else {
    log_.warning(event, {{"answers", false}, {"reason", now}});
  }
  into = now;
}

Status Follower::look() {
  if (!connection_ || !connection_->healthy()) {
    connection_.reset();
    auto opened = postgres::Connection::open(settings_.database, kPatience);
    if (!opened) return pass(opened);
    connection_ = std::move(*opened);
  }
  auto received = mirror::read_received(*connection_);
  if (!received) return pass(received);
  seen_ = *received;
  if (settings_.fetcher) *received = settings_.fetcher->with_files(*received);
  const std::lock_guard guard(mutex_);
  state_.received = *received;
  replay_.seen(received->received, received->replayed, clock_.now());
  return {};
}

Status Follower::hear() {
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/api/mirror/beat";
  request.headers["authorization"] = "Bearer " + settings_.secret;
  {
    const std::lock_guard guard(mutex_);
    json::object body = to_json(*state_.received);
    body["version"] = kVersion;
    body["port"] = std::to_string(settings_.port);
    if (const auto promote = replay_.to_promote()) body["promote_ms"] = std::to_string(promote->count());
    if (const auto own = settings_.watch ? settings_.watch->message() : std::nullopt) body["machine"] = *own;
    request.body = json::serialize(body);
  }
  const auto asked = clock_.now();
  auto response = line_.request(request, kPatience, stop_.get_token());
  if (!response) return pass(response);
  if (response->status == 200) return take(response->body, asked);
  auto object = object_of(response->body);
  const auto* error = object ? object->if_contains("error") : nullptr;
  const auto why = error && error->is_object() ? text_of(error->as_object(), "message") : Result<std::string>(fmt::format("HTTP {}", response->status));
  return fail(ErrorCode::kUnavailable, phrase("hear production: {}", verbatim(why.value_or(""))));
}

Status Follower::take(const std::string& body, TimePoint asked) {
  auto object = object_of(body);
  if (!object) return pass(object);
  const auto beat = beat_from(*object);
  if (!beat) return std::unexpected(beat.error());
  const auto term = number_of(*object, "term");
  if (!term) return std::unexpected(term.error());
  const auto name = text_of(*object, "name");
  const auto version = text_of(*object, "version");
  const auto slot = slot_from(*object);
  if (!slot) return std::unexpected(slot.error());
  const auto promised = number_of(*object, "promised_ms");
  if (!promised) return std::unexpected(promised.error());
  const auto* follow = object->if_contains("follow");
  const auto mode = follow && follow->is_object() ? follow_mode_from(follow->as_object()) : Result<FollowMode>(FollowMode{});
  if (!mode) return std::unexpected(mode.error());
  if (settings_.watch) settings_.watch->hear(*object);
  const std::lock_guard guard(mutex_);
  if (*term > state_.term.value) {
    meter_ = {};
    state_.term = Term{*term};
  }
  meter_.heard(*beat, clock_.now());
  if (*promised > 0) {
    const auto until = asked + milliseconds{static_cast<std::int64_t>(std::min<std::uint64_t>(*promised, 60'000))};
    meter_.promised(until);
    if (settings_.on_promise) settings_.on_promise(Term{*term}, until);
  }
  state_.beat = *beat;
  state_.production_name = name.value_or("");
  state_.production_version = version.value_or("");
  state_.slot = *slot;
  state_.mode = *mode;
  if (settings_.fetcher) settings_.fetcher->heard(*mode, seen_);
  return {};
}

void Follower::count() {
  const auto now = state();
  const auto in_seconds = [](nanoseconds span) { return std::chrono::duration<double>(span).count(); };
  bytes_.set(now.behind ? static_cast<double>(now.behind->bytes) : -1);
  seconds_.set(now.behind ? in_seconds(now.behind->span) : -1);
  age_.set(now.behind ? in_seconds(now.behind->age) : -1);
  streaming_.set(now.received && now.received->streaming && now.database_error.empty() ? 1 : 0);
  std::uint64_t files = 0, bytes = 0;
  for (const auto& each : now.folders) files += each.behind_files, bytes += each.behind_bytes;
  folder_files_.set(static_cast<double>(files));
  folder_bytes_.set(static_cast<double>(bytes));
  promote_.set(now.to_promote ? in_seconds(*now.to_promote) : -1);
  safe_.set(now.slot && now.slot->safe_bytes ? static_cast<double>(*now.slot->safe_bytes) : -1);
}

}  // namespace verbund::node
