#include "node/command_server.h"

#include <unistd.h>

#include <thread>

#include "base/messages.h"
#include "mirror/synchronous.h"
#include "node/mirror/role.h"
#include "node/provision.h"
#include "platform/os/clock.h"
#include "platform/os/log_sink.h"
#include "platform/postgres/live_settings.h"

namespace verbund::node {
namespace {

constexpr seconds kStart{120}, kStop{60};

const Clock& clock() {
  static const os::SystemClock system;
  return system;
}

/// No node looks whether the mirror is there: commits of a command would wait for ever for one that is not. What the node has promised the
/// mirror, a few seconds, is waited out.
Status let_commits_go(const std::filesystem::path& server) {
  const auto found = mirror::found_engaged(server);
  if (!found) return std::unexpected(found.error());
  if (!found->engaged) return {};
  std::this_thread::sleep_for(found->promises_of);
  return postgres::write_live_settings(server, {});
}

/// A production that asks its mirror before it opens is not known to be one still: a command may work on its data, applications may not.
Status keep_others_out(const Installation& installation, postgres::OwnedServerSettings& settings) {
  const auto record = pair_record(installation.directory());
  if (!record) return std::unexpected(record.error());
  if (!*record || (*record)->stage != mirror::Stage::kServing || (*record)->alone) return {};
  settings.listen_addresses.clear();
  settings.mirrors.reset();
  settings.mirror_addresses.clear();
  return {};
}

/// Data of an older term take no writes, not even those of a command; what is read from them would pass for today's.
Status refuse_fenced(const Installation& installation) {
  const auto record = pair_record(installation.directory());
  if (!record) return std::unexpected(record.error());
  if (!*record || (*record)->stage == mirror::Stage::kServing || (*record)->stage == mirror::Stage::kFollowing) return {};
  return fail(ErrorCode::kPairRefused, phrase("start PostgreSQL of {}: this machine is not production", installation.directory().string()),
              phrase("Start its node and see `verbund mirror status`."));
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
  if (auto may = refuse_fenced(installation); !may) return pass(may);
  auto settings = owned_server_settings(installation);
  if (!settings) return pass(settings);
  if (auto out = keep_others_out(installation, *settings); !out) return pass(out);
  if (auto gone = let_commits_go(settings->directory); !gone) return pass(gone);
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
