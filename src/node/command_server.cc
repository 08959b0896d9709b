#include "node/command_server.h"

#include <unistd.h>

#include "base/messages.h"
#include "node/provision.h"
#include "platform/os/clock.h"
#include "platform/os/log_sink.h"

namespace verbund::node {
namespace {

constexpr seconds kStart{120}, kStop{60};

const Clock& clock() {
  static const os::SystemClock system;
  return system;
}

}  // namespace

Result<CommandServer> CommandServer::open(const Installation& installation, std::string_view command) {
  CommandServer server;
  auto lock = os::FileLock::acquire(installation.directory() / "node.lock", fmt::format("{}, pid {}", command, getpid()));
  if (!lock) {
    // Its holder's own words stand in the message.
    const bool node = lock.error().code == ErrorCode::kInUse && lock.error().message.find("verbund node") != std::string::npos;
    if (!node) return pass(lock);
    return server;
  }
  server.lock_ = std::move(*lock);
  if (!installation.owns_server()) return server;
  auto settings = owned_server_settings(installation);
  if (!settings) return pass(settings);
  std::error_code ignored;
  const bool fresh = !std::filesystem::exists(settings->directory / "data" / "PG_VERSION", ignored);
  auto agent = mirror::Agent::own(installation.directory(), std::move(*settings), os::null_log(), clock());
  if (!agent) return pass(agent);
  server.agent_ = std::move(*agent);
  if (auto started = server.agent_->start(Deadline::in(clock(), kStart)); !started) return pass(started, "start PostgreSQL");
  // A bare machine: an archive needs the roles that stand in it.
  if (!fresh) return server;
  if (auto provisioned = provision_owned(installation, os::null_log()); !provisioned) return pass(provisioned);
  if (auto migrated = migrate_databases(installation, os::null_log()); !migrated) return pass(migrated);
  return server;
}

CommandServer::~CommandServer() {
  // A server that does not end in time is the next start's orphan, and ended there.
  if (agent_) (void)agent_->stop(Deadline::in(clock(), kStop));
}

Result<postgres::ConnectionSettings> CommandServer::connection(const Installation& installation, const std::string& database) {
  auto settings = installation.connection(database);
  if (!settings || !installation.owns_server()) return settings;
  auto password = installation.secret(Installation::kSuperuser);
  if (!password) return pass(password);
  settings->user = Installation::kSuperuser;
  settings->password = std::move(*password);
  return settings;
}

}  // namespace verbund::node
