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

/// What the child gets as descriptors 0 to 2; input -1: the command's stdin_text.
struct ChildDescriptors {
  int input = -1, output = -1, errors = -1;
};

/// Forks and executes `command`. The child gets no other descriptor, default signals and the user asked for. Returns after
/// exec has succeeded. Errors: kNotFound (no such program), kIo.
Result<int> spawn(const Command& command, ChildGroup group, const ChildDescriptors& descriptors);

}  // namespace verbund::os
