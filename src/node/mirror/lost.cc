#include "node/mirror/lost.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include <boost/json.hpp>

#include "base/messages.h"
#include "node/mirror/report.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

/// Of a list: some 120 bytes a transaction, and pg_waldump's text of at most 64 MiB names fewer than a million.
constexpr std::size_t kMostListed = 256U << 20U;

std::string_view next_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  const auto line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

/// The text between `before` and `after` in `line`; empty: not there.
std::string_view between(std::string_view line, std::string_view before, std::string_view after) {
  const auto at = line.find(before);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + before.size());
  return line.substr(0, line.find(after));
}

/// "rel 1663/16385/16397 …" → "16385/16397"
void note_relation(std::string_view line, std::set<std::string>& into) {
  const auto path = between(line, "rel ", " ");
  const auto slash = path.find('/');
  if (slash == std::string_view::npos || into.size() >= kMostRelations) return;
  std::string relation(path.substr(slash + 1));
  while (!relation.empty() && (relation.back() == ';' || relation.back() == ',')) relation.pop_back();
  into.insert(std::move(relation));
}

/// Rows of one transaction and of its parts (subtransactions), by relation.
using RowsOf = std::map<std::string, LostRows, std::less<>>;

/// A record of rmgr Heap or Heap2.
void note_rows(std::string_view line, RowsOf& into) {
  auto relation = between(line, "rel ", " ");
  const auto what = between(line, "desc: ", " ");
  std::uint64_t LostRows::* counted = nullptr;
  std::uint64_t rows = 1;
  if (what == "INSERT" || what == "INSERT+INIT") counted = &LostRows::inserted;
  if (what == "UPDATE" || what == "UPDATE+INIT" || what == "HOT_UPDATE" || what == "HOT_UPDATE+INIT") counted = &LostRows::updated;
  if (what == "DELETE") counted = &LostRows::deleted;
  if (what == "MULTI_INSERT" || what == "MULTI_INSERT+INIT") {
    counted = &LostRows::inserted;
    auto text = line.substr(line.find("MULTI_INSERT"));
    rows = parse_u64(between(text, " ", " ")).value_or(0);
  }
  if (counted == nullptr || relation.empty()) return;
  auto found = into.find(relation);
  if (found == into.end()) found = into.emplace(std::string(relation), LostRows{std::string(relation)}).first;
  found->second.*counted += rows;
}

std::uint64_t transaction_of(std::string_view line) {
  auto number = between(line, "tx: ", ",");
  while (!number.empty() && number.front() == ' ') number.remove_prefix(1);
  return parse_u64(number).value_or(0);
}

/// "COMMIT …; subxacts: 764 765; inval msgs: …"
std::vector<std::uint64_t> parts_of(std::string_view commit) {
  std::vector<std::uint64_t> parts;
  auto rest = between(commit, "subxacts: ", ";");
  while (!rest.empty()) {
    const auto end = std::min(rest.find(' '), rest.size());
    if (const auto number = parse_u64(rest.substr(0, end))) parts.push_back(*number);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return parts;
}

/// The new production's timeline, by its log's files, and its history.
Result<std::pair<std::uint32_t, std::string>> history_at(const postgres::ConnectionSettings& source) {
  auto connection = postgres::Connection::open(source);
  if (!connection) return pass(connection);
  auto current = connection->query("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int");
  if (!current) return pass(current);
  const auto timeline = parse_u64(current->text(0, 0));
  if (!timeline) return std::unexpected(timeline.error());
  if (*timeline == 1) return std::pair(std::uint32_t{1}, std::string());
  auto text = connection->query(fmt::format("SELECT convert_from(pg_read_binary_file('pg_wal/{:08X}.history'), 'UTF8')", *timeline));
  if (!text) return pass(text);
  return std::pair(static_cast<std::uint32_t>(*timeline), std::string(text->text(0, 0)));
}

json::object to_json(const Lost& lost, Term term, WallTime now) {
  json::array transactions, relations;
  for (const auto& each : lost.transactions) {
    transactions.push_back(json::object{{"number", std::to_string(each.number)}, {"committed", to_string(each.committed)}, {"time", each.time}});
  }
  for (const auto& each : lost.relations) relations.push_back(json::string(each));
  json::array rows;
  for (const auto& each : lost.rows) {
    rows.push_back(json::object{{"relation", each.relation}, {"inserted", std::to_string(each.inserted)}, {"updated", std::to_string(each.updated)}, {"deleted", std::to_string(each.deleted)}});
  }
  return {{"rows", std::move(rows)}, {"term", std::to_string(term.value)}, {"listed", to_iso8601(now)}, {"timeline", std::to_string(lost.timeline)}, {"fork", to_string(lost.fork)},
          {"end", to_string(lost.end)}, {"commits", std::to_string(lost.transactions.size())}, {"transactions", transactions}, {"relations", relations}};
}

std::filesystem::path list_of(const std::filesystem::path& directory, const mirror::PairRecord& record) {
  return directory / "mirror" / fmt::format("lost-{}.json", record.term.value);
}

/// One that names what was lost, or that nothing was. Errors: kIo.
Result<bool> listed_before(const std::filesystem::path& directory, const mirror::PairRecord& record) {
  auto text = os::read_file(list_of(directory, record), kMostListed);
  if (!text && text.error().code == ErrorCode::kNotFound) return false;
  if (!text) return pass(text);
  const auto object = object_of(*text);
  return object && object->contains("transactions");
}

Status write(const std::filesystem::path& directory, const mirror::PairRecord& record, const json::object& what) {
  return os::write_file_atomically(list_of(directory, record), json::serialize(what) + "\n", 0600);
}

}  // namespace

