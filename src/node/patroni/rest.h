#pragma once
/// Patroni's REST interface: asked at the addresses of the configuration, one after the other, until one answers. Blocks, for kPatience per
/// address at most. One thread.
#include <boost/json/object.hpp>

#include "mirror/patroni.h"
#include "node/installation.h"
#include "platform/net/client.h"

namespace verbund::node {

class PatroniRest {
 public:
  /// Reads password and authority. Errors: kBadConfig, kIo, kNotFound.
  static Result<PatroniRest> open(const PatroniSettings& settings);

  /// What the cluster is now. Errors: kNotReachable, kTimedOut, kUntrusted, kBadMessage: of the last address that was asked.
  Result<mirror::PatroniView> cluster();
  /// The cluster's name, Patroni's version, PostgreSQL's system. Errors as `cluster`.
  Result<mirror::PatroniOwn> member();
  /// Lets Patroni exchange the leader, and waits for its answer. What it says, in its words. Errors: kForbidden (user, password), kUnavailable
  /// (Patroni refuses, with its words), those of `cluster`.
  Result<std::string> switch_over(const std::string& leader, const std::string& to);

 private:
  PatroniRest() = default;
  Result<net::HttpResponse> ask(const net::HttpRequest& request, seconds patience);

  std::vector<net::Endpoint> endpoints_;
  std::size_t first_ = 0;   ///< whoever answered last is asked first
  std::string authorization_;
};

/// Members, leader and what stands still, as `mirror status --json` has it.
boost::json::object to_json(const mirror::PatroniView& view);

}  // namespace verbund::node
