#include "node/installation.h"

#include <unistd.h>

#include <cstdlib>

#include "backup/config.h"
#include "base/messages.h"
#include "importer/importer.h"
#include "mirror/patroni.h"
#include "platform/os/file.h"
#include "platform/os/random.h"
#include "platform/os/read_setting.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultConfig = R"toml(# Verbund: settings of this node. Every key stands here with its default. `verbund config check` reads it without starting.
# Einstellungen dieses Knotens. Jeder Schlüssel steht hier mit seiner Vorgabe.

[node]
# name = "praxis-server"        # shown to workstations; default: host name
# servers = ["10.0.0.1:2222"]   # addresses told to clients, for reconnecting

[listen]
host = "{host}"
port = {port}
# plaintext = "loopback"        # "loopback": other machines must use TLS; "all": plaintext from everywhere
# names = ["praxis.local"]      # further names and addresses in the server certificate

[database]
# connection = "host=10.0.0.1 dbname=praxis user=…"   # an existing server instead of the owned one
{connection}name = "praxis"             # source database on the owned server
port = {postgres_port}                 # of the owned server (names its socket, too)
listen = ""                    # addresses of the owned server; "" = Unix socket only

[mirror]
# listen = "0.0.0.0"             # addresses of the owned server for a mirror (TLS, its role alone, port of [database]); "" = no mirror can join
# folders = ["/srv/dokumente"]     # which the mirror copies
# synchronous = false            # commits wait until they are on the mirror's disk; when it is away they go on without it, and that is told
# fall_back_seconds = 3          # 2 … 60: for so long they wait at most
# interval = "10min"             # the log is sent so often in place of streaming
# archive_gb = 10                # of log kept, packed, for a mirror that is away longer than its slot lasts; 0 = none
# self_fence = "30s"             # with a witness (`verbund mirror witness join`): production closes when neither mirror nor witness has answered for so long
# automatic = false              # then the mirror takes over by itself, if no more than max_loss of production's time may be lost ("0": only what can be
# max_loss = "0"                 # proven) and production was not given away within cool_down. The same on both machines
# cool_down = "1h"

[cluster]
# provider = "patroni"           # the existing server is the leader of a Patroni cluster; [database] connection names all its hosts
# patroni = ["http://10.0.0.1:8008", "http://10.0.0.2:8008"]   # Patroni's REST interfaces
# patroni_user = "admin"         # for `verbund mirror switchover`; its password is the first line of
# patroni_password_file = "secrets/patroni"
# patroni_ca = "tls/patroni.crt" # who has signed Patroni's certificates, for https
# lease = 20                     # 5 … 300 seconds: after so long another node takes over from one that is gone
# address = "10.0.0.5:2222"      # of this node, as the others tell it to workstations; default: its name and port

[sync]
# overdue_days = 7               # a device that has not synced for so long is an alarm; 0 = none is
# rejects_days = 3               # and rejected changes of devices that nobody has looked at for so long

[sync.folders]
# plans = "/srv/praxis/plaene"   # folders whose files devices may have or bring; rules name them: folder = "plans"

[feed]
journal_rows_kept = 5000000    # 10 000 … 1 000 000 000: how far back clients can resume
# journal_days = 30              # and no longer than this; 0 = whatever its age
# journal_mb = 0                 # nor larger than this on disk; 0 = whatever it takes
# lag_warn_mb = 1024             # alarm when the database's server keeps more log than this for the slot
# capture = ["public.*"]         # tables that are captured though of no record, as soon as they exist; "!public.log_*" leaves some out
# slot = "verbund_feed"         # replication slot on the database's server
# publication = "verbund"       # publication in the database

[history]
# types = ["patient"]          # record types whose versions are kept in SIQVersions; default: all; [] = no history
)toml";

std::string host_name() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "verbund";
  name.resize(name.find('\0'));
  return name;
}

std::string quoted_toml(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

Status write_new(const fs::path& path, std::string_view content, unsigned mode) {
  if (fs::exists(path)) return {};
  return os::write_file_atomically(path, content, mode);
}

std::string replace(std::string text, std::string_view what, std::string_view by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

}  // namespace

fs::path Installation::find(const std::optional<std::string>& option) {
  if (option && !option->empty()) return fs::absolute(*option).lexically_normal();
  if (const char* environment = std::getenv("VERBUND_DIR"); environment && *environment) {
    return fs::absolute(environment).lexically_normal();
  }
  const fs::path system = "/var/lib/verbund";
  const fs::path here = fs::absolute("verbund-data").lexically_normal();
  return !exists(here) && exists(system) ? system : here;
}

bool Installation::exists(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / "config" / "verbund.toml", ignored);
}

