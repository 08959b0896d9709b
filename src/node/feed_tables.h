#pragma once
/// Which tables the feed captures, as the configured record types say. Pure.
#include <vector>

#include "feed/feed.h"
#include "records/record_types.h"

namespace verbund::node {

/// `history`: the types whose tables the journal keeps images of.
std::vector<feed::TrackedTable> tracked_tables(const records::RecordTypes& types, const std::vector<std::string>& history = {});

/// The types with history: those that are `wanted`, or all. Errors: kBadConfig (a wanted type is not configured).
Result<std::vector<std::string>> history_types(const records::RecordTypes& types, const std::optional<std::vector<std::string>>& wanted);

}  // namespace verbund::node
