// No exception goes to an application that may be written in C.
#include "sync/device/application_device.h"

#include <new>
#include <stdexcept>

#include <gtest/gtest.h>

#include "base/messages.h"

namespace verbund::sync::device {
namespace {

TEST(Guarded, WhatIsThrownIsAnError) {
  const auto of = [](const auto& thrown) { return guarded([&]() -> Status { throw thrown; }); };
  const auto no_memory = of(std::bad_alloc());
  ASSERT_FALSE(no_memory);
  EXPECT_EQ(no_memory.error().code, ErrorCode::kInternal);
  EXPECT_NE(of(std::runtime_error("no thread to be had")).error().message.find("no thread to be had"), std::string::npos);
  EXPECT_EQ(of(7).error().code, ErrorCode::kInternal);
}

TEST(Guarded, WhatIsReturnedStays) {
  EXPECT_EQ(guarded([]() -> Result<int> { return 7; }).value(), 7);
  EXPECT_EQ(guarded([]() -> Status { return fail(ErrorCode::kInUse, phrase("busy")); }).error().code, ErrorCode::kInUse);
}

}  // namespace
}  // namespace verbund::sync::device
