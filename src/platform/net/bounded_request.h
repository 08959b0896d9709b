#pragma once
/// http_request for servers that are not ours: what they answer is bounded by the caller.
#include "platform/net/client.h"

namespace verbund::net {

/// As http_request. kNotReachable, too, when the answer's body is longer than `max_body_bytes`.
Result<HttpResponse> bounded_request(const Endpoint& endpoint, const HttpRequest& request, seconds timeout, std::size_t max_body_bytes);

}  // namespace verbund::net
