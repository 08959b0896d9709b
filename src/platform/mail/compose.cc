// A mail as text.
#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/messages.h"
#include "platform/mail/mime.h"
#include "platform/mail/smtp.h"

namespace verbund::mail {
namespace {

/// RFC 5321 4.5.3.1.3, without the angle brackets.
constexpr std::size_t kMaxAddressBytes = 254;
constexpr std::size_t kMaxHeaderBytes = 900;  // RFC 5322 2.1.1: a line is at most 998

struct Address {
  std::string name, address;
};

std::unexpected<Error> no_address(std::string_view text) {
  std::string shown = as_utf8(text.substr(0, 100));
  std::ranges::replace_if(shown, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return fail(ErrorCode::kUsage, phrase("mail: '{}' is no mail address", shown), phrase("write name@domain.example or Name <name@domain.example>"));
}

bool well_formed(std::string_view address) {
  const auto at = address.find('@');
  if (address.size() > kMaxAddressBytes || at == std::string_view::npos || at == 0 || at > 64 || at + 1 == address.size()) return false;
  if (address.find('@', at + 1) != std::string_view::npos) return false;
  // Quoted local parts, comments, IP literals: nobody's address in an office, and a way to smuggle things in.
  return std::ranges::all_of(address, [](char c) { return c > 0x20 && c < 0x7f && std::string_view("()<>[]:;,\\\"").find(c) == std::string_view::npos; });
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Result<Address> parse_address(std::string_view text) {
  if (has_control(text) || text.size() > kMaxHeaderBytes) return no_address(text);
  Address parsed{{}, std::string(trimmed(text))};
  if (const auto open = text.rfind('<'); open != std::string_view::npos) {
    const auto whole = trimmed(text);
    if (!whole.ends_with('>')) return no_address(text);
    const auto begin = whole.rfind('<');
    parsed.address = whole.substr(begin + 1, whole.size() - begin - 2);
    auto name = trimmed(whole.substr(0, begin));
    if (name.size() >= 2 && name.starts_with('"') && name.ends_with('"')) name = name.substr(1, name.size() - 2);
    parsed.name = name;
  }
  if (!well_formed(parsed.address) || parsed.name.find_first_of("\"\\") != std::string::npos) return no_address(text);
  return parsed;
}

std::string shown(const Address& address, std::size_t used) {
  if (address.name.empty()) return address.address;
  std::string name = header_text(address.name, used);
  const bool atoms = std::ranges::all_of(name, [](char c) { return std::string_view("()<>[]:;@\\,.\"").find(c) == std::string_view::npos; });
  // An encoded-word stands bare; "Dr. Weber, Praxis" wants quotes.
  if (!atoms && !name.starts_with("=?")) name = '"' + name + '"';
  return fmt::format("{}\r\n <{}>", name, address.address);
}

Status check_header(std::string_view what, std::string_view value) {
  if (has_control(value)) return fail(ErrorCode::kUsage, phrase("mail: the {} has a control character or a line break", what));
  if (value.size() > kMaxHeaderBytes) return fail(ErrorCode::kTooLarge, phrase("mail: the {} is longer than {} bytes", what, kMaxHeaderBytes));
  return {};
}

/// RFC 5322 3.3, in UTC; names of days and months are English whatever the locale.
std::string date_text(WallTime now) {
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<seconds>(now - day));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000", kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                     kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
                     time.seconds().count());
}

Status check(const Mail& mail) {
  if (mail.to.empty() || mail.to.size() > kMaxRecipients) {
    return fail(ErrorCode::kUsage, phrase("mail: {} recipients, where 1 to {} are taken", mail.to.size(), kMaxRecipients));
  }
  if (auto fine = check_header("subject", mail.subject); !fine) return fine;
  if (!well_formed(mail.message_id)) return fail(ErrorCode::kUsage, phrase("mail: the message id is not of the form NAME@HOST"));
  std::size_t bytes = mail.text.size();
  for (const auto& attachment : mail.attachments) {
    if (auto fine = check_header("attachment's name", attachment.name); !fine) return fine;
    if (auto fine = check_header("attachment's type", attachment.type); !fine) return fine;
    bytes += attachment.content.size();
  }
  if (bytes > kMaxMailBytes) return fail(ErrorCode::kTooLarge, phrase("mail: {} bytes, where {} are taken", bytes, kMaxMailBytes));
  return {};
}

Result<std::string> addresses(const std::vector<std::string>& to, std::size_t used) {
  std::string out;
  for (const auto& each : to) {
    auto parsed = parse_address(each);
    if (!parsed) return pass(parsed);
    if (!out.empty()) out += ",\r\n ";
    out += shown(*parsed, used);
    used = 1;
  }
  return out;
}

std::string text_part(const Mail& mail) {
  return "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted_printable(as_utf8(mail.text));
}

}  // namespace

Result<std::string> bare_address(std::string_view address) {
  auto parsed = parse_address(address);
  if (!parsed) return pass(parsed);
  return std::move(parsed->address);
}

Result<std::string> compose(const Mail& mail, const SmtpSettings& settings, WallTime now) {
  if (auto fine = check(mail); !fine) return pass(fine);
  auto from = addresses({settings.from}, 6);
  if (!from) return pass(from);
  auto to = addresses(mail.to, 4);
  if (!to) return pass(to);
  std::string out = fmt::format("From: {}\r\nTo: {}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{}>\r\nMIME-Version: 1.0\r\n", *from, *to,
                                header_text(mail.subject, 9), date_text(now), mail.message_id);
  // RFC 3834: no out-of-office replies to a machine.
  out += "Auto-Submitted: auto-generated\r\n";
  if (mail.attachments.empty()) return out + text_part(mail);
  // "=_" occurs in no quoted-printable or base64 text (RFC 2045 6.7), so this ends nothing too early.
  const std::string boundary = "=_verbund_part";
  out += fmt::format("Content-Type: multipart/mixed; boundary=\"{}\"\r\n\r\n--{}\r\n{}", boundary, boundary, text_part(mail));
  for (const auto& attachment : mail.attachments) {
    out += fmt::format("\r\n--{}\r\nContent-Type: {}{}\r\nContent-Disposition: attachment{}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}", boundary,
                       attachment.type, parameter("name", attachment.name), parameter("filename", attachment.name), base64_lines(attachment.content));
  }
  return out + fmt::format("\r\n--{}--\r\n", boundary);
}

}  // namespace verbund::mail
