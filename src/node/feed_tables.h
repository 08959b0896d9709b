#pragma once
/// Which tables the feed captures, as the configured record types say. Pure.
#include <vector>

#include "feed/feed.h"
#include "records/record_types.h"

namespace verbund::node {

std::vector<feed::TrackedTable> tracked_tables(const records::RecordTypes& types);

}  // namespace verbund::node
