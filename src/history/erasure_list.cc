#include "history/erasure_list.h"

#include <boost/json.hpp>

#include "base/ids.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::history {
namespace {

namespace json = boost::json;

std::string micros(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

std::string line_of(const Erasure& erasure) {
  return json::serialize(json::object{{"id", erasure.id}, {"record", erasure.record}, {"at_us", micros(erasure.at)},
                                      {"by", erasure.by}, {"reason", erasure.reason}});
}

Result<Erasure> erasure_of(std::string_view line) {
  boost::system::error_code error;
  const auto value = json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  const auto text = [&](std::string_view name) -> std::optional<std::string> {
    const auto* member = object ? object->if_contains(name) : nullptr;
    return member && member->is_string() ? std::optional(std::string(member->as_string())) : std::nullopt;
  };
  const auto id = text("id"), record = text("record"), at = text("at_us"), by = text("by"), reason = text("reason");
  const auto time = at ? parse_u64(*at) : Result<std::uint64_t>(0);
  if (!id || !record || !at || !time || !by || !reason) return fail(ErrorCode::kIo, phrase("a line of it is damaged"));
  return Erasure{*id, *record, WallTime{microseconds{static_cast<std::int64_t>(*time)}}, *by, *reason, 0};
}

bool has(const std::vector<Erasure>& all, const std::string& id) { return std::ranges::find(all, id, &Erasure::id) != all.end(); }

}  // namespace

std::filesystem::path erasures_file(const std::filesystem::path& installation) { return installation / "history" / "erasures.jsonl"; }

Result<std::vector<Erasure>> read_erasures(const std::filesystem::path& path) {
  std::vector<Erasure> all;
  auto text = os::read_file(path);
  if (!text && text.error().code == ErrorCode::kNotFound) return all;
  if (!text) return pass(text);
  std::string_view rest = *text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) break;  // cut off by a crash: never acknowledged
    auto erasure = erasure_of(rest.substr(0, end));
    if (!erasure) return pass(erasure, phrase("read {}", path.string()));
    all.push_back(std::move(*erasure));
    rest.remove_prefix(end + 1);
  }
  return all;
}

Status append_erasure(const std::filesystem::path& path, const Erasure& erasure) {
  if (auto made = os::make_directories(path.parent_path(), 0700); !made) return made;
  auto file = os::AppendFile::open(path);
  if (!file) return pass(file);
  return file->append(line_of(erasure));
}

Result<std::vector<Erasure>> entered_erasures(postgres::Connection& versions) {
  auto there = versions.query("SELECT to_regclass('history.erasure') IS NOT NULL");
  if (!there) return pass(there, "list the erasures");
  if (there->text(0, 0) != "t") return std::vector<Erasure>{};  // of a version that knew none
  auto rows = versions.query(
      "SELECT e.id, e.record, (extract(epoch FROM e.at) * 1000000)::bigint, e.by_user, e.reason,"
      "       (SELECT count(*) FROM history.version v WHERE v.erasure = e.number)"
      "  FROM history.erasure e ORDER BY e.at, e.number");
  if (!rows) return pass(rows, "list the erasures");
  std::vector<Erasure> all;
  for (int row = 0; row < rows->size(); ++row) {
    const auto text = [&](int column) { return std::string(rows->text(row, column)); };
    all.push_back({text(0), text(1), WallTime{microseconds{std::stoll(text(2))}}, text(3), text(4), parse_u64(text(5)).value_or(0)});
  }
  return all;
}

Result<std::vector<Erasure>> note_erasures(const std::filesystem::path& file, postgres::Connection& versions) {
  auto all = read_erasures(file);
  auto entered = entered_erasures(versions);
  if (!all) return pass(all);
  if (!entered) return pass(entered);
  for (const Erasure& erasure : *entered) {
    if (has(*all, erasure.id)) continue;
    if (auto kept = append_erasure(file, erasure); !kept) return pass(kept, "note an erasure");
    all->push_back(erasure);
  }
  return all;
}

}  // namespace verbund::history
