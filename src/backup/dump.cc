#include <set>

#include "backup/archive_rows.h"
#include "backup/database.h"
#include "backup/program.h"
#include "backup/table_hashes.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

using postgres::Connection;

/// Who keeps a table locked for longer holds up the whole backup, and is told.
constexpr int kLockPatienceMs = 300'000;
constexpr std::size_t kBlock = 1024 * 1024;

constexpr const char* kEntry = R"sql(
SELECT d.datname, r.rolname, pg_encoding_to_char(d.encoding), d.datcollate,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, pg_is_in_recovery()
  FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = current_database()
)sql";

class Dump {
 public:
  Dump(const Programs& programs, const postgres::ConnectionSettings& settings, const DumpOptions& options, Progress& progress)
      : programs_(programs), settings_(settings), options_(options), progress_(progress) {}

  Result<DatabaseEntry> run(Sink& sink) {
    auto opened = Connection::open(settings_);
    if (!opened) return pass(opened);
    connection_.emplace(std::move(*opened));
    if (auto fits = check_version(); !fits) return pass(fits);
    auto transaction = connection_->begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!transaction) return pass(transaction);
    auto snapshot = take_snapshot();
    if (!snapshot) return pass(snapshot);
    if (auto entered = fill_entry(); !entered) return pass(entered);
    if (options_.hash_tables) {
      if (auto known = look_at_tables(); !known) return pass(known);
    }
    if (auto dumped = run_pg_dump(*snapshot, sink); !dumped) return pass(dumped, phrase("dump {}", entry_.name));
    if (options_.hash_tables) {
      if (auto hashed = fill_hashes(); !hashed) return pass(hashed, phrase("dump {}", entry_.name));
    }
    if (auto ended = transaction->commit(); !ended) return pass(ended);
    return std::move(entry_);
  }

 private:
  Status check_version() {
    auto version = program_version(programs_.pg_dump);
    if (!version) return pass(version);
    const int server = connection_->server_version();
    if (*version / 10000 >= server / 10000) return {};
    return fail(ErrorCode::kUnsupported, phrase("dump {}: {} is of version {}, the server of version {}", settings_.database,
                                                programs_.pg_dump.string(), *version / 10000, server / 10000),
                phrase("use the programs of PostgreSQL {} or newer: -d names their directory", server / 10000));
  }

  Result<std::string> take_snapshot() {
    if (!options_.use_snapshot.empty()) {
      auto set = connection_->execute("SET TRANSACTION SNAPSHOT " + Connection::quote_literal(options_.use_snapshot));
      if (!set) return pass(set, "use the snapshot of the run");
    }
    if (auto pinned = pin_text_forms(*connection_); !pinned) return pass(pinned);
    if (auto bounded = connection_->execute(fmt::format("SET LOCAL lock_timeout = {}", kLockPatienceMs)); !bounded) return pass(bounded);
    if (!options_.use_snapshot.empty()) return options_.use_snapshot;
    auto exported = connection_->query("SELECT pg_export_snapshot()");
    if (!exported) return pass(exported, "export a snapshot");
    return std::string(exported->text(0, 0));
  }

  Status fill_entry() {
    auto rows = connection_->query(kEntry);
    if (!rows) return pass(rows, "look at the database");
    const auto text = [&](int column) { return std::string(rows->text(0, column)); };
    entry_.name = text(0);
    entry_.owner = text(1);
    entry_.encoding = text(2);
    entry_.locale = text(3);
    entry_.snapshot_lsn = text(4);
    in_recovery_ = rows->text(0, 5) == "t";
    entry_.server_version = connection_->server_version();
    return {};
  }

  Status look_at_tables() {
    auto tables = hashed_tables(*connection_);
    if (!tables) return pass(tables);
    if (auto locked = lock_tables(*connection_, *tables); !locked) {
      if (connection_->last_sqlstate() == "55P03") locked.error().code = ErrorCode::kTimedOut;
      return locked;
    }
    tables_ = std::move(*tables);
    // Rows are hashed as UTF-8; pg_dump writes them in the database's encoding.
    if (entry_.encoding == "UTF8") rows_.emplace();
    return {};
  }

  /// Of what pg_dump has written. Where that can't be read along (encoding, a version that is not known here), of a second look at the
  /// same snapshot: the same numbers.
  Status fill_hashes() {
    auto hashes = rows_ ? of_archive() : hash_all(*connection_, tables_, {}, [this] { return progress_.cancelled(); });
    if (!hashes) return pass(hashes);
    entry_.tables = std::move(*hashes);
    return {};
  }

  Result<std::vector<TableHash>> of_archive() {
    auto hashes = rows_->finish();
    if (!hashes) return pass(hashes);
    std::set<std::pair<std::string, std::string>> wanted;
    for (const auto& table : tables_) wanted.emplace(table.schema, table.table);
    // Rows of extensions' tables are a part of what the extension brings; a restore has the rest from there.
    std::erase_if(*hashes, [&](const TableHash& table) { return table.schema != "pg_catalog" && wanted.erase({table.schema, table.table}) == 0; });
    if (wanted.empty()) return hashes;
    return fail(ErrorCode::kProgramFailed, phrase("{}: it has left out {}.{}", programs_.pg_dump.filename().string(), wanted.begin()->first, wanted.begin()->second));
  }

  /// Everything the child writes goes into the sink.
  Status pump(os::PipedChild& child, Sink& sink, std::uint64_t& done) {
    std::vector<char> buffer(kBlock);
    while (true) {
      auto got = child.read(buffer);
      if (!got) return pass(got);
      if (*got == 0) return {};
      const std::string_view bytes(buffer.data(), *got);
      if (auto written = sink.write(bytes); !written) return written;
      if (auto read = rows_ ? rows_->take(bytes) : Status{}; !read) {
        if (read.error().code != ErrorCode::kUnsupported) return read;
        rows_.reset();
      }
      done += *got;
      progress_.moved(entry_.name, done, 0);
    }
  }

  Status run_pg_dump(const std::string& snapshot, Sink& sink) {
    auto access = access_of(settings_);
    if (!access) return pass(access);
    std::vector<std::string> arguments{"--format=custom", options_.compressed ? "--compress=1" : "--compress=0", "--snapshot=" + snapshot,
                                       fmt::format("--lock-wait-timeout={}", kLockPatienceMs)};
    if (in_recovery_) arguments.emplace_back("--no-unlogged-table-data");  // a standby does not have it
    auto options = piped(progress_);
    options.output = true;
    auto command = program_command(programs_.pg_dump, std::move(arguments), &*access);
    command.environment["PGOPTIONS"] = kPinnedOptions;
    auto child = os::PipedChild::start(command, std::move(options), clock());
    if (!child) return pass(child);
    std::uint64_t bytes = 0;
    if (auto pumped = pump(*child, sink, bytes); !pumped) return pumped;
    const auto outcome = child->wait();
    if (!outcome) return std::unexpected(outcome.error());
    if (auto good = judge(programs_.pg_dump, *outcome); !good) return good;
    if (bytes > 0) return {};
    return fail(ErrorCode::kProgramFailed, phrase("{}: it has written nothing", programs_.pg_dump.filename().string()));
  }

  const Programs& programs_;
  const postgres::ConnectionSettings& settings_;
  const DumpOptions& options_;
  Progress& progress_;
  std::optional<Connection> connection_;
  DatabaseEntry entry_;
  bool in_recovery_ = false;
  std::vector<HashedTable> tables_;
  std::optional<ArchiveRows> rows_;
};

}  // namespace

Result<DatabaseEntry> dump_database(const Programs& programs, const postgres::ConnectionSettings& database, const DumpOptions& options, Sink& sink,
                                    Progress& progress) {
  return Dump(programs, database, options, progress).run(sink);
}

Status dump_globals(const Programs& programs, const postgres::ConnectionSettings& superuser, Sink& sink) {
  auto access = access_of(superuser);
  if (!access) return pass(access);
  constexpr std::size_t kMostBytes = 64 * 1024 * 1024;
  auto text = output_of(program_command(programs.pg_dumpall, {"--globals-only"}, &*access), kMostBytes);
  if (!text) return pass(text, "dump roles and tablespaces");
  if (text->empty()) return fail(ErrorCode::kProgramFailed, phrase("{}: it has written nothing", programs.pg_dumpall.filename().string()));
  return sink.write(*text);
}

}  // namespace verbund::backup
