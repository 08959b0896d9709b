#pragma once
/// An installation: the directory that `verbund init` makes and every command finds again. Its files, its settings.
/// Threads: values; file I/O in load and create.
///
///   config/verbund.toml     the node            config/P2P.properties   how workstations are taken in
///   config/backup.toml      what is saved, how, where to
///   config/mirror.toml      on a machine that joined as mirror: what is this machine's own
///   mirror/                 invitation, the other machine of the pair (0700); on a joining machine what production has answered
///   backup/                 its journal, keys, locks, nights, reports (0700)
///   alarm/                  what needs a person, mails that wait (0700)
///   client.toml             how this machine's commands reach the node (0600: holds a token)
///   administrator.txt       first login (0600)  tls/                    authority and certificate
///   secrets/                passwords of database roles (0600)
///   postgres/               the owned server: data/, run/, log/         agent/   its journal and the lock epoch
///   pgpass                  the same for psql (PGPASSFILE, 0600)
///   adoption.json           existing server: who consented to what is created there
///   feed.told               up to where changes were handed on (feed/witness.h)
///   log/verbund.log         JSON lines          log/nights.log  what the node's nights have said
///   node.lock               held by the running node
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "alarm/config.h"
#include "base/result.h"
#include "cluster/settings.h"
#include "node/mirror/follow_settings.h"
#include "node/mirror/witness_place.h"
#include "platform/net/host_port.h"
#include "platform/os/config_file.h"
#include "platform/postgres/connection.h"
#include "sync/server/overview.h"

namespace verbund::node {

/// [cluster] provider = "patroni": the existing server is the leader of a cluster that Patroni looks after.
struct PatroniSettings {
  bool used = false;
  std::vector<std::string> addresses;     ///< of Patroni's REST interfaces: "http://HOST:PORT"
  std::string user, password_file;        ///< for its switchover; empty: without
  std::string authority_file;             ///< PEM of who has signed its certificates, for https
  seconds lease{20};                      ///< of the node that holds the lock authority and the capture
  std::string address;                    ///< HOST:PORT of this node, as the others tell it to workstations; empty: name and port
};

struct Settings {
  std::string name;                       ///< of this node, shown to clients; default: host name
  std::string listen_host = "0.0.0.0";
  std::uint16_t listen_port = 2222;
  bool remote_plaintext = false;
  std::vector<std::string> certificate_names;
  std::vector<std::string> servers;       ///< addresses told to clients; default: none (the one they used)
  std::string database = "praxis";        ///< source database on the owned server
  std::string connection;                 ///< of an existing server; empty: the owned one
  std::uint16_t postgres_port = 5432;
  std::string postgres_listen;            ///< empty: Unix socket only
  std::string mirror_listen;              ///< addresses of the owned server for mirrors; empty: none can join
  std::vector<std::string> mirror_folders;  ///< of production, absolute: the mirror has copies of them
  FollowConfig follow;                    ///< how the mirror follows; `verbund mirror follow` may have changed it
  WitnessConfig witness;                  ///< what the pair does with a witness when it has one
  std::uint64_t journal_rows_kept = 5'000'000;
  std::uint64_t journal_days = 0, journal_mb = 0;  ///< 0: no such limit
  std::uint64_t lag_warn_mb = 1'024;
  std::vector<std::string> feed_capture;           ///< patterns of tables of no record
  std::string feed_slot = "verbund_feed";    ///< on the source's server
  std::string feed_publication = "verbund";  ///< in the source database
  std::optional<std::vector<std::string>> history_types;  ///< absent: all record types; empty: no history
  cluster::Settings cluster;
  PatroniSettings patroni;                ///< [cluster]
  sync::server::Patience devices;         ///< [sync]
  std::map<std::string, std::filesystem::path> sync_folders;  ///< [sync.folders]: by their names
  alarm::Config alarm;                    ///< [mail] and [alarm]
};

struct InitOptions {
  std::filesystem::path directory;
  std::string connection;                 ///< existing server, or empty
  std::optional<std::string> listen;      ///< HOST:PORT
};

class Installation {
 public:
  /// DESIGN §5: --dir, VERBUND_DIR, ./verbund-data, /var/lib/verbund; the last two only when they exist.
  static std::filesystem::path find(const std::optional<std::string>& option);
  static bool exists(const std::filesystem::path& directory);

  /// Makes the directory with configuration and secrets. What exists is left as it is, so a killed `init` can be repeated.
  static Status create(const InitOptions& options);
  /// Appends the demo practice's record type to config/verbund.toml when it configures none.
  static Status add_demo_records(const std::filesystem::path& directory);
  /// Reads and checks all configuration. Errors: kNotFound, kBadConfig.
  static Result<Installation> load(const std::filesystem::path& directory);

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  /// verbund.toml once more, for record types, which are checked against the catalog when the database runs.
  [[nodiscard]] os::ConfigFile& config() { return config_; }

  /// Password of a database role, made at `create`.
  [[nodiscard]] Result<std::string> secret(const std::string& role) const;
  [[nodiscard]] bool owns_server() const { return settings_.connection.empty(); }
  /// Connection as the node's role (existing server: the configured role). `database` empty: the source database.
  [[nodiscard]] Result<postgres::ConnectionSettings> connection(std::string database = {}) const;

  /// As configured, whatever `bind` has said: what a consent is given for, and where the cluster is looked for.
  [[nodiscard]] Result<postgres::ConnectionSettings> configured_connection(std::string database = {}) const;
  /// From now on every connection goes to this server, and says this term (docs/adr: a seat in PostgreSQL).
  void bind(const postgres::ConnectionSettings& server, Term term);

  /// The same as the application's role, who owns the source database (existing server: the configured role).
  [[nodiscard]] Result<postgres::ConnectionSettings> application_connection() const;

  static constexpr const char* kMidTier = "verbund_mid";
  static constexpr const char* kVersions = "SIQVersions";
  static constexpr const char* kNodeRole = "verbund_node";
  static constexpr const char* kSuperuser = "verbund";
  static constexpr const char* kApplicationRole = "praxis";

 private:
  Installation(std::filesystem::path directory, os::ConfigFile config)
      : directory_(std::move(directory)), config_(std::move(config)) {}
  Status read_settings();
  Status read_own_settings();
  Status read_sync_folders(os::ConfigFile& file);
  Status read_cluster_settings();

  std::filesystem::path directory_;
  os::ConfigFile config_;
  Settings settings_;
  std::optional<std::pair<postgres::ConnectionSettings, Term>> bound_;
};

using net::parse_host_port;

}  // namespace verbund::node
