#include "mirror/drift.h"

#include <algorithm>
#include <tuple>

#include "base/ids.h"
#include "base/messages.h"

namespace verbund::mirror {
namespace {

constexpr std::uint64_t kGigabyte = 1ULL << 30U;
constexpr seconds kLastsLittle{std::chrono::hours{72}}, kLastsNearlyNothing{std::chrono::hours{6}};
/// A night runs for some hours, and is tried again.
constexpr std::chrono::hours kBackupLate{12};
/// A message takes a few seconds at most.
constexpr seconds kClocksApart{10};

/// With less of these than production has a standby stops replaying until it is started anew (PostgreSQL, "Hot Standby").
constexpr std::string_view kStandbyNeeds[] = {"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"};

constexpr std::string_view kMachinesSettings[] = {
    "port", "listen_addresses", "data_directory", "hba_file", "ident_file", "config_file", "external_pid_file", "primary_conninfo", "primary_slot_name",
    "restore_command", "wal_retrieve_retry_interval", "synchronous_standby_names", "max_slot_wal_keep_size", "wal_keep_size", "cluster_name", "logging_collector", "max_standby_archive_delay",
    "max_standby_streaming_delay", "shared_memory_type", "dynamic_shared_memory_type", "hot_standby", "hot_standby_feedback", "archive_mode", "archive_command"};
constexpr std::string_view kMachinesBeginnings[] = {"log_", "unix_socket_", "ssl_", "recovery_", "wal_receiver_"};
constexpr std::string_view kMachinesOptions[] = {"verbund.toml node.", "verbund.toml listen.", "verbund.toml database.port", "verbund.toml database.listen", "verbund.toml mirror.listen",
                                                 "backup.toml plan.scheduler", "backup.toml backup.target"};

class Comparison {
 public:
  Comparison(const MachineFacts* production, const MachineFacts* mirror, WallTime now) : production_(production), mirror_(mirror), now_(now) {}

