#pragma once
/// For functions that return Status and read many settings: VERBUND_READ(target, expression) assigns what a getter of
/// ConfigFile gives, or returns its error. Included by .cc files only.
#include <utility>

#include "base/result.h"

#define VERBUND_READ(target, expression)                       \
  do {                                                         \
    auto value = (expression);                                 \
    if (!value) return pass(value);                            \
    target = static_cast<decltype(target)>(std::move(*value)); \
  } while (false)
