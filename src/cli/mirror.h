#pragma once
/// Inside cli/ only: what the commands of `verbund mirror` share. Main thread.
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "cli/command.h"

namespace verbund::cli {

/// Of a member that may lie deeper: "behind.bytes"; empty: absent or null.
std::string at(const boost::json::object& root, std::string_view path);
/// "1.5 s" of milliseconds in decimal; "12.0 MB" of bytes; another text as it stands.
std::string in_seconds(const std::string& milli);
std::string in_bytes(const std::string& text);

/// GET /api/mirror of this machine's node: by login, or by the control secret when its databases are down. Errors: as rest_call.
Result<boost::json::object> mirror_state(const Globals& globals);
/// POST /api/mirror/do, by the control secret of --dir when it can be read, else by login. Errors: as rest_call.
Result<std::string> ask_pair(const Globals& globals, const boost::json::object& request);

/// preflight, switchover, promote, open, fence, rejoin.
void add_mirror_roles(CLI::App& mirror, Globals& globals, const Runner& run);

/// mirror lost: what a rejoin has given up.
void add_mirror_lost(CLI::App& mirror, Globals& globals, const Runner& run);

/// mirror salvage: a gone production's log from its own disk.
void add_mirror_salvage(CLI::App& mirror, Globals& globals, const Runner& run);

/// mirror release: old data that a rejoin has set aside.
void add_mirror_release(CLI::App& mirror, Globals& globals, const Runner& run);

/// mirror witness join, leave; what `mirror status` shows of it.
void add_mirror_witness(CLI::App& mirror, Globals& globals, const Runner& run);
void add_witness_fields(const Globals& globals, const boost::json::object& pair, std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace verbund::cli
