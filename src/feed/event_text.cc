#include "feed/event_text.h"

#include <boost/json.hpp>

#include "base/messages.h"

namespace verbund::feed {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxAnnounced = 10'000;
constexpr std::size_t kMaxAnnouncementBytes = 4 * 1024 * 1024;

constexpr std::array<std::pair<RecordEvent::Op, std::string_view>, 3> kOps{
    {{RecordEvent::Op::kInsert, "insert"}, {RecordEvent::Op::kUpdate, "update"}, {RecordEvent::Op::kDelete, "delete"}}};

char letter_of(RecordEvent::Op op) {
  return op == RecordEvent::Op::kInsert ? 'I' : op == RecordEvent::Op::kDelete ? 'D' : 'U';
}
RecordEvent::Op op_of(std::string_view letter) {
  return letter == "I" ? RecordEvent::Op::kInsert : letter == "D" ? RecordEvent::Op::kDelete : RecordEvent::Op::kUpdate;
}

std::string_view word_of(RecordEvent::Op op) {
  return std::ranges::find(kOps, op, &std::pair<RecordEvent::Op, std::string_view>::first)->second;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

template <typename Range, typename Each>
void append_list(std::string& out, std::string_view name, const Range& range, Each each) {
  if (range.empty()) return;
  if (out.size() > 1) out += ',';
  append_string(out, name);
  out += ":[";
  bool first = true;
  for (const auto& item : range) {
    if (!std::exchange(first, false)) out += ',';
    each(item);
  }
  out += ']';
}

void append_record(std::string& out, const RecordEvent& record) {
  out += "[\"";
  out += letter_of(record.op);
  out += "\",";
  append_string(out, record.key.type);
  out += ',';
  append_string(out, record.key.id);
  out += ',';
  record.was ? append_string(out, record.was->id) : void(out += "null");
  out += ",[";
  for (std::size_t i = 0; i < record.tables.size(); ++i) {
    if (i > 0) out += ',';
    append_string(out, record.tables[i]);
  }
  out += "]]";
}

std::string text_of(const json::value& value) { return json::value_to<std::string>(value); }

RecordEvent read_record(const json::value& value) {
  const json::array& parts = value.as_array();
  RecordEvent record;
  record.op = op_of(parts.at(0).as_string());
  record.key = {text_of(parts.at(1)), text_of(parts.at(2))};
  if (!parts.at(3).is_null()) record.was = RecordKey{record.key.type, text_of(parts.at(3))};
  for (const json::value& table : parts.at(4).as_array()) record.tables.push_back(text_of(table));
  return record;
}

const json::array& list_of(const json::object& whole, std::string_view name) {
  static const json::array kNone;
  const json::value* found = whole.if_contains(name);
  return found == nullptr ? kNone : found->as_array();
}

}  // namespace

std::string event_text(const TransactionEvent& event) {
  std::string out = "{";
  append_list(out, "r", event.records, [&](const RecordEvent& record) { append_record(out, record); });
  append_list(out, "b", event.bulk, [&](const auto& item) {
    out += '[';
    append_string(out, item.first);
    fmt::format_to(std::back_inserter(out), ",{}]", item.second);
  });
  append_list(out, "t", event.truncated, [&](const std::string& type) { append_string(out, type); });
  return out + '}';
}

Status read_event_text(std::string_view text, TransactionEvent& event) {
  try {
    const json::value whole = json::parse(text);
    for (const json::value& record : list_of(whole.as_object(), "r")) event.records.push_back(read_record(record));
    for (const json::value& item : list_of(whole.as_object(), "b")) {
      event.bulk.emplace_back(text_of(item.at(0)), item.at(1).to_number<std::uint64_t>());
    }
    for (const json::value& type : list_of(whole.as_object(), "t")) event.truncated.push_back(text_of(type));
  } catch (const std::exception& broken) {
    return fail(ErrorCode::kInternal, phrase("feed.transaction.event: {}", broken.what()));
  }
  return {};
}

std::string announcement_text(std::span<const RecordEvent> records) {
  std::string out = "[";
  for (const RecordEvent& record : records) {
    if (out.size() > 1) out += ',';
    out += R"({"key":)";
    append_string(out, to_string(record.key));
    fmt::format_to(std::back_inserter(out), R"(,"op":"{}"}})", word_of(record.op));
  }
  return out + ']';
}

Result<std::vector<std::pair<RecordEvent::Op, RecordKey>>> read_announcement(std::string_view text) {
  const auto wrong = [](std::string_view why) {
    return fail(ErrorCode::kBadMessage, phrase("logical message verbund.changed: {}", why));
  };
  if (text.size() > kMaxAnnouncementBytes) return wrong("it is too large");
  json::error_code broken;
  const json::value whole = json::parse(text, broken);
  if (broken) return wrong(broken.message());
  if (!whole.is_array()) return wrong("it is no list");
  if (whole.get_array().size() > kMaxAnnounced) return wrong("the list is too long");
  std::vector<std::pair<RecordEvent::Op, RecordKey>> records;
  for (const json::value& item : whole.get_array()) {
    const json::object* fields = item.if_object();
    const json::value* key = fields == nullptr ? nullptr : fields->if_contains("key");
    const json::value* op = fields == nullptr ? nullptr : fields->if_contains("op");
    if (key == nullptr || op == nullptr || !key->is_string() || !op->is_string()) return wrong("an entry has no key or no op");
    auto parsed = parse_record_key(key->get_string());
    if (!parsed) return pass(parsed, "logical message verbund.changed");
    const auto known = std::ranges::find(kOps, std::string_view(op->get_string()), &std::pair<RecordEvent::Op, std::string_view>::second);
    if (known == kOps.end()) return wrong("an op is none of insert, update, delete");
    records.emplace_back(known->first, std::move(*parsed));
  }
  return records;
}

}  // namespace verbund::feed
