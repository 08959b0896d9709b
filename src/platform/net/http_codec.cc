#include "platform/net/http_codec.h"

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "base/messages.h"

namespace verbund::net {

namespace http = boost::beast::http;
using boost::asio::buffer;

namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

template <typename Fields>
std::map<std::string, std::string> headers_of(const Fields& fields) {
  std::map<std::string, std::string> headers;
  for (const auto& field : fields) {
    const auto [at, fresh] = headers.try_emplace(lower_case(field.name_string()), field.value());
    if (fresh) continue;
    at->second += at->first == "cookie" ? "; " : ", ";  // RFC 9110 §5.3, RFC 6265 §5.4
    at->second += field.value();
  }
  return headers;
}

int status_of(const boost::system::error_code& error) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == http::error::bad_version) return 505;
  return 400;
}

/// Path and query of the target, decoded; false when it is no origin form.
bool parse_target(std::string_view target, HttpRequest& request) {
  const auto url = boost::urls::parse_origin_form(target);
  if (!url) return false;
  request.path = url->path();
  for (const auto& param : url->params()) request.query[param.key] = param.value;
  return request.path.find('\0') == std::string::npos;
}

}  // namespace

// --- Requests ---

struct HttpRequestParser::Impl {
  http::request_parser<http::string_body> parser;
  HttpRequest request;
  bool begun = false;
  bool continue_sent = false;
};

HttpRequestParser::HttpRequestParser(HttpBounds bounds) : impl_(std::make_unique<Impl>()) {
  impl_->parser.header_limit(static_cast<std::uint32_t>(bounds.max_header_bytes));
  impl_->parser.body_limit(bounds.max_body_bytes);
  impl_->parser.eager(true);
}
HttpRequestParser::~HttpRequestParser() = default;
HttpRequestParser::HttpRequestParser(HttpRequestParser&&) noexcept = default;
HttpRequestParser& HttpRequestParser::operator=(HttpRequestParser&&) noexcept = default;

std::size_t HttpRequestParser::body_bytes() const { return impl_->parser.get().body().size(); }

bool HttpRequestParser::begun() const { return impl_->begun; }

HttpRequestParser::Step HttpRequestParser::next(std::string_view input) {
  auto& parser = impl_->parser;
  if (input.empty()) return {Event::kNeedMore, 0, 0, {}};
  impl_->begun = true;
  boost::system::error_code error;
  std::size_t consumed = 0;
  // An eager parser still stops between header and body, once.
  do {
    consumed += parser.put(buffer(input.data() + consumed, input.size() - consumed), error);
  } while (!error && !parser.is_done() && consumed < input.size());
  if (error && error != http::error::need_more) return {Event::kFailed, consumed, status_of(error), error.message()};
  if (!parser.is_done()) {
    const bool waits = parser.is_header_done() && !impl_->continue_sent &&
                       boost::beast::iequals(parser.get()[http::field::expect], "100-continue");
    if (waits) impl_->continue_sent = true;
    return {waits ? Event::kContinue : Event::kNeedMore, consumed, 0, {}};
  }
  const auto target = parser.get().target();
  if (!parse_target(target, impl_->request)) return {Event::kFailed, consumed, 400, "the request's target is malformed"};
  return {Event::kRequest, consumed, 0, {}};
}

HttpRequest HttpRequestParser::take_request() {
  auto& message = impl_->parser.get();
  HttpRequest request = std::move(impl_->request);
  request.method = message.method_string();
  request.headers = headers_of(message);
  request.body = std::move(message.body());
  return request;
}

bool HttpRequestParser::keep_alive() const { return impl_->parser.get().keep_alive(); }
bool HttpRequestParser::is_upgrade() const {
  const auto& message = impl_->parser.get();
  return http::token_list{message[http::field::connection]}.exists("upgrade") &&
         http::token_list{message[http::field::upgrade]}.exists("websocket");
}

// --- Responses ---

struct HttpResponseParser::Impl {
  http::response_parser<http::string_body> parser;
};

HttpResponseParser::HttpResponseParser(HttpBounds bounds, bool head) : impl_(std::make_unique<Impl>()) {
  impl_->parser.header_limit(static_cast<std::uint32_t>(bounds.max_header_bytes));
  impl_->parser.body_limit(bounds.max_body_bytes);
  impl_->parser.eager(true);
  impl_->parser.skip(head);
}
HttpResponseParser::~HttpResponseParser() = default;

Result<bool> HttpResponseParser::next(std::string_view input, std::size_t& consumed) {
  auto& parser = impl_->parser;
  consumed = 0;
  boost::system::error_code error;
  while (!error && !parser.is_done() && consumed < input.size()) {
    consumed += parser.put(buffer(input.data() + consumed, input.size() - consumed), error);
  }
  if (error == http::error::body_limit || error == http::error::header_limit) {
    return fail(ErrorCode::kTooLarge, phrase("read the response: {}", error.message()));
  }
  if (error && error != http::error::need_more) return fail(ErrorCode::kBadMessage, phrase("read the response: {}", error.message()));
  return parser.is_done();
}

Status HttpResponseParser::end() {
  boost::system::error_code error;
  if (impl_->parser.is_header_done()) impl_->parser.put_eof(error);
  if (error || !impl_->parser.is_done()) {
    return fail(ErrorCode::kBadMessage, phrase("read the response: the server closed the connection in the middle of it"));
  }
  return {};
}

bool HttpResponseParser::accepts_websocket(std::string_view key) const {
  const auto& message = impl_->parser.get();
  return message.result_int() == 101 && message[http::field::sec_websocket_accept] == websocket_accept(key);
}

int HttpResponseParser::status() const { return static_cast<int>(impl_->parser.get().result_int()); }

HttpResponse HttpResponseParser::take_response() {
  auto& message = impl_->parser.get();
  HttpResponse response{static_cast<int>(message.result_int()), {}, {}, {}};
  for (auto& [name, value] : headers_of(message)) {
    if (name == "content-type") {
      response.content_type = value;
    } else {
      response.headers.emplace_back(name, value);
    }
  }
  response.body = std::move(message.body());
  return response;
}

std::string_view reason_phrase(int status) {
  return http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
}

}  // namespace verbund::net
