#pragma once
/// `verbund mirror follow`, and its part of `mirror status`. Main thread.
#include <string>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "cli/command.h"

namespace verbund::cli {

/// Subcommand of `mirror`.
void add_mirror_follow(CLI::App& mirror, Globals& globals, const Runner& run);
/// Of the member `follow` of GET /api/mirror.
void add_follow_fields(const Globals& globals, const boost::json::object& follow, std::vector<std::pair<std::string, std::string>>& fields);
/// Behind "possible loss now", of `loss.waited_ms`; empty when it was never promised.
std::string waited_words(const Globals& globals, const std::string& waited_ms);

/// The same, of `follow.interval_s`: how much more that may be.
std::string interval_words(const Globals& globals, const std::string& interval_s);

}  // namespace verbund::cli
