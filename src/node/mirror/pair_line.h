#pragma once
/// The mirror's requests to production's node. A value; any thread, blocks.
#include <string>

#include "base/result.h"
#include "platform/net/client.h"

namespace verbund::node {

struct PairLine {
  net::Endpoint production;  ///< its node
  std::string secret;        ///< of this mirror
  std::stop_token stop = {}; ///< ends what is under way (kCancelled)
  /// The body. Errors: production's own (code and words), those of net::http_request.
  [[nodiscard]] Result<std::string> post(const std::string& path, std::string body, seconds patience) const;
};

}  // namespace verbund::node
