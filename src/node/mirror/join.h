#pragma once
/// This machine becomes the mirror of a production: one task from the code to a server that follows. Killed anywhere, it goes on when it is
/// called again for the same directory; before production has answered, nothing but an empty directory is left. One thread; blocks.
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/owned_server.h"

namespace verbund::node {

struct JoinRequest {
  std::filesystem::path directory;             ///< empty or missing, or of a join that was interrupted
  std::string host;                            ///< production's node
  std::uint16_t port = 2222;
  std::string code;
  std::string name;                            ///< of this machine; empty: host name
  std::optional<std::string> listen;           ///< HOST:PORT of this machine's node; absent: as production's
  std::optional<std::uint16_t> database_port;  ///< of this machine's PostgreSQL; absent: as production's
  std::function<void(const Phrase&)> on_step;
  postgres::OwnedServer::CopyProgress on_copy;
};
struct Joined {
  std::string production;  ///< its name
  std::string name;        ///< ours
  bool went_on = false;    ///< an earlier join was ended
  milliseconds copied{0}, verified{0};  ///< what took so long; 0: the copy was there already
};
/// Errors: kUsage (code), kUnauthenticated (code wrong, used, over), kUntrusted (another authority than the code's), kNotReachable,
/// kAlreadyExists (directory), kDiskFull, kUnsupported (PostgreSQL's version), kInUse, those of OwnedServer::copy_from.
Result<Joined> join_as_mirror(const JoinRequest& request, const Clock& clock, Log& log);

}  // namespace verbund::node
