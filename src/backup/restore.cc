#include <ctime>

#include "backup/archive_reading.h"
#include "backup/program.h"
#include "backup/swap.h"
#include "base/ids.h"
#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/postgres/arrays.h"

namespace verbund::backup {
namespace {

using postgres::Connection;

/// On a database that is being restored: what a killed restore has left is told from somebody's own by it.
constexpr const char* kMark = "verbund: being restored";
constexpr seconds kSizeEvery{1};
/// For building an index, a job; more when the server has more.
constexpr int kSortKilobytes = 256 * 1024;
/// Rows as text, and what indexes add: measured between 0.8 and 1.2 times the plain SQL.
constexpr std::uint64_t kSpaceFor = 6, kSpaceOf = 5;

/// "202611220304", of this machine's clock as its users read it.
std::string minute_text() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm local{};
  ::localtime_r(&now, &local);
  return fmt::format("{:%Y%m%d%H%M}", local);
}

bool local_server(const postgres::ConnectionSettings& settings) { return settings.host.empty() || settings.host.starts_with('/'); }

class Restore {
 public:
  Restore(const Programs& programs, const postgres::ConnectionSettings& settings, const std::filesystem::path& archive, const RestoreOptions& options,
          Progress& progress)
      : programs_(programs), settings_(settings), archive_(archive), options_(options), progress_(progress),
        beside_(beside_name(options.database)) {}

  Result<Beside> run_beside() {
    office_ = true;
    if (auto ready = prepare(); !ready) return pass(ready, phrase("restore {}", options_.database));
    auto done = fill();
    if (done) done = mark(kWaitingMark);
    auto swap = done ? swap_plan() : Result<Swap>(pass(done));
    if (!swap) {
      remove_beside();
      return pass(swap, phrase("restore {}", options_.database));
    }
    return Beside{std::move(*swap), std::move(result_.warnings)};
  }

  Result<RestoreResult> run() {
    if (auto ready = prepare(); !ready) return pass(ready, phrase("restore {}", options_.database));
    if (options_.check_only) return std::move(result_);
    Status done = options_.drop_first ? drop_old() : Status{};
    if (done) done = fill();
    if (done) done = exchange();
    if (!done) remove_beside();
    if (told_ && options_.after_swap) {
      if (auto after = options_.after_swap(); !after) result_.warnings.push_back(after.error().message);
    }
    if (!done) return pass(done, phrase("restore {}", options_.database));
    finish_old();
    return std::move(result_);
  }

 private:
  Status prepare() {
    if (options_.database.empty() || options_.database == settings_.database) {
      return fail(ErrorCode::kUsage, phrase("it is the system database that the restore needs a connection to"), phrase("name another system database"));
    }
    auto opened = Connection::open(settings_);
    if (!opened) return pass(opened);
    system_.emplace(std::move(*opened));
    if (auto alone = take_lock(); !alone) return alone;
    if (auto fits = check_versions(); !fits) return fits;
    if (auto read = read_before(); !read) return read;
    auto needs = archive_needs(programs_, archive_);
    if (!needs) return pass(needs);
    needs_ = std::move(*needs);
    auto exists = database_exists(*system_, options_.database);
    if (!exists) return pass(exists);
    old_exists_ = *exists;
    if (auto there = check_roles(); !there) return there;
    if (auto free = check_slots(); !free) return free;
    if (auto room = check_space(); !room) return room;
    return options_.check_only ? Status{} : clear_left_over();
  }

  /// Before anything is touched where something will be lost; else beside the restore, which harms nothing: what can't be read whole
  /// is never put in the old one's place.
  Status read_before() {
    if (!options_.drop_first && !options_.check_only) return {};
    auto bytes = read_whole_archive(programs_, archive_, progress_);
    if (!bytes) return pass(bytes);
    space_ = *bytes * kSpaceFor / kSpaceOf;
    return {};
  }

  /// For as long as the connection lives.
  Status take_lock() {
    auto locked = system_->query("SELECT pg_try_advisory_lock(1986359923, hashtext($1))", {options_.database});
    if (!locked) return pass(locked);
    if (locked->text(0, 0) == "t") return {};
    return fail(ErrorCode::kInUse, phrase("another restore of it runs"));
  }

