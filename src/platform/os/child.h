#pragma once
/// Starting one child so that it inherits nothing but what it is given. For this folder's units only; any thread.
#include <string>

#include "base/result.h"
#include "platform/os/process.h"

namespace verbund::os {

enum class ChildGroup {
  kProcessGroup,  ///< of its own, so that it can be killed with its children; dies with us
  kSession,       ///< of its own; outlives us
};

/// Forks and executes `command`. The child gets `output` and `errors` as descriptors 1 and 2, the command's stdin_text as
/// descriptor 0 and no other descriptor, default signals and the user asked for. Returns after exec has succeeded.
/// Errors: kNotFound (no such program), kIo.
Result<int> spawn(const Command& command, ChildGroup group, int output, int errors);

}  // namespace verbund::os