Status Installation::create(const InitOptions& options) {
  const auto& dir = options.directory;
  std::pair<std::string, std::uint16_t> address{"0.0.0.0", 2222};
  if (options.listen) {
    auto parsed = parse_host_port(*options.listen);
    if (!parsed) return pass(parsed);
    address = *parsed;
  }
  // The directory itself can be entered by the user that PostgreSQL runs as; what is secret is 0700 or 0600 below.
  for (const auto& [name, mode] : {std::pair{"", 0755u}, {"config", 0755u}, {"secrets", 0700u}, {"log", 0750u},
                                   {"tls", 0755u}, {"agent", 0700u}}) {
    if (auto made = os::make_directories(dir / name, mode); !made) return made;
  }
  for (const char* role : {kSuperuser, kNodeRole, kApplicationRole}) {
    if (auto written = write_new(dir / "secrets" / role, os::random_hex(24) + "\n", 0600); !written) return written;
  }
  if (auto written = write_new(dir / "config" / "P2P.properties", cluster::default_properties(), 0644); !written) {
    return written;
  }
  if (auto written = write_new(dir / "config" / "backup.toml", backup::default_config(), 0644); !written) return written;
  std::string passfile;
  for (const char* role : {kNodeRole, kApplicationRole}) {
    auto password = os::read_file(dir / "secrets" / role, 4096);
    if (!password) return pass(password);
    passfile += fmt::format("*:*:*:{}:{}", role, *password);
  }
  if (auto written = write_new(dir / "pgpass", passfile, 0600); !written) return written;
  std::string config = std::string(kDefaultConfig) + std::string(alarm::default_config());
  config = replace(config, "{host}", address.first);
  config = replace(config, "{port}", std::to_string(address.second));
  config = replace(config, "{postgres_port}", "5432");
  config = replace(config, "{connection}",
                   options.connection.empty() ? "" : "connection = " + quoted_toml(options.connection) + "\n");
  // A connection string may carry a password.
  return write_new(dir / "config" / "verbund.toml", config, options.connection.empty() ? 0644 : 0600);
}

Status Installation::add_demo_records(const fs::path& directory) {
  const auto path = directory / "config" / "verbund.toml";
  auto config = os::ConfigFile::read_toml(path);
  if (!config) return pass(config);
  if (config->count("record") > 0) return {};
  auto text = os::read_file(path, 1024 * 1024);
  if (!text) return pass(text);
  return os::write_file_atomically(path, *text + "\n" + std::string(importer::demo_records_toml()), 0644);
}

Result<Installation> Installation::load(const fs::path& directory) {
  if (!exists(directory)) {
    return fail(ErrorCode::kNotFound, phrase("open the installation: {} holds none", directory.string()),
                phrase("make one with `verbund up --dir DIR`, or name it with --dir or VERBUND_DIR"));
  }
  auto config = os::ConfigFile::read_toml(directory / "config" / "verbund.toml");
  if (!config) return pass(config);
  Installation installation(directory, std::move(*config));
  if (auto read = installation.read_settings(); !read) return pass(read);
  return installation;
}

