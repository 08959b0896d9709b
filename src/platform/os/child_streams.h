#pragma once
/// The parent's ends of a child's streams, and the end of a child. For this folder's units only; one thread.
#include <string>

#include "platform/os/descriptor.h"

namespace verbund::os {

struct Stream {
  Descriptor from;
  std::string text;
};

/// A pipe: our end does not block, the child's does. `name` is the program's, for messages.
Status make_stream(Stream& stream, Descriptor& write_end, const std::string& name);
/// Reads what is there without waiting. Keeps max bytes, drops the rest so that the child does not block. Closes at the end.
void drain(Stream& stream, std::size_t max_bytes);

/// 128 + signal when killed by one.
int exit_code_of(int status);
/// Kills a child with its process group, and waits until it is gone.
void kill_group(int pid);

}  // namespace verbund::os
