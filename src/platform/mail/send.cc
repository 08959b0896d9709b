// SMTP by libcurl.
#include <algorithm>
#include <cstring>

#include "base/messages.h"
#include "platform/mail/smtp.h"
#include "platform/mail/transfer.h"

namespace verbund::mail {
namespace {

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

bool is_this_machine(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

/// What is left to be sent.
std::size_t give(char* into, std::size_t one, std::size_t room, void* from) {
  auto& rest = *static_cast<std::string_view*>(from);
  const std::size_t bytes = std::min(rest.size(), one * room);
  std::memcpy(into, rest.data(), bytes);
  rest.remove_prefix(bytes);
  return bytes;
}

/// What an outcome of libcurl means for somebody who may try again.
ErrorCode code_of(CURLcode code, long answer) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return ErrorCode::kUntrusted;
    case CURLE_LOGIN_DENIED:
      return answer / 100 == 4 ? ErrorCode::kNotReachable : ErrorCode::kUnauthenticated;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_GOT_NOTHING:
      return ErrorCode::kNotReachable;
    default:
      return answer / 100 == 5 ? ErrorCode::kNotDelivered : ErrorCode::kNotReachable;
  }
}

Phrase hint_of(ErrorCode code, const SmtpSettings& settings) {
  switch (code) {
    case ErrorCode::kUntrusted:
      return settings.security == SmtpSettings::Security::kStartTls
                 ? phrase("Check host and port; `ca_file` in [mail] names an authority of your own, security = \"tls\" is for port 465.")
                 : phrase("Check host and port; `ca_file` in [mail] names an authority of your own.");
    case ErrorCode::kUnauthenticated: return phrase("Check `user` and the password file in [mail].");
    case ErrorCode::kNotDelivered: return phrase("Check the addresses with whoever runs the mail server.");
    default: return {};
  }
}

std::string url_of(const SmtpSettings& settings) {
  const bool v6 = settings.host.find(':') != std::string::npos;
  const char* scheme = settings.security == SmtpSettings::Security::kTls ? "smtps" : "smtp";
  return fmt::format("{}://{}{}{}:{}", scheme, v6 ? "[" : "", settings.host, v6 ? "]" : "", settings.port);
}

void set_credentials(CURL* handle, const SmtpSettings& settings) {
  if (settings.user.empty()) return;
  curl_easy_setopt(handle, CURLOPT_USERNAME, settings.user.c_str());
  curl_easy_setopt(handle, CURLOPT_PASSWORD, settings.password.c_str());
}

void set_security(CURL* handle, const SmtpSettings& settings) {
  // libcurl would go on in the clear with CURLUSESSL_TRY.
  const bool wanted = settings.security != SmtpSettings::Security::kNone;
  curl_easy_setopt(handle, CURLOPT_USE_SSL, static_cast<long>(wanted ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  if (!settings.ca_file.empty()) {
    curl_easy_setopt(handle, CURLOPT_CAINFO, settings.ca_file.c_str());
    curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);
  }
}

/// "<a@b.example>", each.
Result<List> recipients_of(const std::vector<std::string>& to) {
  List list;
  for (const auto& each : to) {
    auto address = bare_address(each);
    if (!address) return pass(address);
    curl_slist* longer = curl_slist_append(list.get(), fmt::format("<{}>", *address).c_str());
    if (longer == nullptr) return fail(ErrorCode::kInternal, phrase("mail: no memory for {} recipients", to.size()));
    static_cast<void>(list.release());
    list.reset(longer);
  }
  return list;
}

}  // namespace

Status send(const Mail& mail, const SmtpSettings& settings, WallTime now) {
  auto text = compose(mail, settings, now);
  if (!text) return pass(text);
  return send_composed(*text, mail.to, settings);
}

Status send_composed(std::string_view text, const std::vector<std::string>& to, const SmtpSettings& settings) {
  if (!settings.user.empty() && settings.security == SmtpSettings::Security::kNone && !is_this_machine(settings.host)) {
    return fail(ErrorCode::kPlaintextRefused, phrase("mail: the password would go to {} in the clear", settings.host), phrase("security = \"starttls\" or \"tls\" in [mail]"));
  }
  auto from = bare_address(settings.from);
  if (!from) return pass(from);
  auto recipients = recipients_of(to);
  if (!recipients) return pass(recipients);
  auto transfer = Transfer::make(url_of(settings), "smtp,smtps", settings.limit);
  if (!transfer) return pass(transfer);
  CURL* handle = transfer->handle();
  curl_easy_setopt(handle, CURLOPT_MAIL_FROM, fmt::format("<{}>", *from).c_str());
  curl_easy_setopt(handle, CURLOPT_MAIL_RCPT, recipients->get());
  curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(handle, CURLOPT_READFUNCTION, give);
  curl_easy_setopt(handle, CURLOPT_READDATA, &text);
  set_security(handle, settings);
  set_credentials(handle, settings);
  const CURLcode done = transfer->perform();
  if (done == CURLE_OK) return {};
  const ErrorCode code = code_of(done, transfer->answer());
  return fail(code, phrase("mail: {}:{}: {}", settings.host, settings.port, transfer->cause(done)), hint_of(code, settings));
}

}  // namespace verbund::mail