  std::vector<Finding> run() {
    if (production_ != nullptr && mirror_ != nullptr) both();
    if (production_ != nullptr) disk(*production_, true);
    if (mirror_ != nullptr) disk(*mirror_, false);
    own_collations();
    backup();
    std::ranges::stable_sort(found_, [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
    return std::move(found_);
  }

 private:
  void add(FindingKind kind, Severity severity, std::string name, std::string production, std::string mirror, std::string also = {}) {
    found_.push_back({kind, severity, std::move(name), std::move(production), std::move(mirror), std::move(also)});
  }

  void both() {
    if (production_->program != mirror_->program) add(FindingKind::kProgram, Severity::kWarning, "", production_->program, mirror_->program);
    const auto apart = mirror_->clock_ahead.value_or(milliseconds{0}) - production_->clock_ahead.value_or(milliseconds{0});
    if (apart > kClocksApart || apart < -kClocksApart) {
      add(FindingKind::kClock, Severity::kWarning, "", "", std::to_string(std::chrono::duration_cast<seconds>(apart).count()));
    }
    options();
    if (!production_->server || !mirror_->server) return;
    if (production_->server->version != mirror_->server->version) {
      add(FindingKind::kPostgres, Severity::kWarning, "", production_->server->version, mirror_->server->version);
    }
    settings();
    extensions();
    collations();
  }

  void options() {
    if (production_->options.empty() || mirror_->options.empty()) return;
    each_pair(production_->options, mirror_->options, [this](const std::string& name, const std::string& one, const std::string& other) {
      if (!option_is_of_one_machine(name)) add(FindingKind::kOption, Severity::kWarning, name, one, other);
    });
  }

  /// Those that are not equal; absent: "".
  template <typename Told>
  static void each_pair(const std::map<std::string, std::string>& one, const std::map<std::string, std::string>& other, Told told) {
    const std::string none;
    for (const auto& [name, value] : one) {
      const auto there = other.find(name);
      const std::string& second = there == other.end() ? none : there->second;
      if (second != value) told(name, value, second);
    }
    for (const auto& [name, value] : other) {
      if (!one.contains(name) && !value.empty()) told(name, none, value);
    }
  }

  void settings() {
    each_pair(production_->server->settings, mirror_->server->settings, [this](const std::string& name, const std::string& one, const std::string& other) {
      if (setting_is_of_one_machine(name)) return;
      add(FindingKind::kSetting, weight_of(name, one, other), name, one, other);
    });
  }

  static Severity weight_of(const std::string& name, const std::string& production, const std::string& mirror) {
    if (std::ranges::find(kStandbyNeeds, name) != std::end(kStandbyNeeds)) {
      const auto wanted = parse_u64(production), there = parse_u64(mirror);
      return wanted && there && *there > *wanted ? Severity::kNotice : Severity::kDanger;
    }
    return std::ranges::find(settings_that_matter(), name) != settings_that_matter().end() ? Severity::kWarning : Severity::kNotice;
  }

  /// The databases are the same on both; their extensions' files are each machine's own.
  void extensions() {
    for (const auto& on_mirror : mirror_->server->extensions) {
      const auto& all = production_->server->extensions;
      const auto on_production = std::ranges::find_if(all, [&](const Extension& each) { return each.database == on_mirror.database && each.name == on_mirror.name; });
      if (on_production == all.end()) continue;  // the mirror is a moment behind
      const auto name = fmt::format("{} {} ({})", on_mirror.name, on_mirror.version, on_mirror.database);
      const auto& here = on_production->offered;
      const auto& there = on_mirror.offered;
      if (here.empty() && there.empty()) add(FindingKind::kExtension, Severity::kNotice, name, "", "");
      else if (there.empty()) add(FindingKind::kExtension, Severity::kDanger, name, here, "");
      else if (here != there) add(FindingKind::kExtension, Severity::kWarning, name, here, there);
    }
  }

  static std::string shown(const Collation& collation) {
    return collation.name.empty() ? collation.database : fmt::format("{} ({})", collation.name, collation.database);
  }

  void collations() {
    for (const auto& there : mirror_->server->collations) {
      const auto& all = production_->server->collations;
      const auto here = std::ranges::find_if(all, [&](const Collation& each) { return each.database == there.database && each.name == there.name; });
      if (here == all.end() || here->actual == there.actual) continue;
      add(FindingKind::kCollation, Severity::kDanger, shown(there), here->actual, there.actual, there.recorded);
    }
  }

  /// Where the two are equal, and where only one is known: what is installed against what the indexes were built with.
  void own_collations() {
    const auto* one = production_ != nullptr && production_->server ? production_ : mirror_;
    if (one == nullptr || !one->server) return;
    for (const auto& each : one->server->collations) {
      if (each.recorded == each.actual || each.recorded.empty() || each.actual.empty()) continue;
      const auto name = shown(each);
      const bool told = std::ranges::any_of(found_, [&](const Finding& finding) { return finding.kind == FindingKind::kCollation && finding.name == name; });
      if (!told) add(FindingKind::kCollation, Severity::kWarning, name, each.actual, each.actual, each.recorded);
    }
  }

  void disk(const MachineFacts& facts, bool is_production) {
    if (!facts.disk || facts.disk->total_bytes == 0) return;
    const auto& disk = *facts.disk;
    const auto percent = disk.free_bytes * 100 / disk.total_bytes;
    const auto sooner_than = [&](seconds span) { return disk.lasts && *disk.lasts < span; };
    const bool nothing = disk.free_bytes < kGigabyte || (percent < 3 && disk.free_bytes < 10 * kGigabyte) || sooner_than(kLastsNearlyNothing);
    const bool little = (percent < 10 && disk.free_bytes < 50 * kGigabyte) || sooner_than(kLastsLittle);
    if (!nothing && !little) return;
    auto shown = fmt::format("{}.{} GB ({} %)", disk.free_bytes / kGigabyte, disk.free_bytes % kGigabyte * 10 / kGigabyte, percent);
    auto lasts = disk.lasts ? std::to_string(std::chrono::duration_cast<std::chrono::hours>(*disk.lasts).count()) : std::string();
    add(FindingKind::kDisk, nothing ? Severity::kDanger : Severity::kWarning, is_production ? "production" : "mirror", is_production ? shown : "", is_production ? "" : shown, lasts);
  }

  void backup() {
    std::optional<WallTime> last;
    std::optional<WallTime> due;
    const MachineFacts* maker = nullptr;
    for (const auto* each : {production_, mirror_}) {
      if (each == nullptr || !each->backup) continue;
      if (each->backup->last_good && (!last || *last < *each->backup->last_good)) last = each->backup->last_good;
      // The roles move, the plan is one: what either machine has done counts. Who has made the last one makes the next one.
      if (due && *due >= each->backup->due) continue;
      due = each->backup->due;
      maker = each;
    }
    if (!due || now_ < *due + kBackupLate) return;
    const auto hours = [this](WallTime since) { return std::to_string(std::chrono::duration_cast<std::chrono::hours>(now_ - since).count()); };
    add(FindingKind::kBackup, Severity::kWarning, maker == production_ ? "production" : "mirror", last ? hours(*last) : "", "", hours(*due));
  }

  const MachineFacts* production_;
  const MachineFacts* mirror_;
  const WallTime now_;
  std::vector<Finding> found_;
};

Phrase or_default(const std::string& value) { return value.empty() ? phrase("its default") : verbatim(value); }

Phrase text_of_disk(const Finding& finding) {
  const bool production = finding.name == "production";
  const auto& left = production ? finding.production : finding.mirror;
  if (finding.also.empty()) return production ? phrase("production's disk has {} left", left) : phrase("the mirror's disk has {} left", left);
  return production ? phrase("production's disk has {} left, enough for {} h as it fills now", left, finding.also)
                    : phrase("the mirror's disk has {} left, enough for {} h as it fills now", left, finding.also);
}

Phrase text_of_extension(const Finding& finding) {
  if (finding.mirror.empty() && finding.production.empty()) return phrase("the files of extension {} are on neither machine", finding.name);
  if (finding.mirror.empty()) return phrase("the files of extension {} are not on the mirror", finding.name);
  return phrase("the files of extension {} are for version {} on production and {} on the mirror", finding.name, finding.production, finding.mirror);
}

Phrase text_of_collation(const Finding& finding) {
  if (finding.production != finding.mirror) return phrase("the sort order of {} is version {} on production and {} on the mirror", finding.name, finding.production, finding.mirror);
  return phrase("the indexes with the sort order of {} were built with version {}, and {} is installed", finding.name, finding.also, finding.mirror);
}

}  // namespace

std::string_view to_string(FindingKind kind) {
  constexpr std::string_view kNames[] = {"program", "postgres", "setting", "option", "extension", "collation", "disk", "backup", "clock"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view to_string(Severity severity) {
  constexpr std::string_view kNames[] = {"notice", "warning", "danger"};
  return kNames[static_cast<std::size_t>(severity)];
}

std::string key_of(const Finding& finding) {
  return finding.name.empty() ? std::string(to_string(finding.kind)) : fmt::format("{}/{}", to_string(finding.kind), finding.name);
}

Phrase text_of(const Finding& finding) {
  const auto& [kind, severity, name, production, mirror, also] = finding;
  switch (kind) {
    case FindingKind::kProgram: return phrase("verbund is {} on production and {} on the mirror", production, mirror);
    case FindingKind::kPostgres: return phrase("PostgreSQL is {} on production and {} on the mirror", production, mirror);
    case FindingKind::kSetting: return phrase("PostgreSQL's setting {} is {} on production and {} on the mirror", name, or_default(production), or_default(mirror));
    case FindingKind::kOption: return phrase("config/{} is not the same on both machines", name);
    case FindingKind::kExtension: return text_of_extension(finding);
    case FindingKind::kCollation: return text_of_collation(finding);
    case FindingKind::kDisk: return text_of_disk(finding);
    case FindingKind::kClock: return phrase("the mirror's clock differs from production's by {} s", mirror);
    case FindingKind::kBackup:
      return production.empty() ? phrase("there is no good backup, and one was due {} h ago", also) : phrase("the last good backup is {} h old, and one was due {} h ago", production, also);
  }
  return {};
}

Phrase hint_of(const Finding& finding) {
  switch (finding.kind) {
    case FindingKind::kProgram:
    case FindingKind::kPostgres: return phrase("Bring the older one to the newer version: the mirror first, then a switchover, then the other machine.");
    case FindingKind::kSetting:
      return finding.severity == Severity::kDanger ? phrase("The mirror stops replaying until its node is started anew with at least production's value.")
                                                   : phrase("ALTER SYSTEM reaches one machine alone: give the same on the other one, as the superuser there.");
    case FindingKind::kOption: return phrase("After a switchover the mirror's own file counts: make the two equal, start that node anew.");
    case FindingKind::kExtension: return phrase("Install the same package on both machines.");
    case FindingKind::kCollation:
      return finding.production != finding.mirror ? phrase("Install the same C library and ICU on both machines: after a switchover indexes of texts would find wrong rows.")
                                                  : phrase("REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION (ALTER COLLATION … for a single one).");
    case FindingKind::kDisk: return phrase("Make room, or give it a larger disk: a full one stops production, and the mirror's following.");
    case FindingKind::kClock: return phrase("Let both machines take their time from the same server (timedatectl set-ntp true).");
    case FindingKind::kBackup: return phrase("`verbund backup check` on the machine that makes the backups says why.");
  }
  return {};
}

std::vector<Finding> compare(const MachineFacts* production, const MachineFacts* mirror, WallTime now) { return Comparison(production, mirror, now).run(); }

const std::vector<std::string>& settings_that_matter() {
  static const std::vector<std::string> kNames = {
      "DateStyle", "IntervalStyle", "TimeZone", "data_checksums", "default_text_search_config", "default_transaction_isolation", "fsync", "full_page_writes",
      "lc_messages", "lc_monetary", "lc_numeric", "lc_time", "max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_replication_slots",
      "max_wal_senders", "max_worker_processes", "password_encryption", "search_path", "session_preload_libraries", "shared_preload_libraries", "standard_conforming_strings",
      "synchronous_commit", "track_commit_timestamp", "wal_level"};
  return kNames;
}

bool setting_is_of_one_machine(std::string_view name) {
  return std::ranges::find(kMachinesSettings, name) != std::end(kMachinesSettings) ||
         std::ranges::any_of(kMachinesBeginnings, [&](std::string_view beginning) { return name.starts_with(beginning); });
}

bool option_is_of_one_machine(std::string_view name) {
  return std::ranges::any_of(kMachinesOptions, [&](std::string_view beginning) { return name.starts_with(beginning); });
}

}  // namespace verbund::mirror
