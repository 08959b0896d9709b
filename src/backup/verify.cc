#include "backup/verify.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "backup/folders.h"
#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/os/random.h"
#include "platform/postgres/owned_server.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr seconds kStart{120}, kStop{60};
/// Tables with their indexes, and the log of writing them.
constexpr std::uint64_t kRoomFactor = 3;
constexpr std::uint64_t kRoomBesides = 256 << 20;

bool interrupted(const VerifyOptions& options) { return options.interrupted != nullptr && options.interrupted->load(); }

Status gave_up() { return fail(ErrorCode::kCancelled, phrase("verify: interrupted")); }

bool sealed(const Manifest& manifest) {
  return std::ranges::any_of(manifest.members, &Member::sealed);
}

/// What the set's own hashes can't say: whether pg_restore and tar read what was written.
Status look_at(const SetReader& set, const Programs& programs, const VerifyOptions& options, const Member& member, Source& plain, Progress& progress) {
  if (interrupted(options)) return gave_up();
  if (member.content == Content::kDatabase) return check_archive(programs, plain, progress);
  if (member.content != Content::kFolder) return {};
  const auto index_name = index_of(member.name);
  std::unique_ptr<Source> index;
  if (set.manifest().member(index_name) != nullptr) {
    auto opened = set.read(index_name, SetReader::Form::kPlain, options.key);
    if (!opened) return pass(opened);
    index = std::move(*opened);
  }
  auto checked = check_folder(plain, index.get(), member.name, progress);
  return checked ? Status{} : pass(checked);
}

/// A server that lives for one verification.
class ScratchServer {
 public:
  ScratchServer(fs::path directory, const Clock& clock, Log& log)
      : directory_(std::move(directory)), clock_(clock), server_(settings(directory_), log, clock) {}
  ~ScratchServer() {
    if (auto stopped = server_.stop(postgres::StopMode::kImmediate, Deadline::in(clock_, kStop)); !stopped) return;
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
  Status start() {
    // What a killed verification has left there.
    if (auto cleared = server_.clear_up(Deadline::in(clock_, kStop)); !cleared) return cleared;
    std::error_code error;
    fs::remove_all(directory_, error);
    if (auto made = os::make_directories(directory_, 0755); !made) return made;
    if (auto made = server_.initialise(); !made) return made;
    return server_.start(Deadline::in(clock_, kStart));
  }
  postgres::ConnectionSettings connection(std::string database) const { return server_.connection(std::move(database)); }

 private:
  static postgres::OwnedServerSettings settings(const fs::path& directory) {
    postgres::OwnedServerSettings settings;
    settings.directory = directory / "server";
    settings.superuser = "verbund_scratch";
    settings.superuser_password = os::random_hex(16);
    // Thrown away in a minute: nothing has to survive a crash.
    settings.settings = {{"fsync", "off"}, {"full_page_writes", "off"}, {"synchronous_commit", "off"}, {"wal_level", "minimal"},
                         {"max_wal_senders", "0"}, {"autovacuum", "off"}, {"max_connections", "20"}};
    settings.sync_initdb = false;
    return settings;
  }
  fs::path directory_;
  const Clock& clock_;
  postgres::OwnedServer server_;
};

Status check_room(const SetReader& set, const fs::path& scratch) {
  std::uint64_t plain = 0;
  for (const auto& database : set.manifest().databases) {
    if (const Member* member = set.manifest().member(database.member)) plain = std::max(plain, member->plain_bytes);
  }
  const auto needed = kRoomFactor * plain + kRoomBesides;
  auto free = os::free_bytes(scratch.parent_path());
  if (!free) return pass(free);
  if (*free >= needed) return {};
  return fail(ErrorCode::kDiskFull, phrase("restore into a scratch server: {} MB are free below {}, {} MB are needed", *free / 1'000'000,
                                           scratch.parent_path().string(), needed / 1'000'000));
}

Status prove_database(const SetReader& set, const Programs& programs, const DatabaseEntry& database, const ScratchServer& server,
                      const VerifyOptions& options, Progress& progress) {
  auto source = set.read(database.member, SetReader::Form::kPlain, options.key);
  if (!source) return pass(source);
  // One after the other, each gone before the next: only the largest needs its room.
  constexpr const char* kName = "proof";
  if (auto restored = restore_into(programs, server.connection("postgres"), database, kName, **source, true, progress); !restored) return restored;
  {
    auto connection = postgres::Connection::open(server.connection(kName));
    if (!connection) return pass(connection);
    auto found = hash_tables(*connection, database.tables);
    if (!found) return pass(found);
    if (auto same = compare_hashes(database.tables, *found); !same) return same;
  }
  auto system = postgres::Connection::open(server.connection("postgres"));
  if (!system) return pass(system);
  return system->execute("DROP DATABASE proof WITH (FORCE)");
}

}  // namespace

