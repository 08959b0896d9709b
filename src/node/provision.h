#pragma once
/// Brings the databases into the state that this program needs: roles, databases, migrations. Idempotent.
/// Threads: one, at start; blocks.
#include "base/log.h"
#include "base/result.h"
#include "node/installation.h"
#include "node/mirror/role.h"
#include "platform/postgres/owned_server.h"

namespace verbund::node {

/// How the owned server is run and reached as superuser; on a mirror (by the pair's record) it follows the other machine.
Result<postgres::OwnedServerSettings> owned_server_settings(const Installation& installation);
/// The same whatever the record says: as production, or as `member`, the mirror of `peer`.
Result<postgres::OwnedServerSettings> production_server_settings(const Installation& installation);
Result<postgres::OwnedServerSettings> mirror_server_settings(const Installation& installation, mirror::Member member, const Peer& peer);

/// As superuser of the owned server: roles, source, mid-tier and versions database, the node's rights on them.
Status provision_owned(const Installation& installation, Log& log);

/// On an existing server: creates the two databases of ours with the configured role when nothing is missing there.
/// Errors: kServerSetting with every statement to run.
Status provision_existing(Installation& installation, Log& log);

/// Migrations of the mid-tier and the versions database, folders ordered by floor.
Status migrate_databases(const Installation& installation, Log& log);

}  // namespace verbund::node
