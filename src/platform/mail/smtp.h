#pragma once
/// Sending a mail by SMTP (libcurl). Blocking; any thread.
#include <cstdint>
#include <string>
#include <string_view>
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
  std::string ca_file;            ///< PEM; empty: the system's
  std::string from;               ///< "Verbund <backup@practice.example>"
  seconds limit{60};              ///< of one mail, from connecting to the server's last word
};

struct Attachment {
  std::string name, type, content;
};
struct Mail {
  std::vector<std::string> to;    ///< "a@b.example" or "Name <a@b.example>"
  std::string subject, text;      ///< UTF-8; what is not is shown as U+FFFD
  std::vector<Attachment> attachments;
  std::string message_id;         ///< "NAME@HOST", the same at every attempt
};

inline constexpr std::size_t kMaxRecipients = 100;
inline constexpr std::size_t kMaxMailBytes = 20 * 1024 * 1024;  ///< text and attachments; servers rarely take more than 25 MB encoded

/// "Name <a@b.example>" → "a@b.example". Errors: kUsage (no such address, a control character, more than one).
Result<std::string> bare_address(std::string_view address);

/// RFC 5322 with MIME, lines ended by CRLF: headers encoded by RFC 2047, text as UTF-8 quoted-printable. Pure. Errors: kUsage (an
/// address or a header with a control character, no recipient, no message_id), kTooLarge.
Result<std::string> compose(const Mail& mail, const SmtpSettings& settings, WallTime now);

/// Errors: kNotReachable (try again later: no connection, too slow, the server says "not now"), kUntrusted (certificate, no STARTTLS),
/// kUnauthenticated, kNotDelivered (the server refused for good; all with its words), kUsage, kPlaintextRefused (a password would go to
/// another machine in the clear). A server that dies after the last byte may have taken the mail: what is sent again has the same message_id.
Status send(const Mail& mail, const SmtpSettings& settings, WallTime now);
/// The same with a text that `compose` has made, perhaps long ago.
Status send_composed(std::string_view text, const std::vector<std::string>& to, const SmtpSettings& settings);

}  // namespace verbund::mail
