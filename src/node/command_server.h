#pragma once
/// The installation's PostgreSQL for a command that needs it whether or not a node runs. Main thread; blocks.
#include <memory>
#include <optional>

#include "mirror/agent.h"
#include "node/installation.h"
#include "platform/os/file.h"

namespace verbund::node {

/// While a node runs, its server is used. Without one an owned server is started for as long as this object lives, and no node
/// starts meanwhile; on somebody else's server the same holds, but for starting it.
class CommandServer {
 public:
  /// `command` is shown to whoever finds the installation taken ("verbund restore"). Errors: kInUse (another command has the
  /// installation), kPairRefused (a machine of a pair that is fenced or has handed over), those of Agent::start.
  static Result<CommandServer> open(const Installation& installation, std::string_view command);
  CommandServer(CommandServer&&) noexcept = default;
  ~CommandServer();

  [[nodiscard]] bool node_runs() const { return !lock_; }
  /// As the role that may read and replace every database: the owned server's superuser, else the configured role.
  static Result<postgres::ConnectionSettings> connection(const Installation& installation, const std::string& database);

 private:
  CommandServer() = default;
  std::optional<os::FileLock> lock_;
  std::unique_ptr<mirror::Agent> agent_;
};

}  // namespace verbund::node
