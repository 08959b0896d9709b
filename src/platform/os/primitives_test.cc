// Clock, secrets, worker pool.
#include <atomic>
#include <future>

#include <gtest/gtest.h>

#include "platform/os/clock.h"
#include "platform/os/random.h"
#include "platform/os/worker_pool.h"

namespace verbund::os {
namespace {

TEST(SystemClock, RunsForward) {
  const SystemClock clock;
  const TimePoint first = clock.now();
  EXPECT_LE(first, clock.now());
  EXPECT_GT(clock.wall(), WallTime(seconds{1'700'000'000}));
}

TEST(Secrets, AreRandomAndHashed) {
  EXPECT_EQ(random_hex(32).size(), 64U);
  EXPECT_NE(random_hex(32), random_hex(32));
  // Computed with Python's hashlib.blake2b(b"abc", digest_size=32).
  EXPECT_EQ(blake2b_hex("abc"), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_TRUE(equal_secrets("a", "a"));
  EXPECT_FALSE(equal_secrets("a", "b"));
  EXPECT_FALSE(equal_secrets("a", "ab"));
  EXPECT_TRUE(equal_secrets("", ""));
}

TEST(Secrets, VerifyTypedPasswords) {
  const std::string hash = hash_password("geheim");
  EXPECT_TRUE(hash.starts_with("$argon2id$")) << hash;
  EXPECT_TRUE(verify_password(hash, "geheim"));
  EXPECT_FALSE(verify_password(hash, "Geheim"));
  EXPECT_FALSE(verify_password("no hash", "geheim"));
}

TEST(WorkerPool, RefusesMoreThanItMayKeepWaiting) {
  std::promise<void> started;
  std::promise<void> gate;
  std::atomic<int> done = 0;
  {
    WorkerPool pool(1, 2);
    ASSERT_TRUE(pool.submit([&] {
      started.set_value();
      gate.get_future().wait();
      ++done;
    }));
    started.get_future().wait();
    EXPECT_TRUE(pool.submit([&] { ++done; }));
    EXPECT_TRUE(pool.submit([&] { ++done; }));
    EXPECT_EQ(pool.waiting(), 2U);
    const auto refused = pool.submit([&] { ++done; });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    gate.set_value();
  }
  EXPECT_EQ(done, 3) << "the destructor runs what waits";
}

}  // namespace
}  // namespace verbund::os
