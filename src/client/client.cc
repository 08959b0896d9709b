/// Client: what the installed header promises, over Impl.
#include "verbund/client.h"

#include "base/messages.h"
#include "client/client_impl.h"
#include "client/public_views.h"

namespace verbund {
inline namespace client_v1 {
namespace {

constexpr seconds kAnswerTime{30};

Result<std::vector<RecordKey>> parse_keys(const std::vector<std::string>& texts) {
  std::vector<RecordKey> keys;
  for (const auto& text : texts) {
    auto key = parse_record_key(text);
    if (!key) return std::unexpected(key.error());
    keys.push_back(std::move(*key));
  }
  return keys;
}

/// Of Impl nothing is touched any more: it may have gone when the outcome came with its end. Hence `language` is read before.
template <typename Wanted, typename Value>
Expected<Value> value_or_failure(const protocol::ReplyBody& outcome, Language language, Value value) {
  if (std::holds_alternative<Wanted>(outcome)) return value;
  return client::failure_of(outcome, language);
}

}  // namespace

std::optional<LockInfo> Failure::holder() const { return holder_ ? std::optional(*holder_) : std::nullopt; }

Client::Client(ClientSettings settings) : impl_(std::make_unique<Impl>(std::move(settings))) {}
Client::~Client() = default;

void Client::on_state(std::function<void(ConnectionState, const std::string&)> callback) { impl_->state_callback = std::move(callback); }
void Client::on_changes(std::function<void(const Changes&)> callback) { impl_->changes_callback = std::move(callback); }
void Client::on_snapshot(std::function<void(const std::string&, const std::string&)> callback) { impl_->snapshot_callback = std::move(callback); }
void Client::on_locks(std::function<void(const std::string&, const std::vector<LockInfo>&)> callback) { impl_->locks_callback = std::move(callback); }
void Client::on_lock_lost(std::function<void(const std::vector<std::string>&, const std::string&)> callback) { impl_->lost_callback = std::move(callback); }
void Client::on_session(std::function<void(const std::string&, const SessionInfo&)> callback) { impl_->session_callback = std::move(callback); }
void Client::on_text(std::function<void(const Text&)> callback) { impl_->text_callback = std::move(callback); }
void Client::on_event_json(std::function<void(std::string_view)> callback) { impl_->json_callback = std::move(callback); }

Expected<Ok> Client::connect() { return impl_->connect(); }

void Client::reconnect_now() { impl_->reconnect_now(); }

ConnectionState Client::state() const { return client::to_public(impl_->current_state()); }
std::string Client::session() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->session;
}
std::string Client::cursor() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->cursor;
}
std::string Client::welcome_json() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->welcome;
}
bool Client::may_edit() const { return impl_->may_edit(); }

Expected<Grant> Client::lock(const std::vector<std::string>& keys, std::chrono::milliseconds wait, const std::string& note) {
  const auto language = impl_->language;
  auto parsed = parse_keys(keys);
  if (!parsed) return client::failure(parsed.error(), language);
  const auto outcome = impl_->call(protocol::Lock{std::move(*parsed), wait, {}, note}, wait + kAnswerTime);
  const auto* granted = std::get_if<protocol::Granted>(&outcome);
  if (!granted) return client::failure_of(outcome, language);
  Grant grant;
  grant.token = granted->token.value;
  for (const auto& [key, token] : granted->tokens) grant.tokens.emplace_back(to_string(key), token.value);
  return grant;
}

Expected<Ok> Client::unlock(const std::vector<std::string>& keys, const std::string& lsn, bool wrote) {
  const auto language = impl_->language;
  auto parsed = parse_keys(keys);
  if (!parsed) return client::failure(parsed.error(), language);
  protocol::Unlock unlock;
  unlock.keys = std::move(*parsed);
  unlock.wrote = wrote;
  if (!lsn.empty()) {
    auto position = parse_lsn(lsn);
    if (!position) return client::failure(position.error(), language);
    unlock.lsn = *position;
  }
  return value_or_failure<protocol::Done>(impl_->call(std::move(unlock), kAnswerTime), language, Ok{});
}

Expected<Ok> Client::break_locks(const std::vector<std::string>& keys, const std::string& reason) {
  const auto language = impl_->language;
  auto parsed = parse_keys(keys);
  if (!parsed) return client::failure(parsed.error(), language);
  return value_or_failure<protocol::Broken>(impl_->call(protocol::Break{std::move(*parsed), reason}, kAnswerTime), language, Ok{});
}

Expected<unsigned> Client::tell(const std::string& to, const std::string& text) {
  const auto language = impl_->language;
  const auto outcome = impl_->call(protocol::Tell{to, text, {}}, kAnswerTime);
  const auto* delivered = std::get_if<protocol::Delivered>(&outcome);
  return value_or_failure<protocol::Delivered>(outcome, language, delivered ? delivered->delivered : 0U);
}

Expected<std::vector<SessionInfo>> Client::who() {
  const auto language = impl_->language;
  const auto outcome = impl_->call(protocol::Who{}, kAnswerTime);
  std::vector<SessionInfo> sessions;
  if (const auto* list = std::get_if<protocol::SessionList>(&outcome)) {
    for (const auto& view : list->sessions) sessions.push_back(client::to_public(view));
  }
  return value_or_failure<protocol::SessionList>(outcome, language, std::move(sessions));
}

Expected<std::vector<LockInfo>> Client::locks(const std::string& prefix) {
  const auto language = impl_->language;
  const auto outcome = impl_->call(protocol::Locks{prefix}, kAnswerTime);
  std::vector<LockInfo> locks;
  if (const auto* list = std::get_if<protocol::LockList>(&outcome)) {
    for (const auto& view : list->locks) locks.push_back(client::to_public(view));
  }
  return value_or_failure<protocol::LockList>(outcome, language, std::move(locks));
}

Expected<std::string> Client::status_json() {
  const auto language = impl_->language;
  const auto outcome = impl_->call(protocol::StatusQuery{}, kAnswerTime);
  const auto* status = std::get_if<protocol::StatusReply>(&outcome);
  return value_or_failure<protocol::StatusReply>(outcome, language, status ? status->json : std::string());
}

Expected<Ok> Client::changed(const std::vector<std::pair<std::string, std::string>>& key_and_op) {
  const auto language = impl_->language;
  protocol::Changed changed;
  for (const auto& [text, op] : key_and_op) {
    auto key = parse_record_key(text);
    if (!key) return client::failure(key.error(), language);
    const auto parsed = client::parse_op(op);
    if (!parsed) return client::failure(make_error(ErrorCode::kUsage, phrase("announce a change: '{}' is no operation", op), phrase("insert, update or delete")), language);
    changed.changes.push_back({std::move(*key), *parsed});
  }
  return value_or_failure<protocol::Done>(impl_->call(std::move(changed), kAnswerTime), language, Ok{});
}

}  // namespace client_v1
}  // namespace verbund
