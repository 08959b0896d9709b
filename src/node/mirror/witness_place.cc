#include "node/mirror/witness_place.h"

#include "base/messages.h"
#include "node/mirror/follow_settings.h"
#include "node/mirror/report.h"
#include "platform/os/file.h"
#include "platform/os/read_setting.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr seconds kPatience{3};
constexpr std::int64_t kLongestSeconds = 7LL * 24 * 3600;
constexpr const char* kKinds[] = {"watch", "idle", "hold", "ask"};

fs::path file_in(const fs::path& directory) { return directory / "mirror" / "witness.json"; }
std::string decimal(std::uint64_t number) { return std::to_string(number); }
std::string in_ms(nanoseconds span) { return std::to_string(std::chrono::duration_cast<milliseconds>(span).count()); }

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    bytes += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  }
  return bytes;
}

/// Reads members one after another and keeps the first error.
class Members {
 public:
  explicit Members(const json::object& object) : object_(object) {}
  std::uint64_t number(std::string_view name, std::uint64_t most = UINT64_MAX) {
    auto value = number_of(object_, name);
    if (value && *value <= most) return *value;
    if (!error_) error_ = value ? make_error(ErrorCode::kBadMessage, phrase("read the witness's message: field {} is missing or wrong", name)) : value.error();
    return 0;
  }
  nanoseconds span(std::string_view name) { return milliseconds{static_cast<std::int64_t>(number(name, kLongestSeconds * 1000))}; }
  std::string text(std::string_view name) {
    auto value = text_of(object_, name);
    if (value && value->size() <= 300) return std::move(*value);
    if (!error_) error_ = value ? make_error(ErrorCode::kBadMessage, phrase("read the witness's message: field {} is missing or wrong", name)) : value.error();
    return {};
  }
  template <typename T>
  Result<T> outcome(T value) const {
    if (error_) return std::unexpected(*error_);
    return value;
  }

 private:
  const json::object& object_;
  std::optional<Error> error_;
};

Result<seconds> span_in(os::ConfigFile& file, const char* key, const char* otherwise, std::int64_t least, std::int64_t most) {
  std::string text;
  VERBUND_READ(text, file.text(key, otherwise));
  if (text == "0" && least == 0) return seconds{0};
  const auto parsed = parse_interval(text);
  if (parsed && parsed->count() >= least && parsed->count() <= most) return *parsed;
  return fail(ErrorCode::kBadConfig, phrase("{} = \"{}\": it is no time from {} s to {} s", key, text, least, most), phrase("Write for example 30s or 2min."));
}

}  // namespace

