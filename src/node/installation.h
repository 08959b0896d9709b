#pragma once
/// An installation: the directory that `verbund init` makes and every command finds again. Its files, its settings.
/// Threads: values; file I/O in load and create.
///
///   config/verbund.toml     the node            config/P2P.properties   how workstations are taken in
///   config/backup.toml      what is saved, how, where to
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
#include <optional>
#include <string>
#include <vector>

#include "alarm/config.h"
#include "base/result.h"
#include "cluster/settings.h"
#include "platform/os/config_file.h"
#include "platform/postgres/connection.h"

namespace verbund::node {

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
  std::uint64_t journal_rows_kept = 5'000'000;
  std::uint64_t journal_days = 0, journal_mb = 0;  ///< 0: no such limit
  std::uint64_t lag_warn_mb = 1'024;
  std::vector<std::string> feed_capture;           ///< patterns of tables of no record
  std::string feed_slot = "verbund_feed";    ///< on the source's server
  std::string feed_publication = "verbund";  ///< in the source database
  std::optional<std::vector<std::string>> history_types;  ///< absent: all record types; empty: no history
  cluster::Settings cluster;
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

  std::filesystem::path directory_;
  os::ConfigFile config_;
  Settings settings_;
};

/// "HOST:PORT", "[::1]:PORT" or "HOST" (port 2222). Errors: kUsage.
Result<std::pair<std::string, std::uint16_t>> parse_host_port(std::string_view text);

}  // namespace verbund::node
