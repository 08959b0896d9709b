#include "platform/mail/ping.h"

#include "base/messages.h"
#include "platform/mail/mime.h"
#include "platform/mail/transfer.h"

namespace verbund::mail {

std::string host_of(std::string_view url) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!url.starts_with(scheme) || has_control(url) || url.find(' ') != std::string_view::npos) continue;
    url.remove_prefix(scheme.size());
    url = url.substr(0, url.find_first_of("/?#"));
    if (const auto at = url.rfind('@'); at != std::string_view::npos) url.remove_prefix(at + 1);
    return std::string(url);
  }
  return {};
}

Status ping(const std::string& url, seconds limit, const std::string& ca_file) {
  const std::string host = host_of(url);
  if (host.empty()) return fail(ErrorCode::kUsage, phrase("ping: the address is no http or https URL"));
  auto transfer = Transfer::make(url, "http,https", limit);
  if (!transfer) return pass(transfer);
  CURL* handle = transfer->handle();
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "verbund");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 2L);
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  if (!ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, ca_file.c_str());
  const CURLcode done = transfer->perform();
  if (done == CURLE_PEER_FAILED_VERIFICATION) return fail(ErrorCode::kUntrusted, phrase("ping {}: {}", host, curl_easy_strerror(done)));
  if (done != CURLE_OK) return fail(ErrorCode::kNotReachable, phrase("ping {}: {}", host, curl_easy_strerror(done)));
  if (transfer->answer() >= 400) return fail(ErrorCode::kNotReachable, phrase("ping {}: it answers {}", host, transfer->answer()));
  return {};
}

}  // namespace verbund::mail
