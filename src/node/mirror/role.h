#pragma once
/// What an installation is in its pair. Reads files; any thread.
#include <filesystem>

#include "mirror/pair.h"
#include "base/result.h"
#include "base/time.h"

namespace verbund::node {

enum class PairRole {
  kProduction,  ///< or in no pair at all
  kMirror,
  kJoining,     ///< `mirror join` has not come to its end
};
/// Its data are a mirror's, or are about to be.
bool mirror_stage(mirror::Stage stage);
/// By the pair's record (mirror/pair_journal.h). Errors: kBadJournal, kIo.
Result<PairRole> pair_role(const std::filesystem::path& directory);
/// The record when there is one; a mirror's production and term.
Result<std::optional<mirror::PairRecord>> pair_record(const std::filesystem::path& directory);
/// `record` on disk. Errors: kBadJournal, kIo, kDiskFull.
Status write_pair_record(const std::filesystem::path& directory, const mirror::PairRecord& record, std::string_view why);
/// The other machine of the pair, as last heard (mirror/peer.json).
struct Peer {
  std::string name;
  std::string host;                 ///< as this machine reaches it
  std::uint16_t port = 0;           ///< of its node; 0: not heard yet
  std::uint16_t database_port = 0;  ///< of its PostgreSQL; 0: not heard yet
  mirror::Member member = 0;
  std::string also = {};            ///< another address, which it has spoken from or was reached at before; empty: none
  friend bool operator==(const Peer&, const Peer&) = default;
};
/// Nothing: this machine has none. Errors: kDamaged, kIo.
Result<std::optional<Peer>> read_peer(const std::filesystem::path& directory);
Status write_peer(const std::filesystem::path& directory, const Peer& peer);
/// "HOST:PORT", for people and clients.
std::string address_of(const Peer& peer);
/// secrets/pair: what the two machines show each other, and the mirrors' roles in PostgreSQL.
inline constexpr const char* kPairSecret = "pair";

/// secrets/mail: the password for the mail server, where it lies by default ([mail] password_file).
inline constexpr const char* kMailSecret = "mail";

/// What production has answered a machine that joins; there until the join is whole (0600).
std::filesystem::path admission_file(const std::filesystem::path& directory);

/// Errors: kIncomplete (`mirror join` has not come to its end).
Status refuse_half_joined(const std::filesystem::path& directory);

}  // namespace verbund::node
