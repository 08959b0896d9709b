#include "node/mirror/machine_report.h"

#include "base/ids.h"
#include "base/messages.h"
#include "node/mirror/report.h"

namespace verbund::node {
namespace {

namespace json = boost::json;
using mirror::MachineFacts;

/// Of anything that is listed: more is no machine of ours.
constexpr std::size_t kMostListed = 5'000;

std::unexpected<Error> bad(std::string_view name) { return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", name)); }

json::value optional_seconds(const std::optional<seconds>& span) { return span ? json::value(span->count()) : json::value(nullptr); }

json::object json_of(const mirror::Disk& disk) {
  return {{"free_bytes", std::to_string(disk.free_bytes)}, {"total_bytes", std::to_string(disk.total_bytes)}, {"lasts_s", optional_seconds(disk.lasts)}};
}

std::int64_t in_seconds(nanoseconds span) { return std::chrono::duration_cast<seconds>(span).count(); }

json::object json_of(const mirror::BackupLook& backup, WallTime now) {
  return {{"good_age_s", backup.last_good ? json::value(in_seconds(now - *backup.last_good)) : json::value(nullptr)}, {"due_in_s", in_seconds(backup.due - now)}};
}

json::object json_of(const std::map<std::string, std::string>& texts) {
  json::object object;
  for (const auto& [name, value] : texts) object[name] = value;
  return object;
}

json::object json_of(const mirror::ServerLook& server) {
  json::array extensions, collations;
  for (const auto& each : server.extensions) extensions.push_back(json::array{each.database, each.name, each.version, each.offered});
  for (const auto& each : server.collations) collations.push_back(json::array{each.database, each.name, each.recorded, each.actual});
  return {{"version", server.version}, {"settings", json_of(server.settings)}, {"extensions", extensions}, {"collations", collations}};
}

const json::object* object_in(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  return member != nullptr ? member->if_object() : nullptr;
}

std::optional<std::int64_t> integer_in(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (member == nullptr || !member->is_int64()) return std::nullopt;
  // Some hundred years: a sum with the time of day stays a time.
  constexpr std::int64_t kMost = 10'000'000'000;
  return std::clamp(member->as_int64(), -kMost, kMost);
}

Result<std::map<std::string, std::string>> texts_of(const json::object& from, std::string_view name) {
  std::map<std::string, std::string> texts;
  const auto* object = object_in(from, name);
  if (object == nullptr) return texts;
  if (object->size() > kMostListed) return bad(name);
  for (const auto& [key, value] : *object) {
    if (!value.is_string()) return bad(name);
    texts.emplace(key, value.as_string());
  }
  return texts;
}

/// Lists of four texts each.
template <typename T>
Result<std::vector<T>> fours_of(const json::object& from, std::string_view name) {
  std::vector<T> all;
  const auto* member = from.if_contains(name);
  if (member == nullptr || !member->is_array() || member->as_array().size() > kMostListed) return bad(name);
  for (const auto& each : member->as_array()) {
    const auto* row = each.if_array();
    if (row == nullptr || row->size() != 4 || !std::ranges::all_of(*row, [](const json::value& value) { return value.is_string(); })) return bad(name);
    const auto text = [row](std::size_t column) { return std::string((*row)[column].as_string()); };
    all.push_back(T{text(0), text(1), text(2), text(3)});
  }
  return all;
}

Result<mirror::ServerLook> server_of(const json::object& object) {
  mirror::ServerLook server;
  auto version = text_of(object, "version");
  if (!version) return pass(version);
  server.version = std::move(*version);
  auto settings = texts_of(object, "settings");
  if (!settings) return pass(settings);
  server.settings = std::move(*settings);
  auto extensions = fours_of<mirror::Extension>(object, "extensions");
  if (!extensions) return pass(extensions);
  server.extensions = std::move(*extensions);
  auto collations = fours_of<mirror::Collation>(object, "collations");
  if (!collations) return pass(collations);
  server.collations = std::move(*collations);
  return server;
}

}  // namespace

json::object to_message(const MachineFacts& facts, WallTime now) {
  json::object object{{"name", facts.name}, {"program", facts.program}, {"options", json_of(facts.options)}, {"wall", to_iso8601(now)}};
  if (facts.disk) object["disk"] = json_of(*facts.disk);
  if (facts.server) object["server"] = json_of(*facts.server);
  if (facts.backup) object["backup"] = json_of(*facts.backup, now);
  return object;
}

Result<MachineFacts> machine_from(const json::object& object, WallTime now) {
  MachineFacts facts;
  auto name = text_of(object, "name");
  if (!name) return pass(name);
  auto program = text_of(object, "program");
  if (!program) return pass(program);
  facts.name = std::move(*name);
  facts.program = std::move(*program);
  auto options = texts_of(object, "options");
  if (!options) return pass(options);
  facts.options = std::move(*options);
  if (const auto wall = text_of(object, "wall"); wall) {
    const auto there = from_iso8601(*wall);
    if (!there) return bad("wall");
    facts.clock_ahead = std::chrono::duration_cast<milliseconds>(*there - now);
  }
  if (const auto* disk = object_in(object, "disk")) {
    const auto free = number_of(*disk, "free_bytes");
    const auto total = number_of(*disk, "total_bytes");
    if (!free || !total || *free > *total || *total > UINT64_MAX / 100) return bad("disk");
    facts.disk = mirror::Disk{*free, *total, {}};
    if (const auto lasts = integer_in(*disk, "lasts_s")) facts.disk->lasts = seconds{*lasts};
  }
  if (const auto* backup = object_in(object, "backup")) {
    const auto due = integer_in(*backup, "due_in_s");
    if (!due) return bad("backup");
    facts.backup = mirror::BackupLook{.last_good = {}, .due = now + seconds{*due}};
    if (const auto age = integer_in(*backup, "good_age_s")) facts.backup->last_good = now - seconds{*age};
  }
  if (const auto* server = object_in(object, "server")) {
    auto read = server_of(*server);
    if (!read) return pass(read);
    facts.server = std::move(*read);
  }
  return facts;
}

json::object to_json(const MachineFacts& facts, WallTime now) {
  return {{"name", facts.name}, {"version", facts.program}, {"postgres", facts.server ? json::value(facts.server->version) : json::value(nullptr)},
          {"disk", facts.disk ? json::value(json_of(*facts.disk)) : json::value(nullptr)},
          {"backup", facts.backup ? json::value(json_of(*facts.backup, now)) : json::value(nullptr)},
          {"clock_ahead_ms", facts.clock_ahead ? json::value(facts.clock_ahead->count()) : json::value(nullptr)}};
}

json::array to_json(const std::vector<mirror::Finding>& findings) {
  json::array all;
  for (const auto& each : findings) {
    all.push_back(json::object{{"kind", to_string(each.kind)}, {"severity", to_string(each.severity)}, {"name", each.name}, {"production", each.production},
                               {"mirror", each.mirror}, {"also", each.also}, {"text", text_of(each).english()}, {"hint", hint_of(each).english()}});
  }
  return all;
}

std::optional<mirror::Finding> finding_from(const json::object& object) {
  using mirror::FindingKind;
  using mirror::Severity;
  mirror::Finding finding;
  const auto text = [&](std::string_view name) { return text_of(object, name).value_or(""); };
  const auto kind = text("kind"), severity = text("severity");
  bool known = false;
  for (int each = 0; each <= static_cast<int>(FindingKind::kClock); ++each) {
    if (kind != mirror::to_string(static_cast<FindingKind>(each))) continue;
    finding.kind = static_cast<FindingKind>(each);
    known = true;
  }
  if (!known) return std::nullopt;
  for (const auto each : {Severity::kNotice, Severity::kWarning, Severity::kDanger}) {
    if (severity == mirror::to_string(each)) finding.severity = each;
  }
  finding.name = text("name");
  finding.production = text("production");
  finding.mirror = text("mirror");
  finding.also = text("also");
  return finding;
}

}  // namespace verbund::node