Lost lost_in(std::string_view waldump) {
  Lost lost;
  std::set<std::string> relations;
  std::unordered_map<std::uint64_t, RowsOf> open;  // by transaction
  RowsOf committed;
  const auto take = [&](std::uint64_t number) {
    const auto found = open.find(number);
    if (found == open.end()) return;
    for (auto& [relation, rows] : found->second) {
      auto& sum = committed.try_emplace(relation, LostRows{relation}).first->second;
      sum.inserted += rows.inserted;
      sum.updated += rows.updated;
      sum.deleted += rows.deleted;
    }
    open.erase(found);
  };
  while (!waldump.empty()) {
    const auto line = next_line(waldump);
    note_relation(line, relations);
    if (const auto at = parse_lsn(between(line, "lsn: ", ","))) lost.end = *at;
    const bool commits = line.find("rmgr: Transaction") != std::string_view::npos && line.find("desc: COMMIT") != std::string_view::npos;
    if (line.starts_with("rmgr: Heap")) note_rows(line, open[transaction_of(line)]);
    if (!commits) continue;
    const auto number = transaction_of(line);
    take(number);
    for (const auto part : parts_of(line)) take(part);
    // "desc: COMMIT 2026-11-22 18:51:21.123456 UTC; …"
    auto time = between(line, "COMMIT ", ";");
    if (const auto prepared = time.find(": "); prepared != std::string_view::npos) time.remove_prefix(prepared + 2);
    lost.transactions.push_back({number, lost.end, std::string(time)});
  }
  lost.relations.assign(relations.begin(), relations.end());
  for (auto& [relation, rows] : committed) lost.rows.push_back(std::move(rows));
  std::ranges::stable_sort(lost.rows, std::greater{}, [](const LostRows& each) { return each.inserted + each.updated + each.deleted; });
  if (lost.rows.size() > kMostRelations) lost.rows.resize(kMostRelations);
  return lost;
}

Result<Lsn> fork_of(std::string_view history, std::uint32_t timeline) {
  while (!history.empty()) {
    const auto line = next_line(history);
    const auto tab = line.find('\t');
    const auto left = tab == std::string_view::npos ? Result<std::uint64_t>(std::unexpected(Error{})) : parse_u64(line.substr(0, tab));
    if (!left || *left != timeline) continue;
    const auto rest = line.substr(tab + 1);
    return parse_lsn(rest.substr(0, rest.find('\t')));
  }
  return fail(ErrorCode::kNotFound, phrase("find where the two histories part: timeline {} is no part of the other machine's", timeline));
}

Status list_lost(const std::filesystem::path& directory, const postgres::OwnedServer& server, const postgres::ConnectionSettings& source,
                 const mirror::PairRecord& record, WallTime now) {
  const auto before = listed_before(directory, record);
  if (!before) return std::unexpected(before.error());
  if (*before) return {};
  const auto stopped = server.stopped_at();
  if (!stopped) return std::unexpected(stopped.error());
  const auto history = history_at(source);
  if (!history) return std::unexpected(history.error());
  // Whoever was overtaken by a promotion is on an older timeline. On the same one each machine was promoted by itself: pg_rewind would
  // find nothing to do, and the mirror would follow a history that is not its own.
  if (history->first == stopped->timeline) {
    return fail(ErrorCode::kDamaged, phrase("find where the two histories part: both machines were promoted to timeline {}", stopped->timeline));
  }
  const auto fork = fork_of(history->second, stopped->timeline);
  if (!fork) return std::unexpected(fork.error());
  const auto log = server.log_from(stopped->timeline, *fork);
  if (!log) return std::unexpected(log.error());
  Lost lost = lost_in(*log);
  lost.fork = *fork;
  if (stopped->clean && *fork < stopped->end && lost.end < stopped->last_record) {
    return fail(ErrorCode::kDamaged, phrase("list what was lost: the log can be read up to {}, and it ends at {}", to_string(lost.end), to_string(stopped->end)));
  }
  lost.timeline = stopped->timeline;
  if (stopped->clean) lost.end = stopped->end;
  return write(directory, record, to_json(lost, record.term, now));
}

Status note_unlisted(const std::filesystem::path& directory, const mirror::PairRecord& record, const Error& why, WallTime now) {
  const auto before = listed_before(directory, record);
  if (!before) return std::unexpected(before.error());
  if (*before) return {};
  return write(directory, record, {{"term", std::to_string(record.term.value)}, {"listed", to_iso8601(now)}, {"not_readable", why.message}});
}

}  // namespace verbund::node
