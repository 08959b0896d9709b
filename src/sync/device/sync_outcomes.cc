// What the server says became of the device's changes: noted, rejects with both rows.
#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "sync/device/sync_run.h"

namespace verbund::sync::device {
namespace {

using sqlite::quote_name;

boost::json::value value_json(const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value)) return boost::json::string(*text);
  if (std::holds_alternative<Blob>(value)) return boost::json::string(text_of(Kind::kBytes, value).value().value_or(""));
  return nullptr;
}

}  // namespace

std::string key_json(const std::vector<Value>& key) {
  boost::json::array parts;
  for (const auto& part : key) parts.push_back(value_json(part));
  return boost::json::serialize(parts);
}

std::string row_json(const TableLayout& layout, const std::vector<Value>& values) {
  boost::json::object object;
  for (std::size_t at = 0; at < values.size() && at < layout.columns.size(); ++at) object[layout.columns[at].name] = value_json(values[at]);
  return boost::json::serialize(object);
}

Status SyncRun::note_outcomes(const Session& session, const SyncReply& reply) {
  for (const auto& outcome : reply.outcomes) {
    if (outcome.subscription != session.subscription || outcome.state == Outcome::State::kWaiting) continue;
    auto noted = database_.execute(fmt::format("INSERT OR IGNORE INTO verbund_outcome VALUES ({}, {}, '{}')", outcome.upload, outcome.row, outcome.state == Outcome::State::kApplied ? "applied" : "rejected"));
    if (!noted) return noted;
    if (outcome.state != Outcome::State::kRejected) continue;
    if (auto rejected = note_reject(session, outcome); !rejected) return rejected;
  }
  return {};
}

/// The row as it went up; nothing when its upload is not here any more.
Result<std::optional<UpRow>> SyncRun::sent_row(const Outcome& outcome, const TableLayout& layout) {
  auto blocks = database_.prepare("SELECT content FROM verbund_upload_block WHERE number = ? ORDER BY block");
  if (!blocks) return pass(blocks);
  blocks->integer(1, static_cast<std::int64_t>(outcome.upload));
  std::uint64_t before = 0;
  for (;;) {
    auto more = blocks->step();
    if (!more) return pass(more);
    if (!*more) return std::nullopt;
    auto head = read_block_head(blocks->text(0));
    if (!head) return pass(head);
    if (outcome.row >= before + head->rows) {
      before += head->rows;
      continue;
    }
    auto reader = BlockReader::open(blocks->text(0), BlockHead::Kind::kUp);
    if (!reader) return pass(reader);
    UpRow row;
    for (std::uint64_t at = before; at <= outcome.row; ++at) {
      auto read = reader->next(row, layout.columns.size());
      if (!read) return pass(read);
    }
    return row;
  }
}

Status SyncRun::note_reject(const Session& session, const Outcome& outcome) {
  // The layout of then: the upload's own.
  TableLayout layout = session.layout;
  auto parts = database_.value(fmt::format("SELECT parts FROM verbund_upload WHERE number = {}", outcome.upload));
  if (!parts) return pass(parts);
  if (!parts->empty()) {
    auto frozen = decode_sync_request(*parts);
    if (!frozen) return pass(frozen);
    const auto part = std::ranges::find(frozen->parts, session.subscription, &UploadPart::subscription);
    if (part != frozen->parts.end()) layout = part->layout;
  }
  auto mine = sent_row(outcome, layout);
  if (!mine) return pass(mine);
  if (!*mine) return {};  // told again after it was noted
  const auto key = key_of(layout, (*mine)->op == UpRow::Op::kInsert ? (*mine)->values : (*mine)->before);
  auto there = database_.prepare(fmt::format("SELECT {} FROM {} WHERE {}", column_list(session.layout, ""), quote_name(session.layout.table), key_condition(session.layout)));
  if (!there) return pass(there);
  for (std::size_t at = 0; at < key.size(); ++at) bind_value(*there, static_cast<int>(at) + 1, key[at]);
  auto found = there->step();
  if (!found) return pass(found);
  Reject reject{.subscription = session.subscription, .table = session.layout.table, .op = std::string(1, static_cast<char>((*mine)->op)), .key = key_json(key),
                .reason = outcome.reason, .text = outcome.text, .mine = row_json(layout, (*mine)->values), .theirs = {}, .at = to_iso8601(clock_.wall()), .state = "open"};
  if (*found) {
    std::vector<Value> values;
    for (int at = 0; at < there->columns(); ++at) values.push_back(column_value(*there, at));
    reject.theirs = row_json(session.layout, values);
  }
  auto insert = database_.prepare("INSERT OR IGNORE INTO verbund_reject (upload, row, subscription, table_name, op, key, reason, text, mine, theirs, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id");
  if (!insert) return pass(insert);
  auto noted = insert->integer(1, static_cast<std::int64_t>(outcome.upload)).integer(2, outcome.row).text(3, reject.subscription).text(4, reject.table).text(5, reject.op).text(6, reject.key)
                  .text(7, reject.reason).text(8, reject.text).text(9, reject.mine).text(10, reject.theirs).text(11, reject.at).step();
  if (!noted) return pass(noted);
  if (!*noted) return {};  // it was there
  reject.id = insert->integer(0);
  insert->reset();
  new_rejects_.push_back(std::move(reject));
  return {};
}

/// Where the office may be found when the machine that has answered is gone.
Status SyncRun::note_servers(const SyncReply& reply) {
  const auto answered = transport_.address();
  if (reply.servers.empty() && answered.empty()) return {};
  std::string sql = "CREATE TABLE IF NOT EXISTS verbund_server (position INTEGER PRIMARY KEY, address TEXT NOT NULL, answered INTEGER NOT NULL) STRICT; DELETE FROM verbund_server;";
  std::vector<std::string> all = reply.servers;
  auto own = database_.value("SELECT server FROM verbund_device");
  if (!own) return pass(own);
  // The machine that answers now is not among those that it names.
  if (!answered.empty() && answered != *own && std::ranges::find(all, answered) == all.end()) all.push_back(answered);
  for (const auto& address : all) sql += fmt::format("INSERT INTO verbund_server (address, answered) VALUES ({}, {});", sqlite::quote_text(address), address == answered ? 1 : 0);
  return database_.execute(sql);
}

/// Uploads of which everything is decided, and that the office will not lose any more.
Status SyncRun::forget_decided(std::uint64_t safe) {
  return database_.execute(
      fmt::format("DELETE FROM verbund_upload WHERE number <= {} AND sent = 1 AND rows <= (SELECT count(*) FROM verbund_outcome o WHERE o.upload = number);", safe) +
      "DELETE FROM verbund_upload_block WHERE number NOT IN (SELECT number FROM verbund_upload);"
      "DELETE FROM verbund_outcome WHERE upload NOT IN (SELECT number FROM verbund_upload)");
}

}  // namespace verbund::sync::device
