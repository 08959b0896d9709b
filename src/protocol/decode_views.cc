#include "protocol/decode_views.h"

#include "base/messages.h"
#include "protocol/json_write.h"

namespace verbund::protocol {
namespace {

constexpr std::size_t kMaxHistoryBytes = 64;

/// Takes digits off the front; -1 when there are fewer.
int take_digits(std::string_view& text, std::size_t count) {
  int value = 0;
  if (text.size() < count) {
    return -1;
  }
  for (const char c : text.substr(0, count)) {
    if (c < '0' || c > '9') {
      return -1;
    }
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, char c) {
  const bool there = text.starts_with(c);
  text.remove_prefix(there ? 1 : 0);
  return there;
}

/// Exactly the form that append_time writes.
std::optional<WallTime> parse_time(std::string_view text) {
  const int year = take_digits(text, 4);
  bool good = take(text, '-');
  const int month = take_digits(text, 2);
  good = good && take(text, '-');
  const int day = take_digits(text, 2);
  good = good && take(text, 'T');
  const int hour = take_digits(text, 2);
  good = good && take(text, ':');
  const int minute = take_digits(text, 2);
  good = good && take(text, ':');
  const int second = take_digits(text, 2);
  good = good && take(text, '.');
  const int micro = take_digits(text, 6);
  good = good && text == "Z";
  if (!good || year < 0 || month < 1 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
      second > 59 || micro < 0) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) {
    return std::nullopt;
  }
  return WallTime{std::chrono::sys_days{date}} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         seconds{second} + microseconds{micro};
}

}  // namespace

WallTime Fields::time(std::string_view name) const {
  if (const auto time = parse_time(text(name, kAnyText))) {
    return *time;
  }
  complain(ErrorCode::kBadMessage, name, phrase("must be a time like '2026-11-22T03:04:05.123456Z'"));
  return {};
}

RequestId read_id(const Fields& fields, std::string_view name) {
  RequestId id;
  const auto* value = fields.find(name);
  if (value == nullptr) {
    return id;
  }
  if (value->is_int64()) {
    id.json = std::to_string(value->get_int64());
  } else if (value->is_uint64()) {
    append_decimal(id.json, value->get_uint64());
  } else if (value->is_string() && value->get_string().size() <= kMaxRequestIdBytes) {
    append_json_string(id.json, {value->get_string().data(), value->get_string().size()});
  } else {
    fields.complain(
        ErrorCode::kBadMessage, name,
        phrase("must be a whole number of 64 bits or a string of at most {} bytes", kMaxRequestIdBytes));
  }
  return id;
}

Cursor read_cursor(const Fields& fields) {
  Cursor cursor;
  cursor.history.value = fields.text("history", {.max_bytes = kMaxHistoryBytes});
  cursor.csn.value = fields.decimal("csn", Presence::kRequired);
  return cursor;
}

std::optional<Cursor> read_cursor_field(const Fields& fields, std::string_view name) {
  std::optional<Cursor> cursor;
  fields.object(name, [&](const Fields& inner) { cursor = read_cursor(inner); });
  return cursor;
}

Watch read_watch(const Fields& fields) {
  Watch watch;
  if (fields.has("types")) {
    watch.types = fields.texts("types", {.max = kMaxWatchedTypes},
                               {.max_bytes = kMaxRecordTypeBytes, .presence = Presence::kRequired});
  }
  watch.locks = fields.flag("locks", true);
  watch.presence = fields.flag("presence", true);
  return watch;
}

SessionView read_session(const Fields& fields) {
  SessionView view;
  view.session.value = fields.decimal("session", Presence::kRequired);
  view.workstation = fields.text("workstation", kAnyText);
  view.user = fields.text("user", kAnyText);
  view.address = fields.text("address", kAnyText);
  view.app = fields.text("app", kAnyText);
  view.kind = fields.word<SessionKind>("kind", SessionKind::kWorkstation);
  view.state = fields.word<SessionState>("state", SessionState::kActive);
  view.since = fields.time("since");
  return view;
}

LockView read_lock(const Fields& fields) {
  LockView view;
  view.key = fields.key("key");
  view.token.value = fields.decimal("token", Presence::kRequired);
  view.session.value = fields.decimal("session", Presence::kRequired);
  view.workstation = fields.text("workstation", kAnyText);
  view.user = fields.text("user", kAnyText);
  view.address = fields.text("address", kAnyText);
  view.since = fields.time("since");
  view.note = fields.text("note", kAnyText);
  view.state = fields.word<LockState>("state", LockState::kHeld);
  view.waiting = static_cast<std::uint32_t>(fields.number("waiting", std::numeric_limits<std::uint32_t>::max()));
  return view;
}

std::vector<SessionView> read_sessions(const Fields& fields, std::string_view name) {
  std::vector<SessionView> out;
  fields.objects(name, kAnyList, [&](const Fields& inner) { out.push_back(read_session(inner)); });
  return out;
}

std::vector<LockView> read_locks(const Fields& fields, std::string_view name) {
  std::vector<LockView> out;
  fields.objects(name, kAnyList, [&](const Fields& inner) { out.push_back(read_lock(inner)); });
  return out;
}

}  // namespace verbund::protocol
