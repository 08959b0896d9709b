#pragma once
/// A libcurl handle with what all our transfers have in common: no proxy of the environment, no signals, certificates checked, a limit.
/// One thread. Inside this folder only.
#include <memory>
#include <string>

#include <curl/curl.h>

#include "base/result.h"
#include "base/time.h"

namespace verbund::mail {

class Transfer {
 public:
  /// `protocols` as libcurl lists them ("smtp,smtps"). Errors: kInternal.
  static Result<Transfer> make(const std::string& url, const char* protocols, seconds limit);

  [[nodiscard]] CURL* handle() const { return handle_.get(); }
  /// The server's words and answer code are kept.
  CURLcode perform();
  [[nodiscard]] long answer() const { return answer_; }            ///< 0: none
  [[nodiscard]] const std::string& last_words() const { return *last_words_; }
  /// libcurl's, or the server's when it has spoken last.
  [[nodiscard]] std::string cause(CURLcode code) const;

 private:
  struct Close {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  std::unique_ptr<CURL, Close> handle_;
  std::unique_ptr<std::string> last_words_ = std::make_unique<std::string>();  // libcurl keeps a pointer to it while we move
  long answer_ = 0;
};

}  // namespace verbund::mail
