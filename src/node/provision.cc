#include "node/provision.h"

#include "base/messages.h"
#include "access/accounts.h"
#include "access/certificates.h"
#include "feed/feed.h"
#include "feed/keyless.h"
#include "history/migrations.h"
#include "history/rights.h"
#include "node/adapters/session_store.h"
#include "mirror/following.h"
#include "node/adoption.h"
#include "node/mirror/role.h"
#include "platform/os/clock.h"
#include "platform/postgres/migrations.h"
#include "sync/server/migrations.h"

namespace verbund::node {
namespace {

using postgres::Connection;

Status ensure_role(Connection& connection, const std::string& role, const std::string& password,
                   std::string_view attributes) {
  auto existing = connection.query("SELECT 1 FROM pg_roles WHERE rolname = $1", {role});
  if (!existing) return pass(existing);
  const auto name = Connection::quote_identifier(role);
  if (existing->size() == 0) {
    if (auto made = connection.execute(fmt::format("CREATE ROLE {} LOGIN", name)); !made) return made;
  }
  // Always set: the secret's file is the truth, also after a restored or edited directory.
  return connection.execute(
      fmt::format("ALTER ROLE {} {} PASSWORD {}", name, attributes, Connection::quote_literal(password)));
}

Status ensure_database(Connection& connection, const std::string& database, const std::string& owner, Log& log) {
  auto existing = connection.query("SELECT 1 FROM pg_database WHERE datname = $1", {database});
  if (!existing) return pass(existing);
  if (existing->size() > 0) return {};
  // A server's locale of another encoding would refuse UTF8; ours sort by explicit collations anyway.
  auto fits = connection.query("SELECT encoding = pg_char_to_encoding('UTF8') FROM pg_database WHERE datname = 'template0'");
  if (!fits) return pass(fits);
  const bool plain = fits->size() == 1 && fits->text(0, 0) == "t";
  auto made = connection.execute(fmt::format("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'{}",
                                             Connection::quote_identifier(database), Connection::quote_identifier(owner),
                                             plain ? "" : " LOCALE 'C'"));
  if (!made) return pass(made, phrase("create database {}", database));
  log.info("node.database_created", {{"database", database}, {"owner", owner}});
  return {};
}

/// Of the owned server.
Result<postgres::ConnectionSettings> superuser_connection(const Installation& installation, const std::string& database) {
  auto superuser = installation.connection(database);
  if (!superuser) return superuser;
  auto password = installation.secret(Installation::kSuperuser);
  if (!password) return pass(password);
  superuser->user = Installation::kSuperuser;
  superuser->password = std::move(*password);
  return superuser;
}

Status let_mirrors_in(const Installation& installation, postgres::OwnedServerSettings& settings) {
  if (installation.settings().mirror_listen.empty()) return {};
  const os::SystemClock clock;
  auto certificates = access::load_or_create(installation.directory() / "tls", installation.settings().certificate_names, clock);
  if (!certificates) return pass(certificates);
  settings.mirrors = postgres::MirrorAccess{std::move(certificates->chain_pem), std::move(certificates->key_pem), {}};
  for (const mirror::Member member : {1U, 2U, 3U}) settings.mirrors->roles.push_back(mirror::mirror_role(member));
  settings.mirror_addresses = installation.settings().mirror_listen;
  return {};
}

}  // namespace

Result<postgres::OwnedServerSettings> production_server_settings(const Installation& installation) {
  auto password = installation.secret(Installation::kSuperuser);
  if (!password) return pass(password);
  postgres::OwnedServerSettings settings;
  settings.directory = installation.directory() / "postgres";
  settings.port = installation.settings().postgres_port;
  settings.listen_addresses = installation.settings().postgres_listen;
  settings.superuser = Installation::kSuperuser;
  settings.superuser_password = std::move(*password);
  if (auto set = let_mirrors_in(installation, settings); !set) return pass(set);
  return settings;
}

Result<postgres::OwnedServerSettings> mirror_server_settings(const Installation& installation, mirror::Member member, const Peer& peer) {
  auto settings = production_server_settings(installation);
  if (!settings) return settings;
  auto secret = installation.secret(kPairSecret);
  if (!secret) return pass(secret);
  postgres::Followed followed;
  followed.slot = mirror::mirror_role(member);
  followed.server.host = peer.host;
  followed.server.port = peer.database_port;
  followed.server.database = "postgres";
  followed.server.user = followed.slot;
  followed.server.password = std::move(*secret);
  // Our authority signs nothing but this installation's nodes; the other may be known here by an address that no certificate names.
  followed.server.options = fmt::format("sslmode='verify-ca' sslrootcert='{}' channel_binding='require' connect_timeout='5'",
                                        (installation.directory() / "tls" / "ca.crt").string());
  settings->follows = std::move(followed);
  return settings;
}

Result<postgres::OwnedServerSettings> owned_server_settings(const Installation& installation) {
  const auto record = pair_record(installation.directory());
  if (!record) return std::unexpected(record.error());
  const auto peer = read_peer(installation.directory());
  if (!peer) return std::unexpected(peer.error());
  const bool follows = *record && *peer && mirror_stage((*record)->stage);
  return follows ? mirror_server_settings(installation, (*record)->member, **peer) : production_server_settings(installation);
}

Status provision_owned(const Installation& installation, Log& log) {
  auto superuser = superuser_connection(installation, "postgres");
  if (!superuser) return pass(superuser);
  auto connection = Connection::open(*superuser);
  if (!connection) return pass(connection);
  const auto application = installation.settings().database;
  struct Role {
    const char* name;
    const char* attributes;
  };
  for (const Role& role : {Role{Installation::kNodeRole, "REPLICATION"}, Role{"praxis", "NOREPLICATION"}}) {
    auto password = installation.secret(role.name);
    if (!password) return pass(password);
    if (auto made = ensure_role(*connection, role.name, *password, role.attributes); !made) return made;
  }
  // Member of the application's owner: publishing a table is its owner's right.
  if (auto granted = connection->execute("GRANT praxis TO verbund_node"); !granted) return granted;
  // The guard ends connections whose open transactions keep a record from its next holder.
  if (auto granted = connection->execute("GRANT pg_signal_backend TO verbund_node"); !granted) return granted;
  if (auto made = ensure_database(*connection, application, "praxis", log); !made) return made;
  if (auto made = ensure_database(*connection, Installation::kMidTier, Installation::kNodeRole, log); !made) return made;
  if (auto made = ensure_database(*connection, Installation::kVersions, Installation::kNodeRole, log); !made) return made;
  if (auto granted = connection->execute(fmt::format("GRANT CREATE, CONNECT ON DATABASE {} TO verbund_node",
                                                     Connection::quote_identifier(application)));
      !granted) {
    return granted;
  }
  // The feed's own role may not.
  superuser->database = application;
  auto practice = Connection::open(*superuser);
  if (!practice) return pass(practice);
  auto watched = feed::keep_key_trigger(*practice, installation.settings().feed_publication, log);
  return watched ? Status{} : pass(watched);
}

Status provision_existing(Installation& installation, Log& log) {
  auto plan = plan_adoption(installation);
  if (!plan) return pass(plan);
  for (const auto& finding : plan->preflight.findings) {
    log.warning("node.preflight", {{"name", finding.name}, {"what", finding.what.english()}, {"statement", finding.statement}});
  }
  if (auto ready = refuse_unready(*plan); !ready) return ready;
  if (plan->preflight.new_databases.empty()) return {};
  auto settings = installation.connection();
  if (!settings) return pass(settings);
  auto connection = Connection::open(*settings);
  if (!connection) return pass(connection);
  for (const auto& database : plan->preflight.new_databases) {
    if (auto made = ensure_database(*connection, database, plan->preflight.role, log); !made) return made;
  }
  return {};
}

Status migrate_databases(const Installation& installation, Log& log) {
  const auto run = [&](Result<postgres::ConnectionSettings> settings, std::span<const postgres::MigrationSet> sets) -> Result<Connection> {
    if (!settings) return pass(settings);
    auto connection = Connection::open(*settings);
    if (!connection) return pass(connection);
    auto migrated = postgres::migrate(*connection, sets, log);
    if (!migrated) return pass(migrated, phrase("migrate database {}", settings->database));
    return connection;
  };
  const postgres::MigrationSet mid_tier[] = {access::migrations(), feed::migrations(), session_migrations(), sync::server::migrations()};
  if (auto done = run(installation.connection(Installation::kMidTier), mid_tier); !done) return pass(done);
  const postgres::MigrationSet versions[] = {history::migrations()};
  // On the owned server nobody who can log in but the superuser owns the versions. On an existing one we have no other role.
  if (!installation.owns_server()) {
    auto done = run(installation.connection(Installation::kVersions), versions);
    return done ? Status{} : pass(done);
  }
  auto superuser = run(superuser_connection(installation, Installation::kVersions), versions);
  if (!superuser) return pass(superuser);
  return history::hand_over(*superuser, Installation::kNodeRole);
}

}  // namespace verbund::node
