#pragma once
/// What two machines of a pair say to each other (docs/protocol, POST /api/mirror/pair): the engine's whole state, and who speaks. Pure; any thread.
#include <string>
#include <string_view>

#include "base/result.h"
#include "mirror/pair.h"
#include "node/mirror/witness_place.h"

namespace verbund::node {

struct PairMessage {
  mirror::PairStatus status;
  std::string name, version;        ///< of the node that speaks
  std::uint16_t port = 0;           ///< of its node; 0: it does not listen at the moment
  std::uint16_t database_port = 0;  ///< of its PostgreSQL
  std::uint32_t timeline = 0;       ///< of its PostgreSQL
  std::optional<WitnessPlace> witness = {};  ///< that the one who speaks knows of
};

std::string to_text(const PairMessage& message);
/// Errors: kBadMessage (names the field).
Result<PairMessage> parse_pair_message(std::string_view text);

}  // namespace verbund::node
