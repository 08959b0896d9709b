#pragma once
/// The mirror's requests to production's node, on a connection that stays open. A value, whose copies share it; any thread, one request at a time; blocks.
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "platform/net/client.h"

namespace verbund::node {

struct PairLine {
  net::Endpoint production;  ///< its node
  std::string secret;        ///< of this mirror
  std::stop_token stop = {}; ///< ends what is under way (kCancelled)
  /// The body. Errors: production's own (code and words), those of net::http_request.
  /// What is asked may be done twice: a connection that was closed meanwhile is made anew.
  [[nodiscard]] Result<std::string> post(const std::string& path, std::string body, seconds patience) const;

  struct Kept {
    std::mutex mutex;
    std::unique_ptr<net::HttpClient> client;
  };
  std::shared_ptr<Kept> kept = std::make_shared<Kept>();
};

}  // namespace verbund::node
