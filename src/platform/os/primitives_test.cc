// Clock, secrets, worker pool.
#include <atomic>
#include <cstdlib>
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

/// TZ of this process, put back afterwards.
struct TimeZone {
  explicit TimeZone(const char* name) : before(std::getenv("TZ") ? std::getenv("TZ") : "") { setenv("TZ", name, 1); }
  ~TimeZone() { before.empty() ? unsetenv("TZ") : setenv("TZ", before.c_str(), 1); }
  std::string before;
};

TEST(LocalTime, IsThatOfThePlaceInSummerAndWinter) {
  const TimeZone berlin("CET-1CEST,M3.5.0,M10.5.0/3");  // needs no tzdata
  using std::chrono::local_seconds;
  const WallTime winter = *from_iso8601("2026-11-22T00:30:00.900000Z");
  EXPECT_EQ(local_time(winter), (local_seconds(std::chrono::local_days(std::chrono::year(2026) / 11 / 22)) + seconds(5400)));
  EXPECT_EQ(local_text(winter), "2026-11-22 01:30");
  EXPECT_EQ(local_text(*from_iso8601("2026-06-30T22:30:00.000000Z")), "2026-07-01 00:30");
  for (const auto* instant : {"2026-11-22T00:30:00.000000Z", "2026-03-29T00:59:59.000000Z", "2026-03-29T01:00:00.000000Z", "2026-07-01T12:00:00.000000Z"}) {
    EXPECT_EQ(to_iso8601(wall_time(local_time(*from_iso8601(instant)))), instant);
  }
}

TEST(Secrets, AreRandomAndHashed) {
  EXPECT_EQ(random_hex(32).size(), 64U);
  EXPECT_NE(random_hex(32), random_hex(32));
  // Computed with Python's hashlib.blake2b(b"abc", digest_size=32).
  EXPECT_EQ(blake2b_hex("abc"), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  Blake2b pieces;
  pieces.add("a");
  pieces.add("bc");
  EXPECT_EQ(pieces.hex(), blake2b_hex("abc"));
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
