// A machine whose data are of an older term becomes a mirror again.
#include "base/messages.h"
#include "node/mirror/kept_data.h"
#include "node/mirror/lost.h"
#include "node/mirror/pair_server.h"
#include "node/provision.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
using postgres::OwnedServer;

constexpr seconds kSourceCheckpoint{300};  ///< of the new production, before a rewind
constexpr std::string_view kRewind = "rewind", kCopy = "copy";

/// What an attempt has begun, on disk before it begins: "rewind" or "copy"; gone when it is whole.
fs::path begun_file(const Installation& installation, const mirror::PairRecord& record) {
  return installation.directory() / "mirror" / fmt::format("rejoining-{}", record.term.value);
}

Result<std::string> begun(const Installation& installation, const mirror::PairRecord& record) {
  auto text = os::read_file(begun_file(installation, record), 64);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::string();
  return text;
}

Status begin(const Installation& installation, const mirror::PairRecord& record, std::string_view what) {
  return os::write_file_atomically(begun_file(installation, record), std::string(what), 0600);
}

/// Of the data here, whatever is tried again; not of the way to the other machine.
bool needs_copy(const Error& error) {
  return error.code == ErrorCode::kDamaged || error.code == ErrorCode::kProgramFailed || error.code == ErrorCode::kTooLarge ||
         error.code == ErrorCode::kIncomplete || error.code == ErrorCode::kNotFound;
}

}  // namespace

Status PairServer::rejoin(const mirror::PairRecord& record, const Peer& peer) {
  auto settings = mirror_server_settings(installation_, record.member, peer);
  if (!settings) return pass(settings);
  auto done = rewind(record, *settings);
  if (!done && !ending_ && needs_copy(done.error())) {
    log_.warning("pair.not_rewound", {{"error", done.error().message}});
    done = recopy(record);
  }
  ++life_;
  if (ending_) return fail(ErrorCode::kCancelled, phrase("rejoin: this node is ending"));
  if (!done) return done;
  std::error_code error;
  fs::remove(begun_file(installation_, record), error);
  return error ? Status(fail(ErrorCode::kIo, phrase("remove {}: {}", begun_file(installation_, record).string(), error.message()))) : Status{};
}

/// Errors: where needs_copy says so it can't be done with these data.
Status PairServer::rewind(const mirror::PairRecord& record, const postgres::OwnedServerSettings& settings) {
  const auto& source = settings.follows->server;
  return agent_.with_server([&](OwnedServer& server) -> Status {
    if (auto used = server.use(settings); !used) return used;
    const auto earlier = begun(installation_, record);
    if (!earlier) return std::unexpected(earlier.error());
    if (!server.initialised()) return fail(ErrorCode::kIncomplete, phrase("rewind: an earlier copy was broken off"));
    if (server.mirror_data()) {
      return earlier->empty() ? Status(fail(ErrorCode::kDamaged, phrase("rewind: these data are a mirror's already, and can't follow"))) : Status{};
    }
    // What a pg_rewind that was broken off leaves can't be recovered (its documentation, "Warnings").
    if (!earlier->empty()) return fail(ErrorCode::kIncomplete, phrase("rewind: an earlier one was broken off"));
    if (auto listed = list(record, server, source); !listed) return listed;
    // pg_rewind takes over what the log says has changed, and believes all other pages.
    if (auto whole = server.check_pages([this] { return !ending_; }); !whole) return whole;
    // Until the first checkpoint after its promotion pg_control of that server names the timeline of before, and pg_rewind would find nothing to do.
    if (auto settled = checkpoint_at(source, kSourceCheckpoint); !settled) return settled;
    if (auto noted = begin(installation_, record, kRewind); !noted) return noted;
    return server.rewind([this] { return !ending_; });
  });
}

/// What can't be listed is not given up: copied anew, the old data stay to be looked at.
Status PairServer::list(const mirror::PairRecord& record, const OwnedServer& server, const postgres::ConnectionSettings& source) {
  auto listed = list_lost(installation_.directory(), server, source, record, clock_.wall());
  if (listed) return {};
  log_.error("pair.lost_not_listed", {{"error", listed.error().message}});
  if (!needs_copy(listed.error())) return listed;
  auto noted = note_unlisted(installation_.directory(), record, listed.error(), clock_.wall());
  return noted ? listed : noted;
}

Status PairServer::recopy(const mirror::PairRecord& record) {
  const auto data = installation_.directory() / "postgres" / "data";
  return agent_.with_server([&](OwnedServer& server) -> Status {
    if (server.initialised()) {
      // What can't be rewound is not looked at again. A mirror's data with that note would count as copied.
      if (!server.mirror_data()) {
        if (auto noted = begin(installation_, record, kCopy); !noted) return noted;
      }
      if (auto room = server.room_to_copy(); !room) return room;
      const auto kept = kept_beside(data, record.term);
      std::error_code error;
      fs::rename(data, kept, error);
      if (error) return fail(ErrorCode::kIo, phrase("rename {} to {}: {}", data.string(), kept.string(), error.message()));
    }
    if (auto noted = begin(installation_, record, kCopy); !noted) return noted;
    return server.copy_from([this](OwnedServer::CopyStep, std::uint64_t, std::uint64_t) { return !ending_; });
  });
}

}  // namespace verbund::node
