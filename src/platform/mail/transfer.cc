#include "platform/mail/transfer.h"

#include <mutex>

#include "base/messages.h"
#include "platform/mail/mime.h"

namespace verbund::mail {
namespace {

constexpr std::size_t kMaxWords = 300;

/// libcurl hands on each line of the server; what counts is the last refusal, not the "221 Bye" behind it.
std::size_t keep_words(char* line, std::size_t one, std::size_t bytes, void* into) {
  std::string_view text(line, one * bytes);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= 0x20) text.remove_suffix(1);
  if (text.starts_with('4') || text.starts_with('5')) *static_cast<std::string*>(into) = as_utf8(text.substr(0, kMaxWords));
  return one * bytes;
}

std::size_t drop(char*, std::size_t one, std::size_t bytes, void*) { return one * bytes; }

}  // namespace

Result<Transfer> Transfer::make(const std::string& url, const char* protocols, seconds limit) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  Transfer transfer;
  transfer.handle_.reset(curl_easy_init());
  CURL* handle = transfer.handle_.get();
  if (handle == nullptr) return fail(ErrorCode::kInternal, phrase("mail: libcurl gives no handle"));
  const auto milliseconds_in_all = std::chrono::duration_cast<milliseconds>(limit).count();
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, protocols);
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(milliseconds_in_all));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min<std::int64_t>(milliseconds_in_all, 20'000)));
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, keep_words);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, transfer.last_words_.get());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, drop);
  return transfer;
}

CURLcode Transfer::perform() {
  const CURLcode code = curl_easy_perform(handle());
  curl_easy_getinfo(handle(), CURLINFO_RESPONSE_CODE, &answer_);
  return code;
}

std::string Transfer::cause(CURLcode code) const {
  if (answer_ >= 400 && !last_words_->empty()) return *last_words_;
  return curl_easy_strerror(code);
}

}  // namespace verbund::mail
