#pragma once
/// What is known of a registered workstation and survives a restart of the node. Values; any thread.
#include <string>

#include "base/ids.h"
#include "base/messages.h"
#include "base/time.h"
#include "protocol/messages.h"

namespace verbund::cluster {

/// Who has been let in.
struct Identity {
  std::string user;
  std::string role;
  bool may_break_locks = false;
};

/// A session as it survives a restart of the node.
struct StoredSession {
  SessionId id;
  std::string secret_hash;  ///< BLAKE2b of the secret, hex
  Identity identity;
  std::string workstation, app, address;
  protocol::SessionKind kind = protocol::SessionKind::kWorkstation;
  Language language = Language::kEnglish;
  protocol::Watch watch;
  WallTime since;
};

}  // namespace verbund::cluster
