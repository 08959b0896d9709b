#include "node/mirror/pair_line.h"

#include "base/messages.h"
#include "node/mirror/report.h"

namespace verbund::node {

Result<std::string> PairLine::post(const std::string& path, std::string body, seconds patience) const {
  net::HttpRequest request;
  request.method = "POST";
  request.path = path;
  request.body = std::move(body);
  request.headers["authorization"] = "Bearer " + secret;
  const std::lock_guard guard(kept->mutex);
  if (!kept->client) kept->client = std::make_unique<net::HttpClient>(production);
  auto response = kept->client->request(request, patience, stop);
  if (!response) return pass(response);
  if (response->status == 200) return std::move(response->body);
  auto object = object_of(response->body);
  const auto* error = object ? object->if_contains("error") : nullptr;
  if (!error || !error->is_object()) return fail(ErrorCode::kUnavailable, phrase("ask production for {}: HTTP status {}", path, response->status));
  const auto code = text_of(error->as_object(), "code"), why = text_of(error->as_object(), "message");
  return fail(code_from_wire(code.value_or("internal")), phrase("ask production: {}", verbatim(why.value_or(""))));
}

}  // namespace verbund::node
