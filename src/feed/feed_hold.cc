// Standing still while the databases are copied.
#include "base/messages.h"
#include "feed/feed_impl.h"

namespace verbund::feed {
namespace {

/// A clock in tests may stand still.
constexpr milliseconds kLookAgain{20};

}  // namespace

void Feed::Impl::before_write() {
  std::unique_lock guard(mutex);
  while (holding() && !stopping) wake.wait_for(guard, kLookAgain);
  writing = true;
}

void Feed::Impl::after_write() {
  const std::lock_guard guard(mutex);
  writing = false;
  wake.notify_all();
}

Result<Lsn> Feed::hold(Deadline deadline, nanoseconds span) {
  auto& impl = *impl_;
  auto target = current_lsn();
  if (!target) return pass(target, "hold the feed");
  // Something of our own behind it: a quiet log says nothing, and would never be seen to have passed.
  if (auto sent = announce({}, {}); !sent) return pass(sent, "hold the feed");
  std::unique_lock guard(impl.mutex);
  if (impl.holding()) return fail(ErrorCode::kInUse, phrase("hold the feed: somebody else copies the databases just now"));
  while (impl.status.passed < *target) {
    if (impl.ended || impl.stopping || impl.status.state != FeedState::kRunning) {
      return fail(ErrorCode::kFeedStopped, phrase("hold the feed: it does not run: {}", impl.status.reason));
    }
    if (deadline.passed(impl.clock)) {
      return fail(ErrorCode::kTimedOut, phrase("hold the feed: it is {} bytes of log behind", target->value - impl.status.passed.value));
    }
    impl.wake.wait_for(guard, kLookAgain);
  }
  impl.held_until = impl.clock.now() + span;
  // A commit that is under way ends.
  while (impl.writing && !impl.stopping) impl.wake.wait_for(guard, kLookAgain);
  return impl.status.passed;
}

bool Feed::release() {
  const std::lock_guard guard(impl_->mutex);
  const bool held = impl_->holding();
  impl_->held_until.reset();
  impl_->wake.notify_all();
  return held;
}

}  // namespace verbund::feed
