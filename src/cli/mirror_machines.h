#pragma once
/// Inside cli/ only: what is shown of a pair's two machines. Main thread. `root`: GET /api/mirror.
#include <string>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "cli/command.h"

namespace verbund::cli {

/// A condition of a switchover.
struct Check {
  const char* what;     ///< msgid
  bool good;
  std::string shown;
  bool blocks = true;   ///< when it is not good nobody should switch over
};

void add_machine_fields(const Globals& globals, const boost::json::object& root, std::vector<std::pair<std::string, std::string>>& fields);
/// What needs somebody, with what to do; prints nothing when there is nothing.
void print_findings(const Globals& globals, const boost::json::object& root);
/// What speaks against a switchover, worst first. Errors: kPairRefused (says what; --anyway is the hint).
Status refuse_dangers(const boost::json::object& root);
std::vector<Check> machine_checks(const Globals& globals, const boost::json::object& root);
void add_mirror_upgrade(CLI::App& mirror, Globals& globals, const Runner& run);

}  // namespace verbund::cli
