// What a node does for its clients: feed, guard, cluster, history; and what it says of them.
#include "base/messages.h"
#include "node/feed_tables.h"
#include "node/node_impl.h"
#include "node/provision.h"
#include "node/status.h"
#include "node/version.h"
#include "sync/server/tidy.h"

namespace verbund::node {
namespace {

constexpr seconds kGuardCounting{60}, kDeviceChangesEvery{2}, kTidying{3600};
constexpr milliseconds kTakingIn{60'000};
// A sync holds a worker while the source answers, and up to two connections to the mid-tier; replies that are written behind it hold two more each.
constexpr std::size_t kDeviceWorkers = 6, kDevicesWaiting = 2'000, kSyncMidTier = 20, kSyncSource = 8;

}  // namespace

Result<feed::FeedSettings> Node::Impl::feed_settings() const {
  auto source_settings = installation->connection();
  if (!source_settings) return pass(source_settings);
  auto mid_settings = installation->connection(Installation::kMidTier);
  if (!mid_settings) return pass(mid_settings);
  feed::FeedSettings settings;
  settings.source = std::move(*source_settings);
  settings.mid_tier = std::move(*mid_settings);
  settings.slot = installation->settings().feed_slot;
  settings.publication = installation->settings().feed_publication;
  settings.tables = tracked_tables(*types, types_with_history);
  if (!types_with_history.empty()) settings.consumers = {history::kConsumer};
  settings.term = epoch.term;
  settings.journal_rows_kept = installation->settings().journal_rows_kept;
  settings.journal_kept_for = std::chrono::days{installation->settings().journal_days};
  settings.journal_kept_bytes = installation->settings().journal_mb * 1'000'000;
  settings.lag_warn_bytes = installation->settings().lag_warn_mb * 1'000'000;
  auto captured = captured_patterns();
  if (!captured) return pass(captured);
  settings.capture = std::move(*captured);
  settings.witness = options.directory / "feed.told";
  settings.follows_promotions = options.seat && options.seat->follows_promotions;
  return settings;
}

Status Node::Impl::start_services() {
  auto stored = load_sessions(*mid_tier, clock);
  if (!stored) return pass(stored);
  audit = std::make_unique<PostgresAuditTrail>(*mid_tier, *workers, clock, *log);
  authenticator = std::make_unique<AccountAuthenticator>(*accounts, *workers, loop);
  sessions = std::make_unique<PostgresSessionStore>(*mid_tier, *workers, loop, clock, *log);
  if (auto opened = open_sync(); !opened) return opened;
  // The feed first: the service's broadcast log begins at its head.
  auto settings = feed_settings();
  if (!settings) return pass(settings);
  changes = std::make_unique<FeedChangeLog>(loop, *workers);
  changes->attach(feed_passed);
  feed = std::make_unique<feed::Feed>(std::move(*settings), changes->events(), clock, *log, counters);
  if (auto started = feed->start(); !started) return pass(started);
  changes->begin_at(*feed);
  auto guarded = start_guard();
  if (!guarded) return pass(guarded);
  std::vector<std::string> type_names;
  for (const auto& type : types->all()) type_names.push_back(type.type);
  service = std::make_unique<cluster::Service>(
      installation->settings().cluster, epoch, std::move(stored->sessions), stored->next,
      cluster::Surroundings{loop, clock, *authenticator, *sessions, *changes, *audit, *log, counters,
                            [this] { return status_json(); }, installation->settings().name, kVersion,
                            [this] { return servers_told(); }, std::move(type_names), lock_guard.get(),
                            std::move(*guarded), [this] { return seat.term_proof(); },
                            [this](std::string_view proof) { seat.term_shown(proof); }});
  guard->attach(*service);
  changes->attach(*service);
  start_sync();
  return start_history();
}

/// What the configuration names, what devices have, and what says which rows those are.
Result<std::vector<std::string>> Node::Impl::captured_patterns() const {
  auto patterns = installation->settings().feed_capture;
  auto synced = sync_directory->rules();
  if (!synced) return pass(synced);
  for (const auto& rule : (*synced)->rules.subscriptions) {
    if (rule.kind == sync::SubscriptionKind::kFiles) continue;
    patterns.push_back(rule.schema + "." + rule.table);
    for (const auto* comparison : sync::every_comparison(rule.filter)) {
      for (const auto& in : comparison->in) patterns.push_back(in.schema + "." + in.table);
    }
  }
  return patterns;
}

Status Node::Impl::capture_synced() {
  auto patterns = captured_patterns();
  if (!patterns) return pass(patterns);
  return feed->capture(std::move(*patterns), kTakingIn);
}

/// Before the feed: it captures the tables that devices have.
Status Node::Impl::open_sync() {
  auto mid = installation->connection(Installation::kMidTier);
  if (!mid) return pass(mid);
  auto practice = installation->connection();
  if (!practice) return pass(practice);
  sync_mid_tier = std::make_unique<postgres::Pool>(std::move(*mid), kSyncMidTier, clock);
  sync_source = std::make_unique<postgres::Pool>(std::move(*practice), kSyncSource, clock);
  sync_directory = std::make_unique<sync::server::StoredDirectory>(*sync_mid_tier, clock, *log);
  return {};
}

void Node::Impl::start_sync() {
  device_locks = std::make_unique<DeviceLocks>(loop, *service, *types);
  devices = std::make_unique<sync::server::DeviceService>(
      sync::server::ServiceSettings{.mirror_has = [this] { return pair ? pair->mirror_has() : std::nullopt; }, .folders = installation->settings().sync_folders, .servers = [this] { return servers_told(); }}, sync::server::SettleSurroundings{.mid_tier = *sync_mid_tier, .source = *sync_source, .feed = feed_passed, .locks = device_locks.get(), .clock = clock, .log = *log}, *sync_directory);
  device_workers = std::make_unique<os::WorkerPool>(kDeviceWorkers, kDevicesWaiting);
  device_changes = loop.every(kDeviceChangesEvery, [this] { settle_device_changes(); });
}

/// Changes that waited for a record's holder or for the source, also of devices that are away.
void Node::Impl::settle_device_changes() {
  if (settling.exchange(true)) return;
  auto submitted = device_workers->submit([this] {
    if (auto settled = devices->settle_waiting(); !settled) log->warning("sync.waiting_not_settled", {{"error", settled.error().message}});
    tidy_device_queues();
    settling = false;
  });
  if (submitted) return;
  settling = false;
  log->warning("sync.waiting_not_settled", {{"error", submitted.error().message}});
}

/// Once an hour. On the worker that settles.
void Node::Impl::tidy_device_queues() {
  const auto now = clock.now();
  if (now < queues_tidied + kTidying) return;
  queues_tidied = now;
  auto connection = sync_mid_tier->acquire(Deadline::in(clock, seconds{10}));
  auto gone = connection ? sync::server::tidy(**connection) : pass(connection);
  if (auto files = devices->tidy_files(); !files) log->warning("sync.files_not_tidied", {{"error", files.error().message}});
  if (!gone) return log->warning("sync.not_tidied", {{"error", gone.error().message}});
  if (*gone > 0) log->info("sync.tidied", {{"rows", *gone}});
}

/// What devices need a person for; from a thread of the nights, once a minute.
std::vector<sync::server::DeviceTrouble> Node::Impl::device_troubles() {
  auto connection = sync_mid_tier->acquire(Deadline::in(clock, seconds{10}));
  auto devices = connection ? sync::server::device_stands(**connection) : pass(connection);
  if (!devices) {
    log->warning("sync.devices_not_known", {{"error", devices.error().message}});
    return {};
  }
  const auto& patience = installation->settings().devices;
  double waiting = 0, rejects = 0, away = 0;
  for (const auto& one : *devices) {
    waiting += static_cast<double>(one.waiting);
    rejects += static_cast<double>(one.rejects);
    away += sync::server::is_away(one, patience, clock.wall()) ? 1 : 0;
  }
  counters.gauge("verbund_sync_devices", "Devices that are not revoked").set(static_cast<double>(devices->size()));
  counters.gauge("verbund_sync_devices_away", "Active devices that have not synced for longer than [sync] overdue_days").set(away);
  counters.gauge("verbund_sync_changes_waiting", "Changes of devices that are not decided").set(waiting);
  counters.gauge("verbund_sync_rejects", "Rejected changes of devices, neither retried nor dismissed").set(rejects);
  return sync::server::troubles_of(*devices, patience, clock.wall());
}

/// What clients may try when this machine is gone: as configured, and the other machine of the pair.
std::vector<std::string> Node::Impl::servers_told() const {
  auto told = installation->settings().servers;
  const auto other = seat.peer();
  if (other && other->port != 0 && std::ranges::find(told, address_of(*other)) == told.end()) told.push_back(address_of(*other));
  return told;
}

Result<bool> Node::Impl::record_exists(const RecordKey& key) {
  const auto* type = types->find(key.type);
  if (type == nullptr) return fail(ErrorCode::kBadKey, phrase("look for {}: there is no such record type", to_string(key)));
  auto connection = source->acquire(Deadline::in(clock, seconds{10}));
  if (!connection) return pass(connection);
  auto found = records::list_some(**connection, *type, {key.id});
  if (!found) return pass(found);
  return !found->empty();
}

Status Node::Impl::start_history() {
  const auto connection = installation->connection(Installation::kVersions);
  if (!connection) return std::unexpected(connection.error());
  authors = std::make_unique<ChangeAuthors>(*mid_tier, clock);
  if (auto held = guard->held_locks()) {
    authors->held_at_start(*held);
  } else {
    log->warning("history.holders_unknown", {{"error", held.error().message}});
  }
  if (!types_with_history.empty()) {
    history = std::make_unique<history::Relay>(
        history::RelaySettings{.versions = *connection, .types = types_with_history, .far_behind = installation->settings().journal_rows_kept},
        *feed, *authors, clock, *log, counters);
  }
  erasures = std::make_unique<history::Erasures>(history::erasures_file(options.directory), *versions, *feed, history.get(),
                                                 [this](const RecordKey& key) { return record_exists(key); }, clock, *log);
  // Before anything is read out of the journal: what was erased stays erased, whatever was restored.
  // An office can work without that having been checked; it is told in the log.
  if (auto again = erasures->reapply(); !again) log->error("history.erasures_not_repeated", {{"error", again.error().message}});
  if (!history) return {};
  changes->attach(*authors, *history);
  history->start(changes->head());
  return {};
}

Result<GuardControl::Types> Node::Impl::start_guard() {
  auto settings = installation->connection();
  if (!settings) return pass(settings);
  guard = std::make_unique<GuardControl>(*settings, *types, loop, *audit, *log);
  lock_guard = std::make_unique<SourceLockGuard>(std::move(*settings), *workers, loop, clock, *audit, *log, [this] { guard->removed(); });
  guard_counting = loop.every(kGuardCounting, [this] {
    auto submitted = workers->submit([this] { guard->count_warnings(); });
    if (!submitted) log->warning("guard.not_counted", {{"error", submitted.error().message}});
  });
  return guard->start(epoch);
}

/// As at a start, as far as it concerns this database. The feed has lost its slot with the old one and compares by itself.
Result<std::size_t> Node::Impl::database_restored(bool is_source) {
  log->warning("node.database_restored", {{"source", is_source}});
  auto provisioned = installation->owns_server() ? provision_owned(*installation, *log) : Status{};
  if (!provisioned) return pass(provisioned);
  if (auto migrated = migrate_databases(*installation, *log); !migrated) return pass(migrated);
  if (is_source) {
    if (auto said = guard->restored(epoch); !said) return pass(said);
  }
  return erasures->reapply();
}

std::string Node::Impl::status_json() const {
  auto text = node_status_json({.settings = installation->settings(),
                           .epoch = epoch,
                           .sessions = service->session_count(),
                           .workstations = service->workstation_count(),
                           .locks = service->lock_count(),
                           .feed = feed->status(),
                           .history = history ? std::optional(history->status()) : std::nullopt,
                           .database_up = agent->state() == mirror::ServerState::kRunning,
                           .database = database_shown});
  if (options.seat) text.replace(text.size() - 1, 1, ",\"patroni\":" + options.seat->cluster_json() + "}");
  return text;
}

}  // namespace verbund::node
