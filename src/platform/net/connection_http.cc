// Connection: HTTP/1.1 requests, one at a time, and the upgrade to a WebSocket.
#include <atomic>

#include "platform/net/server_impl.h"

namespace verbund::net {
namespace {

class Exchange final : public HttpExchange {
 public:
  Exchange(std::shared_ptr<ServerLink> link, std::uint64_t connection_id, HttpRequest request)
      : link_(std::move(link)), connection_id_(connection_id), request_(std::move(request)) {}
  ~Exchange() {
    if (!replied_) reply(HttpResponse{500, "application/json", R"({"ok":false,"error":{"code":"internal"}})", {}});
  }
  [[nodiscard]] const HttpRequest& request() const override { return request_; }
  void reply(HttpResponse response) override {
    if (replied_.exchange(true)) return;
    auto answer = std::make_shared<HttpResponse>(std::move(response));  // shared: std::function wants copies
    link_->loop.post([link = link_, id = connection_id_, answer] {
      Connection* const connection = link->server == nullptr ? nullptr : link->server->connection(id);
      if (connection != nullptr) connection->deliver(std::move(*answer));
    });
  }

 private:
  std::shared_ptr<ServerLink> link_;
  const std::uint64_t connection_id_;
  HttpRequest request_;
  std::atomic<bool> replied_ = false;
};

HttpBounds bounds_of(const Limits& limits) { return {limits.max_http_header_bytes, limits.max_http_body_bytes}; }

}  // namespace

void Connection::begin_http() {
  http_ = std::make_unique<Http>(bounds_of(server_.limits));
  phase_ = Phase::kHttp;
  set_deadline(accepted_at_ + server_.limits.first_message_timeout);
}

std::size_t Connection::process_http(std::span<char> input) {
  const std::string_view text(input.data(), input.size());
  std::size_t used = 0;
  while (!deaf() && http_ && !http_->busy && used < input.size()) {
    if (!http_->parser.begun()) {
      set_deadline(std::chrono::steady_clock::now() + server_.limits.first_message_timeout);
    }
    const auto step = http_->parser.next(text.substr(used));
    used += step.consumed;
    count_body(http_->parser.body_bytes());
    if (server_.http_body_bytes > server_.limits.max_http_bodies_bytes) {
      answer_and_close(503, ErrorCode::kUnavailable, "too many large requests at once", "try again later");
      break;
    }
    if (step.event == HttpRequestParser::Event::kNeedMore) break;
    if (step.event == HttpRequestParser::Event::kContinue) {
      outbox_.push(std::make_shared<const std::string>("HTTP/1.1 100 Continue\r\n\r\n"), Framing::kRaw);
      mark_dirty();
    } else if (step.event == HttpRequestParser::Event::kFailed) {
      const auto code = step.status == 413 || step.status == 431 ? ErrorCode::kTooLarge : ErrorCode::kBadMessage;
      answer_and_close(step.status, code, "read the HTTP request: " + step.message);
    } else {
      accept_request();
    }
  }
  return used;
}

void Connection::count_body(std::size_t bytes) {
  if (!http_) return;
  server_.http_body_bytes += bytes - std::exchange(http_->counted_bytes, bytes);
}

void Connection::forget_http() {
  count_body(0);
  http_.reset();
}

void Connection::accept_request() {
  count_body(0);  // the handler's from here on
  auto request = http_->parser.take_request();
  request.address = address_.text;
  request.loopback = address_.loopback;
  request.encrypted = transport_.encrypted();
  http_->keep_alive = http_->parser.keep_alive() && !server_.shutting_down;
  if (http_->parser.is_upgrade()) return upgrade(request);
  http_->head = request.method == "HEAD";
  http_->busy = true;
  set_deadline(SteadyTime::max());
  update_wanted();
  server_.http.on_request(std::make_shared<Exchange>(server_.link, id_, std::move(request)));
}

void Connection::upgrade(const HttpRequest& request) {
  if (const auto refusal = bad_upgrade(request)) {
    http_->keep_alive = false;
    return answer(*refusal);
  }
  if (server_.shutting_down || !server_.http.accept_websocket(request)) {
    return answer_and_close(403, ErrorCode::kForbidden, "this page may not open a WebSocket here");
  }
  const auto head = upgrade_head(request.headers.at("sec-websocket-key"));
  outbox_.push(std::make_shared<const std::string>(head), Framing::kRaw);
  websocket_ = std::make_unique<WebSocket>();
  const auto cookies = request.headers.find("cookie");
  if (cookies != request.headers.end()) websocket_->cookies = cookies->second;
  forget_http();
  phase_ = Phase::kWebSocket;
  mark_dirty();
  open(std::chrono::steady_clock::now() + server_.limits.first_message_timeout);
}

void Connection::deliver(HttpResponse response) {
  if (ended_ || !http_ || !http_->busy) return;
  answer(response);
  if (phase_ != Phase::kHttp) return;
  if (!input_.empty()) process_shared({});  // the next request was sent without waiting for this answer
  if (!deaf() && !(http_ && http_->busy) && transport_.has_pending()) read_available();
}

void Connection::answer(const HttpResponse& response) {
  const bool keep_alive = http_->keep_alive;
  const bool head = http_->head;
  outbox_.push(std::make_shared<const std::string>(response_head(response, keep_alive)), Framing::kRaw);
  if (!head) outbox_.push(std::make_shared<const std::string>(response.body), Framing::kRaw);
  mark_dirty();
  if (!keep_alive) return begin_draining(orderly_end());
  http_ = std::make_unique<Http>(bounds_of(server_.limits));
  set_deadline(std::chrono::steady_clock::now() + server_.limits.http_idle_timeout);
  update_wanted();
}

}  // namespace verbund::net
