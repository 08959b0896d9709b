// One HTTP request, blocking: for worker threads and the command line.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <poll.h>
#include <strings.h>

#include "base/messages.h"
#include "platform/net/bounded_request.h"
#include "platform/net/dial.h"
#include "platform/net/http_codec.h"

namespace verbund::net {
namespace {

using Steady = std::chrono::steady_clock;

/// A request that may be stopped looks so often whether it is.
constexpr milliseconds kStopEvery{50};
constexpr std::size_t kMaxHeaderBytes = 64UL * 1024;
/// Large enough for dumps of the REST interface; a bound all the same.
constexpr std::size_t kMaxBodyBytes = 256UL * 1024 * 1024;

bool closes(const HttpResponse& response) {
  return std::ranges::any_of(response.headers, [](const auto& header) { return ::strcasecmp(header.first.c_str(), "connection") == 0 && ::strcasecmp(header.second.c_str(), "close") == 0; });
}

/// One request, on the connection that is there or a new one.
class Request {
 public:
  Request(const Endpoint& endpoint, std::optional<Transport>& transport, seconds timeout, std::size_t max_body_bytes, const std::stop_token& stop = {})
      : endpoint_(endpoint), stop_(stop), bounds_{kMaxHeaderBytes, max_body_bytes}, timeout_(timeout), ends_(Steady::now() + timeout), transport_(transport) {}

  Result<HttpResponse> run(const HttpRequest& request) {
    const bool kept = transport_.has_value();
    auto response = once(request);
    // The server may have closed what nobody used for a while, before it read anything of this.
    if (!response && kept && !answered_ && response.error().code == ErrorCode::kNotReachable) {
      transport_.reset();
      ended_ = false;
      response = once(request);
    }
    if (!response || ended_ || closes(*response)) transport_.reset();
    return response;
  }

 private:
  Result<HttpResponse> once(const HttpRequest& request) {
    if (!transport_) {
      if (auto connected = connect(); !connected) return pass(connected);
      if (auto secured = secure(); !secured) return pass(secured);
    }
    if (auto sent = send(request_head(request, name_of(endpoint_)), request.body); !sent) return pass(sent);
    return receive(request.method == "HEAD");
  }

  Status connect() {
    auto addresses = resolve(endpoint_, true);
    if (addresses.empty()) addresses = resolve(endpoint_, false);
    Phrase cause = phrase("the name has no address");
    for (const auto& address : addresses) {
      const int fd = begin_connect(address);
      if (fd < 0) {
        cause = verbatim(std::strerror(errno));
        continue;
      }
      transport_.emplace(fd);
      if (auto ready = wait(POLLOUT); !ready) return ready;
      const int error = connect_error(fd);
      if (error == 0) return {};
      cause = verbatim(std::strerror(error));
    }
    return std::unexpected(not_reachable(endpoint_, std::move(cause)));
  }

  Status secure() {
    if (!endpoint_.tls) return {};
    auto context = trusted_by(endpoint_);
    if (!context) {
      context.error().code = ErrorCode::kUntrusted;
      context.error().advise(phrase("hand in the authority's PEM"));
      return pass(context);
    }
    if (!transport_->connect_tls(*context, endpoint_.certificate_name.empty() ? endpoint_.host : endpoint_.certificate_name)) {
      return std::unexpected(not_reachable(endpoint_, phrase("no memory for TLS")));
    }
    while (true) {
      const auto result = transport_->handshake();
      if (result.status == IoStatus::kDone) return {};
      if (result.status != IoStatus::kAgain) return std::unexpected(handshake_error(endpoint_, *transport_));
      if (auto ready = wait(result.needs_write ? POLLOUT : POLLIN); !ready) return ready;
    }
  }

  Status send(std::string head, const std::string& body) {
    head += body;
    std::string_view rest(head);
    while (!rest.empty()) {
      const iovec piece{const_cast<char*>(rest.data()), rest.size()};  // only read
      const auto result = transport_->write(std::span(&piece, 1));
      if (result.status == IoStatus::kDone) {
        rest.remove_prefix(result.bytes);
      } else if (result.status != IoStatus::kAgain) {
        return {};  // the server may have answered before it read all: receive() tells
      } else if (auto ready = wait(POLLOUT); !ready) {
        return ready;
      }
    }
    return {};
  }

  Result<HttpResponse> receive(bool head) {
    HttpResponseParser parser(bounds_, head);
    std::string input;
    std::vector<char> buffer(64UL * 1024);
    while (true) {
      const auto result = transport_->read(buffer);
      if (result.status == IoStatus::kAgain) {
        if (auto ready = wait(result.needs_write ? POLLOUT : POLLIN); !ready) return pass(ready);
        continue;
      }
      if (result.status != IoStatus::kDone) {
        ended_ = true;
        if (auto ended = parser.end(); !ended) return std::unexpected(not_reachable(endpoint_, std::move(ended.error())));
        return parser.take_response();
      }
      answered_ = true;
      input.append(buffer.data(), result.bytes);
      std::size_t consumed = 0;
      const auto whole = parser.next(input, consumed);
      if (!whole) return std::unexpected(not_reachable(endpoint_, std::move(whole.error())));
      if (*whole) return parser.take_response();
      input.erase(0, consumed);
    }
  }

  Status wait(short events) {
    pollfd wish{transport_->fd(), events, 0};
    while (true) {
      if (stop_.stop_requested()) return fail(ErrorCode::kCancelled, phrase("request to {}: it is not waited for any more", name_of(endpoint_)));
      const auto left = std::chrono::ceil<milliseconds>(ends_ - Steady::now()).count();
      const auto slice = stop_.stop_possible() ? std::min<std::int64_t>(left, kStopEvery.count()) : left;
      const int rc = left <= 0 ? 0 : ::poll(&wish, 1, static_cast<int>(slice));
      if (rc > 0) return {};
      if ((rc < 0 && errno == EINTR) || (rc == 0 && slice < left)) continue;
      return fail(ErrorCode::kTimedOut,
                  phrase("request to {}: no answer within {} s", name_of(endpoint_), timeout_.count()));
    }
  }

  const Endpoint& endpoint_;
  const std::stop_token stop_;
  const HttpBounds bounds_;
  const seconds timeout_;
  const Steady::time_point ends_;
  std::optional<Transport>& transport_;
  bool answered_ = false, ended_ = false;
};

}  // namespace

struct HttpClient::Impl {
  Endpoint endpoint;
  std::optional<Transport> transport;
};

HttpClient::HttpClient(Endpoint endpoint) : impl_(std::make_unique<Impl>(std::move(endpoint))) {}
HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::request(const HttpRequest& request, seconds timeout, const std::stop_token& stop) {
  return Request(impl_->endpoint, impl_->transport, timeout, kMaxBodyBytes, stop).run(request);
}

Result<HttpResponse> http_request(const Endpoint& endpoint, const HttpRequest& request, seconds timeout, const std::stop_token& stop) {
  std::optional<Transport> transport;
  return Request(endpoint, transport, timeout, kMaxBodyBytes, stop).run(request);
}

Result<HttpResponse> bounded_request(const Endpoint& endpoint, const HttpRequest& request, seconds timeout, std::size_t max_body_bytes) {
  std::optional<Transport> transport;
  return Request(endpoint, transport, timeout, max_body_bytes).run(request);
}

}  // namespace verbund::net
