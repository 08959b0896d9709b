#include "sync/model/messages.h"

#include <algorithm>
#include <array>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "platform/os/short_hash.h"
#include "sync/model/fields.h"
#include "sync/model/sums.h"

namespace verbund::sync {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 12> kReasons{"version", "gone", "exists", "unique", "check", "foreign_key", "not_null", "value", "right", "filter", "refused", "policy"};
constexpr std::array<std::string_view, 3> kStates{"applied", "waiting", "rejected"};
constexpr std::array<std::string_view, 6> kModes{"nothing", "delta", "refresh", "failed", "sums", "repair"};
constexpr std::size_t kMaxNameBytes = 200;

template <typename Enum, std::size_t N>
std::string_view word_of(const std::array<std::string_view, N>& words, Enum value) {
  return words.at(static_cast<std::size_t>(value));
}

template <typename Enum, std::size_t N>
Enum value_of_word(Fields& fields, std::string_view name, const std::array<std::string_view, N>& words) {
  const auto found = std::ranges::find(words, fields.text(name));
  if (found != words.end()) return static_cast<Enum>(found - words.begin());
  fields.wrong(name, "there is no such word");
  return {};
}

std::string big(std::uint64_t number) { return std::to_string(number); }

template <typename Message>
Result<Message> read(Fields& fields, Message message) {
  if (!fields.status()) return std::unexpected(fields.status().error());
  return message;
}

json::object to_json(const Session& session) {
  json::object object{{"subscription", session.subscription}, {"mode", word_of(kModes, session.mode)}};
  if (session.mode == Session::Mode::kFailed) {
    object["error"] = session.error;
    object["message"] = session.message;
    return object;
  }
  object["shape"] = session.shape;
  object["layout"] = to_json(session.layout);
  object["read"] = session.may_read;
  object["insert"] = session.may_insert;
  object["update"] = session.may_update;
  object["delete"] = session.may_delete;
  return object;
}

json::object to_json(const Outcome& outcome) {
  json::object object{{"upload", big(outcome.upload)}, {"row", outcome.row}, {"subscription", outcome.subscription}, {"state", word_of(kStates, outcome.state)}};
  if (!outcome.reason.empty()) object["reason"] = outcome.reason;
  if (!outcome.text.empty()) object["text"] = outcome.text;
  return object;
}

TableLayout layout_of(Fields& fields) {
  const auto* child = fields.child("layout");
  if (child == nullptr) {
    fields.wrong("layout", "it is missing");
    return {};
  }
  auto layout = read_layout(*child);
  if (layout) return std::move(*layout);
  fields.take_error(std::unexpected(layout.error()));
  return {};
}

Session read_session(Fields& fields) {
  Session session;
  session.subscription = fields.text("subscription");
  session.mode = value_of_word<Session::Mode>(fields, "mode", kModes);
  if (session.mode == Session::Mode::kFailed) {
    session.error = fields.text("error");
    session.message = fields.optional_text("message");
    return session;
  }
  session.shape = fields.text("shape");
  session.layout = layout_of(fields);
  session.may_read = fields.flag("read");
  session.may_insert = fields.flag("insert");
  session.may_update = fields.flag("update");
  session.may_delete = fields.flag("delete");
  return session;
}

Outcome read_outcome(Fields& fields) {
  Outcome outcome;
  outcome.upload = fields.number("upload");
  outcome.row = fields.small("row");
  outcome.subscription = fields.text("subscription");
  outcome.state = value_of_word<Outcome::State>(fields, "state", kStates);
  outcome.reason = fields.optional_text("reason");
  outcome.text = fields.optional_text("text");
  return outcome;
}

}  // namespace

bool is_reject_reason(std::string_view word) { return std::ranges::find(kReasons, word) != kReasons.end(); }

std::string encode(const EnrolRequest& message) { return json::serialize(json::object{{"code", message.code}, {"name", message.name}}); }

std::string encode(const EnrolReply& message) { return json::serialize(json::object{{"device", message.device}, {"secret", message.secret}, {"user", message.user}}); }

std::string encode(const SyncRequest& message) {
  json::array cursors, parts;
  for (const auto& cursor : message.cursors) {
    json::object object{{"subscription", cursor.subscription}, {"csn", big(cursor.csn.value)}, {"shape", cursor.shape}};
    if (cursor.sums) object["sums"] = os::to_base64(cursor.sums->bytes());
    cursors.push_back(std::move(object));
  }
  for (const auto& part : message.parts) parts.push_back(json::object{{"subscription", part.subscription}, {"first_block", part.first_block}, {"blocks", part.blocks}, {"layout", to_json(part.layout)}});
  json::object object{{"number", big(message.number)}, {"set", message.set}, {"history", message.history}, {"cursors", std::move(cursors)}};
  if (message.keeps) object["keeps"] = true;
  if (message.upload != 0) {
    object["upload"] = big(message.upload);
    object["hash"] = message.upload_hash;
    if (!message.upload_history.empty()) object["upload_history"] = message.upload_history;
    if (message.more) object["more"] = true;
    object["parts"] = std::move(parts);
  }
  return json::serialize(object);
}