  Status check_versions() {
    auto facts = archive_facts(programs_, archive_);
    if (!facts) return pass(facts);
    const int server = system_->server_version() / 10000;
    if (facts->server_version / 10000 <= server) return {};
    return fail(ErrorCode::kUnsupported, phrase("the archive is of a server of version {}, this one is of version {}", facts->server_version / 10000, server),
                phrase("restore it on PostgreSQL {} or newer", facts->server_version / 10000));
  }

  Result<std::string> missing(const char* sql, std::vector<std::string> names) {
    auto rows = system_->query(sql, {postgres::array_literal(names)});
    if (!rows) return pass(rows);
    std::string text;
    for (int row = 0; row < rows->size(); ++row) text += (text.empty() ? "" : ", ") + std::string(rows->text(row, 0));
    return text;
  }

  Status check_roles() {
    std::vector<std::string> wanted = needs_.roles;
    if (!options_.owner.empty()) wanted.push_back(options_.owner);
    auto roles = missing("SELECT r FROM unnest($1::text[]) r WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) ORDER BY 1", std::move(wanted));
    if (!roles) return pass(roles);
    if (!roles->empty()) {
      return fail(ErrorCode::kNotFound, phrase("these roles are missing on the server: {}", *roles),
                  phrase("create them first (CREATE ROLE …), or restore the globals of the backup set"));
    }
    auto tablespaces = missing("SELECT t FROM unnest($1::text[]) t WHERE NOT EXISTS (SELECT FROM pg_tablespace WHERE spcname = t) ORDER BY 1", needs_.tablespaces);
    if (!tablespaces) return pass(tablespaces);
    if (tablespaces->empty()) return {};
    return fail(ErrorCode::kNotFound, phrase("these tablespaces are missing on the server: {}", *tablespaces), phrase("create them first (CREATE TABLESPACE …)"));
  }

  Status check_slots() {
    auto slots = slots_of(*system_, options_.database, options_.own_slot);
    if (!slots) return pass(slots);
    own_slots_ = std::move(slots->own);
    if (slots->foreign.empty()) return {};
    const auto names = fmt::format("{}", fmt::join(slots->foreign, ", "));
    if (options_.drop_first || !options_.keep_old) {
      return fail(ErrorCode::kInUse, phrase("replication slots of somebody else keep the old database: {}", names), phrase("drop them first, or keep the old database"));
    }
    result_.warnings.push_back(phrase("replication slots of somebody else stay with the old database: {}", names).english());
    return {};
  }

  /// Where the server's disk can be looked at from here, and when it is known how much it will be.
  Status check_space() {
    if (space_ == 0 || !local_server(settings_)) return {};
    auto directory = system_->query("SELECT current_setting('data_directory', true), coalesce((SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1), 0)",
                                    {options_.database});
    if (!directory) return {};  // a role without the right to know
    const auto free = os::free_bytes(std::string(directory->text(0, 0)));
    const auto old = parse_u64(directory->text(0, 1));
    if (!free || !old) return {};
    const std::uint64_t room = *free + (options_.drop_first ? *old : 0) + written_;
    if (room >= space_) return {};
    constexpr std::uint64_t kMega = 1'000'000;
    return fail(ErrorCode::kDiskFull, phrase("about {} MB are needed beside the old database, {} MB are free on the server's disk", space_ / kMega, room / kMega),
                phrase("make room, or drop the old database first (--drop-first)"));
  }

  Status clear_left_over() {
    auto rows = system_->query("SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1", {beside_});
    if (!rows) return pass(rows);
    if (rows->size() == 0) return {};
    const auto comment = rows->text(0, 0);
    if (comment == kMark || (office_ && comment == kWaitingMark)) return drop_database(*system_, beside_);
    // Killed between CREATE DATABASE and the mark: there is nothing in it that could be somebody's.
    auto empty = comment.empty() ? empty_database(settings_, beside_) : Result<bool>(false);
    if (!empty) return pass(empty);
    if (*empty) return drop_database(*system_, beside_);
    if (comment == kWaitingMark) {
      return fail(ErrorCode::kInUse, phrase("a restore of the office was interrupted: it has left {}", beside_), phrase("verbund backup recover"));
    }
    return fail(ErrorCode::kAlreadyExists, phrase("there is a database {}, and nothing says that a restore has left it", beside_), phrase("rename or drop it first"));
  }

  Status tell_before() {
    if (told_) return {};
    auto told = options_.before_swap ? options_.before_swap() : Status{};
    told_ = told.has_value();
    return told;
  }