Status Installation::read_settings() {
  auto& s = settings_;
  VERBUND_READ(s.name, config_.text("node.name", host_name()));
  VERBUND_READ(s.servers, config_.list("node.servers", {}));
  VERBUND_READ(s.listen_host, config_.text("listen.host", s.listen_host));
  VERBUND_READ(s.listen_port, config_.integer("listen.port", s.listen_port, 0, 65535));
  std::string plaintext;
  VERBUND_READ(plaintext, config_.choice("listen.plaintext", "loopback", {"loopback", "all"}));
  s.remote_plaintext = plaintext == "all";
  VERBUND_READ(s.certificate_names, config_.list("listen.names", {}));
  VERBUND_READ(s.connection, config_.text("database.connection", ""));
  VERBUND_READ(s.database, config_.text("database.name", s.database));
  VERBUND_READ(s.postgres_port, config_.integer("database.port", s.postgres_port, 1, 65535));
  VERBUND_READ(s.postgres_listen, config_.text("database.listen", ""));
  VERBUND_READ(s.mirror_listen, config_.text("mirror.listen", ""));
  VERBUND_READ(s.mirror_folders, config_.list("mirror.folders", {}));
  VERBUND_READ(s.follow, read_follow_config(config_));
  VERBUND_READ(s.witness, read_witness_config(config_));
  if (auto read = read_sync_folders(config_); !read) return read;
  if (auto own = read_own_settings(); !own) return own;
  for (const auto& folder : s.mirror_folders) {
    if (!fs::path(folder).is_absolute()) return fail(ErrorCode::kBadConfig, phrase("read [mirror] folders: {} is no absolute path", folder));
  }
  if (auto read = read_cluster_settings(); !read) return read;
  VERBUND_READ(s.journal_rows_kept, config_.integer("feed.journal_rows_kept", 5'000'000, 10'000, 1'000'000'000));
  VERBUND_READ(s.journal_days, config_.integer("feed.journal_days", 0, 0, 36'500));
  VERBUND_READ(s.journal_mb, config_.integer("feed.journal_mb", 0, 0, 1'000'000'000));
  VERBUND_READ(s.lag_warn_mb, config_.integer("feed.lag_warn_mb", 1'024, 1, 1'000'000'000));
  VERBUND_READ(s.feed_capture, config_.list("feed.capture", {}));
  VERBUND_READ(s.feed_slot, config_.text("feed.slot", s.feed_slot));
  VERBUND_READ(s.feed_publication, config_.text("feed.publication", s.feed_publication));
  VERBUND_READ(s.alarm, alarm::read_config(config_, directory_, s.name));
  std::int64_t days = 0;
  VERBUND_READ(days, config_.integer("sync.overdue_days", s.devices.not_synced.count(), 0, 3'650));
  s.devices.not_synced = std::chrono::days{days};
  VERBUND_READ(days, config_.integer("sync.rejects_days", s.devices.unread.count(), 0, 3'650));
  s.devices.unread = std::chrono::days{days};
  const bool history_chosen = config_.has("history.types");
  std::vector<std::string> history_types;
  VERBUND_READ(history_types, config_.list("history.types", {}));
  if (history_chosen) s.history_types = std::move(history_types);
  auto properties = os::ConfigFile::read_properties(directory_ / "config" / "P2P.properties");
  if (!properties) return pass(properties);
  auto cluster_settings = cluster::read_settings(*properties);
  if (!cluster_settings) return pass(cluster_settings);
  s.cluster = std::move(*cluster_settings);
  return properties->refuse_unknown();
}

Status Installation::read_cluster_settings() {
  auto& p = settings_.patroni;
  std::string provider;
  VERBUND_READ(provider, config_.choice("cluster.provider", "none", {"none", "patroni"}));
  p.used = provider == "patroni";
  VERBUND_READ(p.addresses, config_.list("cluster.patroni", {}));
  VERBUND_READ(p.user, config_.text("cluster.patroni_user", ""));
  VERBUND_READ(p.password_file, config_.text("cluster.patroni_password_file", ""));
  VERBUND_READ(p.authority_file, config_.text("cluster.patroni_ca", ""));
  VERBUND_READ(p.address, config_.text("cluster.address", ""));
  std::uint64_t lease = 0;
  VERBUND_READ(lease, config_.integer("cluster.lease", p.lease.count(), 5, 300));
  p.lease = seconds{lease};
  for (auto* file : {&p.password_file, &p.authority_file}) {
    if (!file->empty()) *file = (directory_ / *file).string();
  }
  if (!p.used) return {};
  const auto off = [&](const char* key, Phrase why, Phrase hint) {
    return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: {}", config_.name(), config_.line(key), key, std::move(why)), std::move(hint));
  };
  if (owns_server()) {
    return off("cluster.provider", phrase("a Patroni cluster is an existing server"), phrase("Name its hosts in [database] connection: host=A,B port=5432 …"));
  }
  if (p.addresses.empty() || p.addresses.size() > mirror::kMaxPatroniMembers) {
    return off("cluster.patroni", phrase("one to {} addresses are needed", mirror::kMaxPatroniMembers), phrase("For example [\"http://10.0.0.1:8008\", \"http://10.0.0.2:8008\"]"));
  }
  for (const auto& address : p.addresses) {
    auto parsed = mirror::parse_patroni_address(address);
    if (!parsed) return pass(parsed, config_.name());
    if (parsed->tls && p.authority_file.empty()) return off("cluster.patroni", phrase("{} needs patroni_ca", address), phrase("Name the file with the PEM of who has signed Patroni's certificates."));
  }
  return {};
}

/// What differs from production's verbund.toml on a machine that has joined.
Status Installation::read_own_settings() {
  const auto path = directory_ / "config" / "mirror.toml";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  auto own = os::ConfigFile::read_toml(path);
  if (!own) return pass(own);
  auto& s = settings_;
  VERBUND_READ(s.name, own->text("node.name", s.name));
  VERBUND_READ(s.servers, own->list("node.servers", s.servers));
  VERBUND_READ(s.listen_host, own->text("listen.host", s.listen_host));
  VERBUND_READ(s.listen_port, own->integer("listen.port", s.listen_port, 0, 65535));
  VERBUND_READ(s.certificate_names, own->list("listen.names", s.certificate_names));
  VERBUND_READ(s.postgres_port, own->integer("database.port", s.postgres_port, 1, 65535));
  VERBUND_READ(s.postgres_listen, own->text("database.listen", s.postgres_listen));
  VERBUND_READ(s.mirror_listen, own->text("mirror.listen", s.mirror_listen));
  VERBUND_READ(s.mirror_folders, own->list("mirror.folders", s.mirror_folders));
  if (auto read = read_sync_folders(*own); !read) return read;
  return own->refuse_unknown();
}

Status Installation::read_sync_folders(os::ConfigFile& file) {
  for (const auto& name : file.names("sync.folders")) {
    std::string path;
    VERBUND_READ(path, file.text("sync.folders." + name, ""));
    if (!fs::path(path).is_absolute()) return fail(ErrorCode::kBadConfig, phrase("read [sync.folders] {}: {} is no absolute path", name, path));
    settings_.sync_folders[name] = fs::path(path).lexically_normal();
  }
  return {};
}

Result<std::string> Installation::secret(const std::string& role) const {
  auto text = os::read_file(directory_ / "secrets" / role, 4096);
  if (!text) return pass(text);
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  return text;
}

Result<postgres::ConnectionSettings> Installation::configured_connection(std::string database) const {
  auto settings = postgres::parse_connection_string(settings_.connection);
  if (settings && !database.empty()) settings->database = std::move(database);
  if (settings && settings_.patroni.used && settings->options.find("target_session_attrs") == std::string::npos) {
    settings->options += std::string(settings->options.empty() ? "" : " ") + "target_session_attrs='read-write'";
  }
  return settings;
}

void Installation::bind(const postgres::ConnectionSettings& server, Term term) { bound_.emplace(server, term); }

Result<postgres::ConnectionSettings> Installation::connection(std::string database) const {
  if (bound_) {
    auto configured = configured_connection(std::move(database));
    if (!configured) return configured;
    auto settings = bound_->first;
    settings.database = std::move(configured->database);
    settings.application_name = fmt::format("verbund/{}", bound_->second.value);
    // A server that is gone without a word is noticed within the lease.
    const auto lease = settings_.patroni.lease.count();
    settings.options += fmt::format(" tcp_user_timeout='{}' keepalives_idle='{}' keepalives_interval='{}' keepalives_count='3' options='-c verbund.term={}'", lease * 1000,
                                    std::max<long>(lease / 5, 1), std::max<long>(lease / 5, 1), bound_->second.value);
    return settings;
  }
  if (!owns_server()) return configured_connection(std::move(database));
  auto password = secret(kNodeRole);
  if (!password) return pass(password);
  postgres::ConnectionSettings settings;
  settings.host = (directory_ / "postgres" / "run").string();
  settings.port = settings_.postgres_port;
  settings.database = database.empty() ? settings_.database : std::move(database);
  settings.user = kNodeRole;
  settings.password = std::move(*password);
  return settings;
}

Result<postgres::ConnectionSettings> Installation::application_connection() const {
  auto settings = connection();
  if (!settings || !owns_server()) return settings;
  auto password = secret(kApplicationRole);
  if (!password) return pass(password);
  settings->user = kApplicationRole;
  settings->password = std::move(*password);
  return settings;
}

}  // namespace verbund::node
