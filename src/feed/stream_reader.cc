#include "feed/stream_reader.h"

#include "base/messages.h"

namespace verbund::feed {
namespace {

/// Nobody waits for this: `confirm` and the destructor interrupt.
constexpr seconds kLongWait{600};
/// A waiting capture thread can do nothing with the start of a transaction; of a large one it is told at this size.
constexpr std::size_t kWakeBytes = 64 * 1024;

}  // namespace

StreamReader::~StreamReader() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  emptied_.notify_all();
  stream_.interrupt();
  if (reading_.joinable()) reading_.join();
}

void StreamReader::start() {
  reading_ = std::thread([this] { read(); });
}

void StreamReader::read() {
  for (;;) {
    Status taken = take(stream_.next(kLongWait));
    if (taken) taken = confirm_wanted();
    const std::lock_guard guard(mutex_);
    if (stopping_) return;
    if (taken) continue;
    failure_ = std::move(taken.error());
    filled_.notify_one();
    return;
  }
}

Status StreamReader::take(Result<Event> event) {
  if (!event) return event.error().code == ErrorCode::kCancelled ? Status{} : pass(event);
  if (event->kind == Event::Kind::kIdle) return {};
  std::unique_lock lock(mutex_);
  emptied_.wait(lock, [this] { return held() < kMaxBytes || wanted_ || stopping_; });
  back_.messages.push_back({*event, back_.bytes.size()});
  back_.bytes += event->data;
  const bool whole = event->kind == Event::Kind::kKeepalive || event->data.starts_with('C');
  if (waiting_ && (whole || held() >= kWakeBytes)) filled_.notify_one();
  return {};
}

Status StreamReader::confirm_wanted() {
  std::optional<Lsn> wanted;
  {
    const std::lock_guard guard(mutex_);
    wanted = std::exchange(wanted_, std::nullopt);
  }
  return wanted ? stream_.confirm(*wanted) : Status{};
}

StreamReader::Event StreamReader::front() {
  const Message& message = front_.messages[at_++];
  Event event = message.event;
  event.data = std::string_view(front_.bytes).substr(message.begin, message.event.data.size());
  return event;
}

Result<StreamReader::Event> StreamReader::next(nanoseconds wait) {
  if (at_ < front_.messages.size()) {
    const std::lock_guard guard(mutex_);
    if (!interrupted_) return front();
  }
  std::unique_lock lock(mutex_);
  const auto something = [this] { return interrupted_ || failure_ || !back_.messages.empty(); };
  if (!something()) {
    waiting_ = true;
    filled_.wait_for(lock, wait, something);
    waiting_ = false;
  }
  if (std::exchange(interrupted_, false)) return fail(ErrorCode::kCancelled, phrase("replication stream: interrupted"));
  if (back_.messages.empty()) return failure_ ? Result<Event>(std::unexpected(*failure_)) : Event{};
  front_.bytes.clear();
  front_.messages.clear();
  at_ = 0;
  std::swap(front_, back_);
  lock.unlock();
  emptied_.notify_one();
  return front();
}

bool StreamReader::ready() {
  if (at_ < front_.messages.size()) return true;
  const std::lock_guard guard(mutex_);
  return !back_.messages.empty() || failure_ || interrupted_;
}

void StreamReader::confirm(Lsn flushed) {
  {
    const std::lock_guard guard(mutex_);
    wanted_ = flushed;
  }
  emptied_.notify_one();
  stream_.interrupt();
}

void StreamReader::interrupt() {
  {
    const std::lock_guard guard(mutex_);
    interrupted_ = true;
  }
  filled_.notify_one();
}

}  // namespace verbund::feed
