#include "node/mirror/role.h"

#include "base/messages.h"
#include "mirror/pair_journal.h"
#include "node/mirror/report.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

const Clock& clock() {
  static const os::SystemClock system;
  return system;
}

fs::path journal_file(const fs::path& directory) { return directory / "agent" / "pair"; }

}  // namespace

fs::path admission_file(const fs::path& directory) { return directory / "mirror" / "admission.json"; }

bool mirror_stage(mirror::Stage stage) {
  return stage == mirror::Stage::kFollowing || stage == mirror::Stage::kPromoting || stage == mirror::Stage::kRejoining;
}

Result<std::optional<mirror::PairRecord>> pair_record(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::exists(journal_file(directory), ignored)) return std::optional<mirror::PairRecord>();
  auto journal = mirror::PairJournal::open(journal_file(directory), clock());
  if (!journal) return pass(journal);
  if (!journal->last()) return std::optional<mirror::PairRecord>();
  return std::optional(journal->last()->record);
}

Status write_pair_record(const fs::path& directory, const mirror::PairRecord& record, std::string_view why) {
  auto journal = mirror::PairJournal::open(journal_file(directory), clock());
  if (!journal) return pass(journal);
  return journal->append(record, why);
}

Result<PairRole> pair_role(const fs::path& directory) {
  std::error_code ignored;
  if (fs::exists(admission_file(directory), ignored)) return PairRole::kJoining;
  auto record = pair_record(directory);
  if (!record) return pass(record);
  return *record && mirror_stage((*record)->stage) ? PairRole::kMirror : PairRole::kProduction;
}

Result<std::optional<Peer>> read_peer(const fs::path& directory) {
  const auto path = directory / "mirror" / "peer.json";
  auto text = os::read_file(path, 64 * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<Peer>();
  if (!text) return pass(text);
  const auto bad = [&] { return fail(ErrorCode::kDamaged, phrase("read {}: it is not as it was written", path.string())); };
  const auto object = object_of(*text);
  if (!object) return bad();
  const auto name = text_of(*object, "name");
  const auto host = text_of(*object, "host");
  const auto port = number_of(*object, "port");
  const auto database_port = number_of(*object, "database_port");
  const auto member = number_of(*object, "member");
  if (!name || !host || !port || !database_port || !member || *port > 65535 || *database_port > 65535) return bad();
  return std::optional(Peer{*name, *host, static_cast<std::uint16_t>(*port), static_cast<std::uint16_t>(*database_port), *member, text_of(*object, "also").value_or("")});
}

Status write_peer(const fs::path& directory, const Peer& peer) {
  const boost::json::object object{{"name", peer.name}, {"host", peer.host}, {"also", peer.also}, {"port", std::to_string(peer.port)},
                                   {"database_port", std::to_string(peer.database_port)}, {"member", std::to_string(peer.member)}};
  if (auto made = os::make_directories(directory / "mirror", 0700); !made) return made;
  return os::write_file_atomically(directory / "mirror" / "peer.json", boost::json::serialize(object) + "\n", 0600);
}

std::string address_of(const Peer& peer) {
  return fmt::format(fmt::runtime(peer.host.find(':') == std::string::npos ? "{}:{}" : "[{}]:{}"), peer.host, peer.port);
}

Status refuse_half_joined(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::exists(admission_file(directory), ignored)) return {};
  return fail(ErrorCode::kIncomplete, phrase("start a node on {}: it was joining as a mirror, which was interrupted", directory.string()),
              phrase("Repeat `verbund mirror join` with the same directory: it goes on from there."));
}

}  // namespace verbund::node
