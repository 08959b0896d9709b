#pragma once
/// A dead man's switch: a URL that is asked for after each run; whoever watches it (Healthchecks and its like) raises the alarm when
/// nothing comes. Blocking; any thread.
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace verbund::mail {

/// http and https only; at most 2 redirects; the body is dropped. The address is a secret: no error names more than its host.
/// Errors: kNotReachable (also an answer of 400 and above), kUntrusted, kUsage (no such URL).
Status ping(const std::string& url, seconds limit = seconds{10}, const std::string& ca_file = {});
/// "https://hc.example/ID" → "hc.example"; empty: no http or https URL.
std::string host_of(std::string_view url);

}  // namespace verbund::mail