std::string index_of(const std::string& archive) { return archive.substr(0, archive.rfind(".tar")) + ".index"; }

Status extract(const SetReader& set, const std::string& member, const fs::path& file, const RecipientKey* key,
               const std::atomic<bool>* interrupted_flag, Progress& progress) {
  auto source = set.read(member, SetReader::Form::kPlain, key);
  if (!source) return pass(source);
  const auto* described = set.manifest().member(member);
  const std::uint64_t total = described ? described->plain_bytes : 0;
  const int out = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) return fail(ErrorCode::kIo, phrase("write {}: {}", file.string(), std::strerror(errno)));
  std::vector<char> buffer(1 << 20);
  Status outcome;
  for (std::uint64_t done = 0;;) {
    if (interrupted_flag != nullptr && interrupted_flag->load()) outcome = gave_up();
    auto got = outcome ? (*source)->read(buffer) : Result<std::size_t>(std::unexpected(outcome.error()));
    if (!got) outcome = pass(got);
    if (!got || *got == 0) break;
    for (std::size_t at = 0; at < *got && outcome;) {
      const auto written = ::write(out, buffer.data() + at, *got - at);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        outcome = fail(errno == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIo, phrase("write {}: {}", file.string(), std::strerror(errno)));
        break;
      }
      at += static_cast<std::size_t>(written);
    }
    if (!outcome) break;
    done += *got;
    progress.moved(member, done, total);
  }
  if (::close(out) != 0 && outcome) outcome = fail(ErrorCode::kIo, phrase("write {}: {}", file.string(), std::strerror(errno)));
  return outcome;
}

Status restore_into_scratch(const SetReader& set, const Programs& programs, const VerifyOptions& options, Progress& progress,
                            const Clock& clock, Log& log) {
  if (auto made = os::make_directories(options.scratch.parent_path(), 0755); !made) return made;
  if (auto room = check_room(set, options.scratch); !room) return room;
  ScratchServer server(options.scratch, clock, log);
  if (auto started = server.start(); !started) return pass(started, "scratch server");
  for (const auto& database : set.manifest().databases) {
    if (interrupted(options)) return gave_up();
    if (auto proven = prove_database(set, programs, database, server, options, progress); !proven) {
      return pass(proven, phrase("restore database {} into a scratch server", database.name));
    }
  }
  return {};
}

Result<VerifyOutcome> verify_set(const SetReader& set, const Programs& programs, const VerifyOptions& options, Progress& progress,
                                 const Clock& clock, Log& log) {
  VerifyOutcome outcome;
  const bool from_medium = options.level >= Level::kFromMedium;
  if (auto checked = set.check_hashes(progress, from_medium ? SetReader::Cache::kDrop : SetReader::Cache::kUse); !checked) return pass(checked);
  outcome.reached = Level::kHashes;
  if (options.level == Level::kHashes) return outcome;
  if (interrupted(options)) return std::unexpected(gave_up().error());
  if (sealed(set.manifest()) && options.key == nullptr) {
    outcome.reached = from_medium ? Level::kFromMedium : Level::kHashes;
    outcome.not_higher = phrase("the set is encrypted; who has a key proves the rest: verbund backup verify --key FILE");
    return outcome;
  }
  const auto look = [&](const Member& member, Source& plain) { return look_at(set, programs, options, member, plain, progress); };
  if (auto checked = set.check_structure(progress, look, options.key); !checked) return pass(checked);
  outcome.reached = from_medium ? Level::kFromMedium : Level::kReadable;
  if (options.level < Level::kRestored) return outcome;
  auto restored = restore_into_scratch(set, programs, options, progress, clock, log);
  if (restored) {
    outcome.reached = Level::kRestored;
    return outcome;
  }
  // Room says nothing about the set; everything else somebody has to look at.
  if (restored.error().code != ErrorCode::kDiskFull) return pass(restored);
  outcome.not_higher = phrase_of(restored.error());
  return outcome;
}

}  // namespace verbund::backup
