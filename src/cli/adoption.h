#pragma once
/// Using a server that somebody else runs, at the terminal: what is missing, what will be created, consent. Main thread.
#include "cli/command.h"
#include "node/adoption.h"

namespace verbund::cli {

/// What is missing, what will be created, which tables are captured and which not.
void print_plan(const Globals& globals, const node::AdoptionPlan& plan, std::FILE* to);
std::string plan_json(const node::AdoptionPlan& plan);

/// Prints the plan of a connection (empty: the installation's); exit code 0 when nothing is missing.
int check_adoption(const Globals& globals, const std::string& connection);

enum class Consent { kAsk, kGiven };
/// Before a node runs: an installation on an existing server has a consent on record, or gets one now.
/// Returns the exit code of a refusal; nothing: go on.
std::optional<int> settle_adoption(const Globals& globals, const std::filesystem::path& directory, Consent consent);

}  // namespace verbund::cli