  Status drop_old() {
    if (auto told = tell_before(); !told) return told;
    if (!old_exists_) return {};
    // Nobody comes back while it goes.
    auto closed = system_->execute(fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS false", Connection::quote_identifier(options_.database)));
    if (!closed) return closed;
    for (const std::string& slot : own_slots_) {
      auto dropped = system_->query("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL", {slot});
      if (dropped) dropped = system_->query("SELECT pg_drop_replication_slot($1)", {slot});
      if (!dropped) return pass(dropped, phrase("drop replication slot {}", slot));
    }
    own_slots_.clear();
    if (auto dropped = drop_database(*system_, options_.database); !dropped) return dropped;
    old_exists_ = false;
    return {};
  }

  Status fill() {
    auto created = system_->execute(fmt::format(fmt::runtime(needs_.create), Connection::quote_identifier(beside_)));
    if (!created) return pass(created, phrase("create database {}", beside_));
    made_beside_ = true;
    if (auto marked = mark(kMark); !marked) return marked;
    if (auto restored = run_pg_restore_while_reading(); !restored) return restored;
    if (options_.expected.empty()) return {};
    auto settings = settings_;
    settings.database = beside_;
    auto connection = Connection::open(settings);
    if (!connection) return pass(connection);
    auto found = hash_tables(*connection, options_.expected);
    if (!found) return pass(found);
    return compare_hashes(options_.expected, *found);
  }

  Status mark(const char* text) {
    return system_->execute(fmt::format("COMMENT ON DATABASE {} IS {}", Connection::quote_identifier(beside_), Connection::quote_literal(text)));
  }

  /// The archive's own reading, when it has ended while it is restored. False: the restore is in vain.
  bool reading_is_well(const ArchiveReading& reading) {
    const auto* bytes = reading.outcome();
    if (!bytes || space_ > 0) return true;
    if (!*bytes) return false;
    space_ = **bytes * kSpaceFor / kSpaceOf;
    room_ = check_space();
    return room_.has_value();
  }

  Status run_pg_restore_while_reading() {
    if (options_.drop_first) return run_pg_restore([] { return true; });
    ArchiveReading reading(programs_, archive_, progress_);
    auto done = run_pg_restore([&] { return reading_is_well(reading); });
    // A damaged archive fails the restore, too, in other words: its own reading says what it is.
    const auto& bytes = reading.wait();
    if (!bytes) return std::unexpected(bytes.error());
    return room_ ? done : room_;
  }

  /// Sorting in memory, no wait for each commit: the exchange waits for all of it.
  Result<std::string> faster_options() {
    auto memory = system_->query("SELECT greatest(setting::bigint, $1::bigint) FROM pg_settings WHERE name = 'maintenance_work_mem'", {std::to_string(kSortKilobytes)});
    if (!memory) return pass(memory);
    return fmt::format("-c synchronous_commit=off -c maintenance_work_mem={}", memory->text(0, 0));
  }

  Status run_pg_restore(const std::function<bool()>& well) {
    auto settings = settings_;
    settings.database = beside_;
    auto access = access_of(settings);
    if (!access) return pass(access);
    std::vector<std::string> arguments{"--exit-on-error", fmt::format("--jobs={}", std::max(1, options_.jobs))};
    auto command = program_command(programs_.pg_restore, std::move(arguments), &*access);
    command.argv.push_back(archive_.is_relative() ? "./" + archive_.string() : archive_.string());
    auto faster = faster_options();
    if (!faster) return pass(faster);
    command.environment["PGOPTIONS"] = *faster;
    auto asked = clock().now();
    os::PipedOptions options{.cancelled = [&] {
      if (clock().now() >= asked + kSizeEvery) {
        asked = clock().now();
        tell_size();
      }
      return !well() || progress_.cancelled();
    }};
    auto child = os::PipedChild::start(command, std::move(options), clock());
    if (!child) return pass(child);
    const auto outcome = child->wait();
    if (!outcome) return std::unexpected(outcome.error());
    if (outcome->exit_code != 0) return judge(programs_.pg_restore, *outcome);
    for (auto& line : complaints(outcome->errors)) result_.warnings.push_back(std::move(line));
    return {};
  }

  void tell_size() {
    auto size = system_->query("SELECT pg_database_size($1)", {beside_});
    const auto bytes = size ? parse_u64(size->text(0, 0)) : Result<std::uint64_t>(pass(size));
    if (bytes) written_ = *bytes;
    if (bytes) progress_.moved(options_.database, *bytes, space_ > 0 ? std::max(space_, *bytes) : 0);
  }

  Result<std::string> free_old_name() {
    const std::string base = "_before_" + minute_text();
    for (int number = 1;; ++number) {
      const auto name = name_with(options_.database, number == 1 ? base : fmt::format("{}_{}", base, number));
      auto exists = database_exists(*system_, name);
      if (!exists) return pass(exists);
      if (!*exists) return name;
    }
  }

  Result<Swap> swap_plan() {
    Swap swap{.database = options_.database, .beside = beside_, .old_name = {}, .properties = needs_.properties, .owner = options_.owner, .own_slot = options_.own_slot};
    if (!old_exists_) return swap;
    auto name = free_old_name();
    if (!name) return pass(name);
    swap.old_name = std::move(*name);
    return swap;
  }

  Status exchange() {
    if (auto told = tell_before(); !told) return told;
    auto swap = swap_plan();
    if (!swap) return pass(swap);
    if (auto swapped = swap_databases(*system_, settings_, {&*swap, 1}); !swapped) return swapped;
    result_.old_database = swap->old_name;
    return {};
  }

  void finish_old() {
    if (options_.keep_old || result_.old_database.empty()) return;
    if (auto dropped = drop_database(*system_, result_.old_database); dropped) {
      result_.old_database.clear();
    } else {
      result_.warnings.push_back(dropped.error().message);
    }
  }

  void remove_beside() {
    if (!made_beside_) return;
    auto connection = Connection::open(settings_);  // the other one may be broken, which may be why
    // What is left is marked: the next restore removes it.
    if (connection) (void)drop_database(*connection, beside_);
  }

  const Programs& programs_;
  const postgres::ConnectionSettings& settings_;
  const std::filesystem::path& archive_;
  const RestoreOptions& options_;
  Progress& progress_;
  const std::string beside_;
  std::optional<Connection> system_;
  ScriptNeeds needs_;
  std::vector<std::string> own_slots_;
  std::uint64_t space_ = 0;    ///< what it will take; 0: not known yet
  std::uint64_t written_ = 0;  ///< of that, when last asked
  Status room_;                ///< enough for space_
  bool old_exists_ = false, made_beside_ = false, told_ = false;
  bool office_ = false;  ///< others are exchanged together with it
  RestoreResult result_;
};

}  // namespace

Result<RestoreResult> restore_database(const Programs& programs, const postgres::ConnectionSettings& superuser, const std::filesystem::path& archive,
                                       const RestoreOptions& options, Progress& progress) {
  return Restore(programs, superuser, archive, options, progress).run();
}

Result<Beside> restore_beside(const Programs& programs, const postgres::ConnectionSettings& superuser, const std::filesystem::path& archive,
                              const RestoreOptions& options, Progress& progress) {
  return Restore(programs, superuser, archive, options, progress).run_beside();
}

Status restore_into(const Programs& programs, const postgres::ConnectionSettings& superuser, const DatabaseEntry& like, const std::string& name, Source& archive,
                    bool without_owners, Progress& progress) {
  auto system = Connection::open(superuser);
  if (!system) return pass(system);
  auto exists = database_exists(*system, name);
  if (!exists) return pass(exists);
  if (*exists) return fail(ErrorCode::kAlreadyExists, phrase("create database {}: it exists already", name));
  auto created = system->execute(fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE {}", Connection::quote_identifier(name),
                                             Connection::quote_literal(like.encoding), Connection::quote_literal(like.locale)));
  if (!created) return pass(created, phrase("create database {}", name));
  auto settings = superuser;
  settings.database = name;
  auto access = access_of(settings);
  if (!access) return pass(access);
  std::vector<std::string> arguments{"--exit-on-error", "--format=custom"};
  if (without_owners) arguments.insert(arguments.end(), {"--no-owner", "--no-privileges"});
  auto options = piped(progress);
  options.input = true;
  auto child = os::PipedChild::start(program_command(programs.pg_restore, std::move(arguments), &*access), std::move(options), clock());
  if (!child) return pass(child);
  if (auto fed = feed(*child, archive, name, progress); !fed) return fed;
  const auto outcome = child->wait();
  if (!outcome) return std::unexpected(outcome.error());
  return judge(programs.pg_restore, *outcome);
}

}  // namespace verbund::backup
