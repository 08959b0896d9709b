#pragma once
/// Where the witness of this pair is and what it is shown, and what the pair is to do with it. Values; any thread.
#include <filesystem>
#include <optional>
#include <string>

#include <boost/json.hpp>

#include "base/result.h"
#include "mirror/pair_engine.h"
#include "mirror/witness.h"
#include "platform/net/client.h"
#include "platform/os/config_file.h"

namespace verbund::node {

/// [mirror] of verbund.toml.
struct WitnessConfig {
  seconds self_fence{30};
  bool automatic = false;
  seconds max_loss{0};
  seconds cool_down{3600};
};
/// Errors: kBadConfig.
Result<WitnessConfig> read_witness_config(os::ConfigFile& file);

/// mirror/witness.json (0600). Each machine tells the other its own; the newer one counts.
struct WitnessPlace {
  std::string host;                ///< empty: there is none (any more)
  std::uint16_t port = 0;
  std::string fingerprint;         ///< of its authority, in hex
  std::string secret;
  std::uint64_t version = 0;       ///< grows with each change
  friend bool operator==(const WitnessPlace&, const WitnessPlace&) = default;
};
boost::json::object to_json(const WitnessPlace& place);
/// Errors: kBadMessage.
Result<WitnessPlace> witness_place_from(const boost::json::object& object);
/// Nothing: there never was one. Errors: kDamaged, kIo.
Result<std::optional<WitnessPlace>> read_witness_place(const std::filesystem::path& directory);
Status write_witness_place(const std::filesystem::path& directory, const WitnessPlace& place);

[[nodiscard]] mirror::PairTuning tuning_with(const std::optional<WitnessPlace>& place, const WitnessConfig& config);

/// Over TLS to whoever has the authority of that fingerprint. Blocks. Errors: the witness's own, those of net::http_request.
Result<boost::json::object> ask_witness(const WitnessPlace& place, const std::string& path, const boost::json::object& body, seconds patience);
Result<mirror::WitnessAnswer> call_witness(const WitnessPlace& place, const mirror::WitnessCall& call);

// POST /api/witness/call.
boost::json::object to_json(const mirror::WitnessCall& call);
Result<mirror::WitnessCall> witness_call_from(const boost::json::object& object);
boost::json::object to_json(const mirror::WitnessAnswer& answer);
Result<mirror::WitnessAnswer> witness_answer_from(const boost::json::object& object);

}  // namespace verbund::node