Result<WitnessConfig> read_witness_config(os::ConfigFile& file) {
  WitnessConfig config;
  VERBUND_READ(config.self_fence, span_in(file, "mirror.self_fence", "30s", 5, 600));
  VERBUND_READ(config.automatic, file.boolean("mirror.automatic", false));
  VERBUND_READ(config.max_loss, span_in(file, "mirror.max_loss", "0", 0, 86'400));
  VERBUND_READ(config.cool_down, span_in(file, "mirror.cool_down", "1h", 0, 86'400));
  return config;
}

json::object to_json(const WitnessPlace& place) {
  return {{"host", place.host}, {"port", decimal(place.port)}, {"fingerprint", place.fingerprint}, {"secret", place.secret}, {"version", decimal(place.version)}};
}

Result<WitnessPlace> witness_place_from(const json::object& object) {
  Members members(object);
  WitnessPlace place;
  place.host = members.text("host");
  place.port = static_cast<std::uint16_t>(members.number("port", 65'535));
  place.fingerprint = members.text("fingerprint");
  place.secret = members.text("secret");
  place.version = members.number("version");
  if (place.fingerprint.find_first_not_of("0123456789abcdef") != std::string::npos || place.fingerprint.size() > 64 ||
      (!place.host.empty() && place.fingerprint.size() < 2 * net::kMinFingerprintBytes)) {
    return fail(ErrorCode::kBadMessage, phrase("read the witness's message: field {} is missing or wrong", "fingerprint"));
  }
  return members.outcome(place);
}

Result<std::optional<WitnessPlace>> read_witness_place(const fs::path& directory) {
  auto text = os::read_file(file_in(directory), 64UL * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<WitnessPlace>();
  if (!text) return pass(text);
  const auto object = object_of(*text);
  const auto place = object ? witness_place_from(*object) : Result<WitnessPlace>(std::unexpected(object.error()));
  if (place) return std::optional(*place);
  return fail(ErrorCode::kDamaged, phrase("read {}: it is not as it was written", file_in(directory).string()), phrase("Remove it; `verbund mirror witness join` writes it anew."));
}

Status write_witness_place(const fs::path& directory, const WitnessPlace& place) {
  if (auto made = os::make_directories(directory / "mirror", 0700); !made) return made;
  return os::write_file_atomically(file_in(directory), json::serialize(to_json(place)) + "\n", 0600);
}

mirror::PairTuning tuning_with(const std::optional<WitnessPlace>& place, const WitnessConfig& config) {
  mirror::PairTuning tuning;
  if (!place || place->host.empty()) return tuning;
  tuning.lease = config.self_fence;
  tuning.automatic = config.automatic;
  tuning.max_loss = config.max_loss;
  tuning.cool_down = config.cool_down;
  return tuning;
}

Result<json::object> ask_witness(const WitnessPlace& place, const std::string& path, const json::object& body, seconds patience) {
  net::Endpoint endpoint;
  endpoint.host = place.host;
  endpoint.port = place.port;
  endpoint.ca_fingerprint = from_hex(place.fingerprint);
  endpoint.certificate_name = "localhost";  // every certificate of ours has it; what counts is whose it is
  net::HttpRequest request;
  request.method = "POST";
  request.path = path;
  request.body = json::serialize(body);
  if (!place.secret.empty()) request.headers["authorization"] = "Bearer " + place.secret;
  const auto response = net::http_request(endpoint, request, patience);
  if (!response) return std::unexpected(response.error());
  auto object = object_of(response->body);
  if (response->status == 200) return object;
  const auto* error = object ? object->if_contains("error") : nullptr;
  if (!error || !error->is_object()) return fail(ErrorCode::kUnavailable, phrase("ask the witness: HTTP status {}", response->status));
  const auto code = text_of(error->as_object(), "code"), why = text_of(error->as_object(), "message");
  return fail(code_from_wire(code.value_or("internal")), phrase("ask the witness: {}", verbatim(why.value_or(""))));
}

Result<mirror::WitnessAnswer> call_witness(const WitnessPlace& place, const mirror::WitnessCall& call) {
  const auto object = ask_witness(place, "/api/witness/call", to_json(call), kPatience);
  if (!object) return std::unexpected(object.error());
  return witness_answer_from(*object);
}

json::object to_json(const mirror::WitnessCall& call) {
  return {{"member", decimal(call.member)}, {"boots", decimal(call.boots)}, {"sequence", decimal(call.sequence)}, {"pair", call.pair},
          {"kind", kKinds[static_cast<std::size_t>(call.kind)]}, {"term", decimal(call.term.value)}, {"candidate", decimal(call.candidate)},
          {"lease_ms", in_ms(call.lease)}, {"ask", decimal(call.ask)}, {"cool_down_ms", in_ms(call.cool_down)}};
}

Result<mirror::WitnessCall> witness_call_from(const json::object& object) {
  Members members(object);
  mirror::WitnessCall call;
  call.member = members.number("member", 3);
  call.boots = members.number("boots");
  call.sequence = members.number("sequence");
  call.pair = members.text("pair");
  const auto kind = members.text("kind");
  call.term.value = members.number("term", 0xffff);
  call.candidate = members.number("candidate", 3);
  call.lease = members.span("lease_ms");
  call.ask = members.number("ask");
  call.cool_down = members.span("cool_down_ms");
  const auto* found = std::ranges::find(kKinds, kind);
  if (found == std::end(kKinds) || call.member == 0) return fail(ErrorCode::kBadMessage, phrase("read the witness's message: field {} is missing or wrong", "kind"));
  call.kind = static_cast<mirror::CallKind>(found - kKinds);
  return members.outcome(call);
}

json::object to_json(const mirror::WitnessAnswer& answer) {
  const bool over = answer.over >= nanoseconds{0};
  return {{"boots", decimal(answer.boots)}, {"sequence", decimal(answer.sequence)}, {"held", answer.held}, {"term", decimal(answer.term.value)},
          {"holder", decimal(answer.holder)}, {"granted", decimal(answer.granted)}, {"ask", decimal(answer.ask)}, {"lease_ms", in_ms(answer.lease)},
          {"over_ms", in_ms(over ? std::min<nanoseconds>(answer.over, seconds{kLongestSeconds}) : nanoseconds{0})}, {"left_ms", in_ms(over ? nanoseconds{0} : -answer.over)},
          {"reason", answer.reason}};
}

Result<mirror::WitnessAnswer> witness_answer_from(const json::object& object) {
  Members members(object);
  mirror::WitnessAnswer answer;
  answer.boots = members.number("boots");
  answer.sequence = members.number("sequence");
  const auto* held = object.if_contains("held");
  if (held == nullptr || !held->is_bool()) return fail(ErrorCode::kBadMessage, phrase("read the witness's message: field {} is missing or wrong", "held"));
  answer.held = held->as_bool();
  answer.term.value = members.number("term", 0xffff);
  answer.holder = members.number("holder", 3);
  answer.granted = members.number("granted", 3);
  answer.ask = members.number("ask");
  answer.lease = members.span("lease_ms");
  answer.over = members.span("over_ms") - members.span("left_ms");
  answer.reason = members.text("reason");
  return members.outcome(answer);
}

}  // namespace verbund::node
