#pragma once
/// Sending a mail by SMTP (libcurl). Blocking; any thread.
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace verbund::mail {

struct SmtpSettings {
  enum class Security { kNone, kStartTls, kTls };  ///< kStartTls: refused when the server does not offer it
  std::string host;
  std::uint16_t port = 587;
  Security security = Security::kStartTls;
  std::string user, password;     ///< empty: no authentication. Never in argv or log.
  std::string ca_file;            ///< empty: the system's
  std::string from;               ///< "Verbund <backup@practice.example>"
  seconds limit{60};
};

struct Attachment {
  std::string name, type, content;
};
struct Mail {
  std::vector<std::string> to;
  std::string subject, text;      ///< UTF-8
  std::vector<Attachment> attachments;
  std::string message_id;         ///< the same at every attempt
};

/// RFC 5322 with MIME, lines ended by CRLF: headers encoded by RFC 2047, text as UTF-8 quoted-printable. Errors: kUsage (an address or a
/// header with a line break).
Result<std::string> compose(const Mail& mail, const SmtpSettings& settings, WallTime now);
/// Errors: kNotReachable (try again later), kUntrusted, kUnauthenticated, kNotDelivered (the server refused for good: names its words).
Status send(const Mail& mail, const SmtpSettings& settings, WallTime now);

}  // namespace verbund::mail
