#pragma once
/// Debian's own programs, run by tests that show a set opens without us.
#include <filesystem>
#include <string>
#include <vector>

#include "platform/os/clock.h"
#include "platform/os/process.h"

namespace verbund::backup {

inline os::Outcome run_program(std::vector<std::string> argv, std::string directory = {}) {
  const os::SystemClock clock;
  os::Command command;
  command.argv = std::move(argv);
  command.directory = std::move(directory);
  auto outcome = os::run(command, Deadline::in(clock, seconds(120)), clock);
  return outcome ? std::move(*outcome) : os::Outcome{127, {}, outcome.error().message};
}

inline bool have_program(const std::string& name) { return run_program({name, "--version"}).exit_code != 127; }

}  // namespace verbund::backup
