#pragma once
/// verbund sync: rules of device sync, devices.
#include "cli/command.h"

namespace verbund::cli {

void add_sync(CLI::App& app, Globals& globals, const Runner& run);

}  // namespace verbund::cli
