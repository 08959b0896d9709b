#include "node/mirror/pair_watch.h"

#include "base/messages.h"
#include "node/mirror/machine_report.h"

namespace verbund::node {
namespace {

namespace json = boost::json;
using mirror::Finding;
using mirror::MachineFacts;

constexpr seconds kRoundEvery{5}, kLookEvery{15};
/// What lasts is held again so often: mails that were not delivered are tried, what another process has changed is put right.
constexpr std::chrono::minutes kTellEvery{10};
constexpr std::string_view kSource = "mirror";
/// So many heartbeats without its facts: an older program.
constexpr int kHeardWithout = 60;

}  // namespace

PairWatch::PairWatch(PairWatchSettings settings, const Installation& installation, const Clock& clock, Log& log, Counters& counters)
    : settings_(std::move(settings)),
      installation_(installation),
      clock_(clock),
      log_(log),
      warnings_(counters.gauge("verbund_pair_warnings", "What is unequal, scarce or old in the pair and needs somebody; -1: not known")),
      dangers_(counters.gauge("verbund_pair_dangers", "Of these, what speaks against a switchover; -1: not known")),
      free_(counters.gauge("verbund_disk_free_bytes", "Free on the volume of this machine's databases; -1: not known")),
      other_free_(counters.gauge("verbund_pair_other_disk_free_bytes", "The same on the other machine of the pair; -1: not known")),
      backup_age_(counters.gauge("verbund_pair_backup_age_seconds", "Age of the last good backup on either machine; -1: none, or not known")),
      witness_(counters.gauge("verbund_pair_witness_silent_seconds", "Since the witness has answered; -1: there is none")),
      look_(installation, clock, log) {
  for (auto* gauge : {&warnings_, &dangers_, &free_, &other_free_, &backup_age_, &witness_}) gauge->set(-1);
  if (!settings_.production) return;
  followed_.emplace(Followed{counters.gauge("verbund_mirror_behind_bytes", "Log of production that the mirror had not, when it was last heard; -1: not known"),
                             counters.gauge("verbund_mirror_behind_seconds", "Since the mirror last had all that production had; -1: not known"),
                             counters.gauge("verbund_mirror_heard_seconds", "Since the mirror was last heard, or since the start"),
                             counters.gauge("verbund_mirror_slot_safe_bytes", "So much may be written until the mirror needs a new copy; -1: without limit or not known")});
}

PairWatch::~PairWatch() { stop(); }

void PairWatch::start() { thread_ = std::jthread([this] { run(); }); }

void PairWatch::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<json::object> PairWatch::message() const {
  const std::lock_guard guard(mutex_);
  if (!own_) return std::nullopt;
  return to_message(*own_, clock_.wall());
}

void PairWatch::hear(const json::object& heartbeat) {
  const auto now = clock_.wall();
  const auto* machine = heartbeat.if_contains("machine");
  std::string wrong;
  std::optional<MachineFacts> heard;
  if (machine != nullptr && machine->is_object()) {
    auto read = machine_from(machine->as_object(), now);
    if (read) heard = std::move(*read);
    else wrong = read.error().message;
  }
  const std::lock_guard guard(mutex_);
  if (heard) other_ = std::move(heard);
  else ++heard_without_;
  if (wrong != unread_ && !wrong.empty()) log_.warning("mirror.machine_not_read", {{"error", wrong}});
  unread_ = wrong;
}

std::vector<Finding> PairWatch::findings() const {
  const auto* own = own_ ? &*own_ : nullptr;
  const auto* other = other_ ? &*other_ : nullptr;
  return settings_.production ? compare(own, other, clock_.wall()) : compare(other, own, clock_.wall());
}

void PairWatch::show(json::object& root) const {
  const auto now = clock_.wall();
  const std::lock_guard guard(mutex_);
  const auto shown = [now](const std::optional<MachineFacts>& facts) { return facts ? json::value(to_json(*facts, now)) : json::value(nullptr); };
  root["machines"] = json::object{{"production", shown(settings_.production ? own_ : other_)}, {"mirror", shown(settings_.production ? other_ : own_)}};
  root["findings"] = to_json(findings());
}

void PairWatch::run() {
  std::optional<TimePoint> looked;
  while (true) {
    auto watched = settings_.pair();
    if (watched) {
      if (!looked || clock_.now() - *looked >= kLookEvery) {
        auto facts = look_.look();
        looked = clock_.now();
        const std::lock_guard guard(mutex_);
        own_ = std::move(facts);
      }
      {
        const std::lock_guard guard(mutex_);
        watched->findings = findings();
      }
      count(*watched);
      tell(*watched);
    }
    std::unique_lock guard(mutex_);
    if (changed_.wait_for(guard, kRoundEvery, [this] { return stopping_; })) return;
  }
}

void PairWatch::count(const mirror::Watched& watched) {
  double warnings = 0, dangers = 0;
  for (const auto& each : watched.findings) {
    warnings += each.severity >= mirror::Severity::kWarning ? 1 : 0;
    dangers += each.severity >= mirror::Severity::kDanger ? 1 : 0;
  }
  warnings_.set(warnings);
  dangers_.set(dangers);
  const auto in_seconds = [](nanoseconds span) { return std::chrono::duration<double>(span).count(); };
  witness_.set(watched.witness_silent ? in_seconds(*watched.witness_silent) : -1);
  if (followed_) {
    followed_->bytes.set(watched.behind ? static_cast<double>(watched.behind->bytes) : -1);
    followed_->seconds.set(watched.behind ? in_seconds(watched.behind->span) : -1);
    followed_->heard.set(in_seconds(watched.silent));
    followed_->safe.set(watched.safe_bytes ? static_cast<double>(*watched.safe_bytes) : -1);
  }
  const std::lock_guard guard(mutex_);
  const auto room = [](const std::optional<MachineFacts>& facts) { return facts && facts->disk ? static_cast<double>(facts->disk->free_bytes) : -1; };
  free_.set(room(own_));
  other_free_.set(room(other_));
  std::optional<WallTime> last;
  for (const auto* each : {&own_, &other_}) {
    if (*each && (*each)->backup && (*each)->backup->last_good && (!last || *last < *(*each)->backup->last_good)) last = (*each)->backup->last_good;
  }
  backup_age_.set(last ? in_seconds(clock_.wall() - *last) : -1);
}

/// Right after a start nothing is known of the other machine: what was told before has not ended for that.
bool PairWatch::knows_enough(const mirror::Watched& watched) const {
  const std::lock_guard guard(mutex_);
  return other_ || heard_without_ > kHeardWithout || watched.silent >= mirror::kSilenceTolerated || watched.took_over;
}

void PairWatch::tell(const mirror::Watched& watched) {
  if (!knows_enough(watched)) return;
  auto alarms = hold_.hold(alarms_of(watched), clock_.now());
  const bool again = !alarms.empty() && (!told_at_ || clock_.now() - *told_at_ >= kTellEvery);
  if (told_at_ && alarms == told_ && !again) return;
  const auto directory = installation_.directory() / "alarm";
  told_ = alarms;
  told_at_ = clock_.now();
  if (alarms.empty() && alarm::states_in(directory, kSource).empty()) return;
  std::vector<alarm::State> states;
  for (const auto& each : alarms) states.push_back({fmt::format("{}/{}", kSource, each.key), each.text, {}, {}});
  auto opened = alarm::Alarm::open(directory, installation_.settings().alarm, log_);
  const auto held = opened ? opened->hold(kSource, states, clock_) : Status(std::unexpected(opened.error()));
  if (!held) return log_.error("mirror.alarm", {{"error", held.error().message}});
  if (auto left = opened->deliver(clock_); !left) log_.error("mirror.alarm", {{"error", left.error().message}});
}

}  // namespace verbund::node