std::string encode(const SyncReply& message) {
  json::array sessions, outcomes;
  for (const auto& session : message.sessions) sessions.push_back(to_json(session));
  for (const auto& outcome : message.outcomes) outcomes.push_back(to_json(outcome));
  json::object object{{"number", big(message.number)},      {"history", message.history},   {"csn", big(message.csn.value)},
                      {"sessions", std::move(sessions)},    {"outcomes", std::move(outcomes)}, {"safe_upload", big(message.safe_upload)},
                      {"next_in_ms", message.next_in.count()}};
  if (message.again) object["again"] = true;
  if (!message.folders.empty()) {
    json::array folders;
    for (const auto& folder : message.folders) folders.push_back(json::object{{"subscription", folder.subscription}, {"up", folder.up}});
    object["folders"] = std::move(folders);
  }
  if (message.lease.count() > 0) object["lease"] = json::object{{"seconds", message.lease.count()}, {"key", os::to_base64(message.lease_key)}};
  if (!message.servers.empty()) object["servers"] = json::array(message.servers.begin(), message.servers.end());
  return json::serialize(object);
}

std::string encode(const AckRequest& message) { return json::serialize(json::object{{"sessions", json::array(message.sessions.begin(), message.sessions.end())}}); }

Result<EnrolRequest> decode_enrol_request(std::string_view text) {
  auto fields = Fields::parse(text, "enrolment");
  EnrolRequest message{fields.text("code"), fields.text("name")};
  if (message.name.empty() || message.name.size() > kMaxNameBytes) fields.wrong("name", "it is empty or too long");
  if (message.code.size() > kMaxNameBytes) fields.wrong("code", "it is too long");
  return read(fields, std::move(message));
}

Result<EnrolReply> decode_enrol_reply(std::string_view text) {
  auto fields = Fields::parse(text, "enrolment");
  EnrolReply message{fields.text("device"), fields.text("secret"), fields.text("user")};
  return read(fields, std::move(message));
}

Result<SyncRequest> decode_sync_request(std::string_view text) {
  auto fields = Fields::parse(text, "sync request");
  SyncRequest message;
  message.number = fields.number("number");
  if (message.number == 0 || message.number > INT64_MAX) fields.wrong("number", "it is no number of a sync");
  message.set = fields.optional_text("set");
  message.history = fields.optional_text("history");
  fields.each("cursors", kMaxSubscriptions, [&](Fields& inner) {
    message.cursors.push_back({inner.text("subscription"), Csn{inner.number("csn")}, inner.optional_text("shape"), {}});
    const auto sums = inner.optional_text("sums");
    if (sums.empty()) return;
    auto bytes = os::from_base64(sums);
    auto read = bytes ? RowSums::read(*bytes) : pass(bytes);
    if (!read) return inner.wrong("sums", "they are none");
    message.cursors.back().sums = std::move(*read);
  });
  message.upload = fields.optional_number("upload");
  if (message.upload > INT64_MAX) fields.wrong("upload", "it is too large");
  message.upload_hash = fields.optional_text("hash");
  message.upload_history = fields.optional_text("upload_history");
  message.more = fields.flag("more");
  message.keeps = fields.flag("keeps");
  std::uint64_t blocks = 0;
  fields.each("parts", kMaxSubscriptions, [&](Fields& inner) {
    message.parts.push_back({inner.text("subscription"), inner.small("first_block"), inner.small("blocks"), layout_of(inner)});
    blocks += message.parts.back().blocks;
  });
  if (blocks > kMaxUploadBlocks) fields.wrong("parts", "they are too many blocks");
  return read(fields, std::move(message));
}

Result<SyncReply> decode_sync_reply(std::string_view text) {
  auto fields = Fields::parse(text, "sync reply");
  SyncReply message;
  message.number = fields.number("number");
  message.history = fields.text("history");
  message.csn = Csn{fields.number("csn")};
  fields.each("sessions", kMaxSubscriptions, [&](Fields& inner) { message.sessions.push_back(read_session(inner)); });
  fields.each("outcomes", kMaxOutcomes, [&](Fields& inner) { message.outcomes.push_back(read_outcome(inner)); });
  fields.each("folders", kMaxSubscriptions, [&](Fields& inner) { message.folders.push_back({inner.text("subscription"), inner.flag("up")}); });
  message.safe_upload = fields.optional_number("safe_upload");
  message.again = fields.flag("again");
  if (const auto* lease = fields.child("lease"); lease != nullptr) {
    Fields inner(*lease, "lease");
    constexpr std::uint64_t kLongest = 400'000'000;
    message.lease = seconds{static_cast<std::int64_t>(std::min(inner.number("seconds"), kLongest))};
    auto key = os::from_base64(inner.text("key"));
    if (!key || key->empty()) inner.wrong("key", "it is none");
    fields.take_error(inner.status());
    if (key) message.lease_key = std::move(*key);
  }
  if (fields.child("servers") != nullptr) message.servers = fields.texts("servers", kMaxServers);
  message.next_in = milliseconds{static_cast<std::int64_t>(std::min<std::uint64_t>(fields.optional_number("next_in_ms"), 86'400'000))};
  return read(fields, std::move(message));
}

Result<AckRequest> decode_ack_request(std::string_view text) {
  auto fields = Fields::parse(text, "acknowledgement");
  AckRequest message{fields.texts("sessions", kMaxSubscriptions)};
  return read(fields, std::move(message));
}

}  // namespace verbund::sync
