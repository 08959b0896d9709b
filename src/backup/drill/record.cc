#include "backup/drill/record.h"

#include <sodium.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/ids.h"
#include "base/time.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMaxRecordBytes = 1024 * 1024, kMaxJournalBytes = 64 * 1024 * 1024;

fs::path drills_file(const fs::path& installation) { return installation / "backup" / "drills.jsonl"; }

std::string hex(const unsigned char* bytes, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

std::optional<std::chrono::sys_days> day_of(std::string_view text) {
  const auto time = from_iso8601(std::string(text) + "T00:00:00.000000Z");
  return time ? std::optional(std::chrono::floor<std::chrono::days>(*time)) : std::nullopt;
}

std::string text_of(const json::object& object, const char* name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->get_string()) : std::string();
}

bool flag_of(const json::object& object, const char* name) {
  const auto* member = object.if_contains(name);
  return member && member->is_bool() && member->get_bool();
}

}  // namespace

std::string drill_day(std::chrono::sys_days day) {
  return to_iso8601(std::chrono::time_point_cast<microseconds>(day)).substr(0, 10);
}

std::string drill_json(const DrillRecord& record) {
  json::array checks;
  for (const auto& check : record.checks) {
    checks.push_back(json::object{{"what", check.what.english()}, {"passed", check.passed}, {"detail", check.detail.english()}});
  }
  const json::object root{{"format", 1},
                          {"installation", record.installation},
                          {"set", record.set},
                          {"sequence", std::to_string(record.sequence)},
                          {"day", drill_day(record.day)},
                          {"system", record.system},
                          {"by", record.by},
                          {"passed", record.passed},
                          {"same_system", record.same_system},
                          {"took_ms", std::to_string(record.took.count())},
                          {"checks", std::move(checks)}};
  std::string out = "{";
  const char* comma = "\n";
  for (const auto& [name, value] : root) out += fmt::format("{}{}: {}", std::exchange(comma, ",\n"), json::serialize(json::value(name)), json::serialize(value));
  return out + "\n}\n";
}

Result<DrillRecord> read_drill(std::string_view text) {
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  const auto* root = error ? nullptr : value.if_object();
  const auto day = root ? day_of(text_of(*root, "day")) : std::nullopt;
  const auto sequence = root ? parse_u64(text_of(*root, "sequence")) : Result<std::uint64_t>(std::unexpect);
  if (!day || !sequence) return fail(ErrorCode::kDamaged, phrase("read the record of a drill: it is none"));
  DrillRecord record;
  record.installation = text_of(*root, "installation");
  record.set = text_of(*root, "set");
  record.sequence = *sequence;
  record.day = *day;
  record.system = text_of(*root, "system");
  record.by = text_of(*root, "by");
  record.passed = flag_of(*root, "passed");
  record.same_system = flag_of(*root, "same_system");
  record.took = milliseconds{static_cast<std::int64_t>(std::min<std::uint64_t>(parse_u64(text_of(*root, "took_ms")).value_or(0), 1'000'000'000))};
  const auto* checks = root->if_contains("checks");
  for (const auto& check : checks && checks->is_array() ? checks->get_array() : json::array{}) {
    if (const auto* object = check.if_object()) {
      record.checks.push_back({verbatim(text_of(*object, "what")), flag_of(*object, "passed"), verbatim(text_of(*object, "detail"))});
    }
  }
  return record;
}

std::string drill_proof(std::string_view text, std::string_view secret) {
  unsigned char out[32];
  crypto_generichash(out, sizeof out, reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     reinterpret_cast<const unsigned char*>(secret.data()), std::min<std::size_t>(secret.size(), crypto_generichash_KEYBYTES_MAX));
  return hex(out, sizeof out);
}

Result<fs::path> write_drill(const fs::path& directory, const DrillRecord& record, std::string_view secret) {
  auto file = directory / fmt::format("drill-{}.json", drill_day(record.day));
  std::error_code error;
  for (int number = 2; fs::exists(file, error); ++number) file = directory / fmt::format("drill-{}-{}.json", drill_day(record.day), number);
  const auto text = drill_json(record);
  // The proof last: without it the file is nothing.
  if (auto written = os::write_file_atomically(file, text); !written) return pass(written);
  if (auto written = os::write_file_atomically(file.string() + ".proof", drill_proof(text, secret) + "\n"); !written) return pass(written);
  return file;
}

Result<DrillRecord> load_drill(const fs::path& file, std::string_view secret) {
  auto text = os::read_file(file, kMaxRecordBytes);
  if (!text) return pass(text);
  auto proof = os::read_file(file.string() + ".proof", 1024);
  if (!proof) return pass(proof);
  if (*proof != drill_proof(*text, secret) + "\n") {
    return fail(ErrorCode::kForbidden, phrase("{}: not of a set of this office, or changed since", file.native()));
  }
  return read_drill(*text);
}

Result<std::vector<DrillRecord>> entered_drills(const fs::path& installation) {
  std::vector<DrillRecord> drills;
  auto text = os::read_file(drills_file(installation), kMaxJournalBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return drills;
  if (!text) return pass(text);
  std::string_view rest = *text;
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    if (auto drill = read_drill(rest.substr(0, end))) drills.push_back(std::move(*drill));
    rest.remove_prefix(end + 1);
  }
  return drills;
}

Status enter_drill(const fs::path& installation, const DrillRecord& record) {
  auto known = entered_drills(installation);
  if (!known) return pass(known);
  const bool there = std::ranges::any_of(*known, [&](const DrillRecord& each) {
    return each.sequence == record.sequence && each.day == record.day && each.system == record.system && each.by == record.by && each.passed == record.passed;
  });
  if (there) return fail(ErrorCode::kAlreadyExists, phrase("enter a drill: that of {} with set {} is entered already", drill_day(record.day), record.set));
  auto line = drill_json(record);
  std::erase(line, '\n');
  if (auto made = os::make_directories(drills_file(installation).parent_path(), 0700); !made) return made;
  auto file = os::AppendFile::open(drills_file(installation));
  if (!file) return pass(file);
  return file->append(line);
}

}  // namespace verbund::backup
