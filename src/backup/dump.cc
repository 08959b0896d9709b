#include <atomic>
#include <future>

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

/// Everything a child writes goes into the sink.
Status pump(os::PipedChild& child, Sink& sink, std::string_view what, Progress& progress, std::uint64_t& done) {
  std::vector<char> buffer(kBlock);
  while (true) {
    auto got = child.read(buffer);
    if (!got) return pass(got);
    if (*got == 0) return {};
    if (auto written = sink.write({buffer.data(), *got}); !written) return written;
    done += *got;
    progress.moved(what, done, 0);
  }
}

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
    const HashingEnd before_the_transaction{*this};
    auto snapshot = take_snapshot();
    if (!snapshot) return pass(snapshot);
    if (auto entered = fill_entry(); !entered) return pass(entered);
    if (options_.hash_tables) {
      if (auto begun = begin_hashing(); !begun) return pass(begun);
    }
    if (auto dumped = run_pg_dump(*snapshot, sink); !dumped) return pass(dumped, phrase("dump {}", entry_.name));
    if (options_.hash_tables) {
      auto hashes = hashing_.get();
      if (!hashes) return pass(hashes, phrase("dump {}", entry_.name));
      entry_.tables = std::move(*hashes);
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

  /// On a thread of its own, in the transaction whose snapshot pg_dump reads.
  Status begin_hashing() {
    auto tables = hashed_tables(*connection_);
    if (!tables) return pass(tables);
    if (auto locked = lock_tables(*connection_, *tables); !locked) {
      if (connection_->last_sqlstate() == "55P03") locked.error().code = ErrorCode::kTimedOut;
      return locked;
    }
    hashing_ = std::async(std::launch::async, [this, tables = std::move(*tables)] {
      // Two cores at most are busy with it besides pg_dump's server process: one.
      auto alone = connection_->execute("SET LOCAL max_parallel_workers_per_gather = 0");
      auto hashes = alone ? hash_all(*connection_, tables, give_up_) : Result<std::vector<TableHash>>(pass(alone));
      if (!hashes) hashing_failed_ = true;
      return hashes;
    });
    return {};
  }

  /// The thread has let go of the connection before anybody else uses it again.
  struct HashingEnd {
    Dump& dump;
    ~HashingEnd() { dump.stop_hashing(); }
  };

  void stop_hashing() {
    if (!hashing_.valid()) return;
    give_up_ = true;
    // A statement that runs is ended by somebody else: this connection is the thread's.
    if (hashing_.wait_for(seconds{0}) != std::future_status::ready) {
      if (auto other = Connection::open(settings_)) {
        (void)other->query("SELECT pg_cancel_backend($1::int)", {std::to_string(connection_->backend_pid())});  // it ends without, only later
      }
    }
    (void)hashing_.get();  // the dump has failed already, and says why
  }

  Status run_pg_dump(const std::string& snapshot, Sink& sink) {
    auto access = access_of(settings_);
    if (!access) return pass(access);
    std::vector<std::string> arguments{"--format=custom", options_.compressed ? "--compress=1" : "--compress=0", "--snapshot=" + snapshot,
                                       fmt::format("--lock-wait-timeout={}", kLockPatienceMs)};
    if (in_recovery_) arguments.emplace_back("--no-unlogged-table-data");  // a standby does not have it
    auto options = piped(progress_);
    options.output = true;
    options.cancelled = [this] { return hashing_failed_ || progress_.cancelled(); };
    auto child = os::PipedChild::start(program_command(programs_.pg_dump, std::move(arguments), &*access), std::move(options), clock());
    if (!child) return pass(child);
    std::uint64_t bytes = 0;
    auto pumped = pump(*child, sink, entry_.name, progress_, bytes);
    if (!pumped && hashing_failed_) return failure_of_hashing();
    if (!pumped) return pumped;
    const auto outcome = child->wait();
    if (!outcome && hashing_failed_) return failure_of_hashing();
    if (!outcome) return std::unexpected(outcome.error());
    if (auto good = judge(programs_.pg_dump, *outcome); !good) return good;
    if (bytes > 0) return {};
    return fail(ErrorCode::kProgramFailed, phrase("{}: it has written nothing", programs_.pg_dump.filename().string()));
  }

  Status failure_of_hashing() { return std::unexpected(hashing_.get().error()); }

  const Programs& programs_;
  const postgres::ConnectionSettings& settings_;
  const DumpOptions& options_;
  Progress& progress_;
  std::optional<Connection> connection_;
  DatabaseEntry entry_;
  bool in_recovery_ = false;
  std::atomic<bool> give_up_ = false, hashing_failed_ = false;
  std::future<Result<std::vector<TableHash>>> hashing_;
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
