#pragma once
/// verbund mirror … of an installation on a Patroni cluster. Other installations' are in mirror.cc.
#include <string>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "cli/command.h"

namespace verbund::cli {

/// Whether this machine's installation is one; false, too, where there is none.
bool on_patroni(const Globals& globals);

/// `mirror switchover [--to MEMBER] [--dry-run]`: Patroni's own, asked for at its REST interface; the node need not run.
int switch_over_on_patroni(const Globals& globals, const std::string& to, bool dry_run);

/// What `mirror status` shows of GET /api/mirror there.
std::vector<std::pair<std::string, std::string>> patroni_fields(const Globals& globals, const boost::json::object& root);

}  // namespace verbund::cli
