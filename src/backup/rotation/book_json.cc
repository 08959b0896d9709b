// Entries as JSON. Order of members is that of writing; a reader takes any.
#include <boost/json.hpp>

#include "backup/rotation/book_words.h"
#include "base/ids.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;
namespace w = words;
using Outcome = fact::RunEnded::Outcome;

json::object person_json(const Person& person) { return {{"name", person.name}, {"mail", person.mail}}; }

struct Write {
  json::object& to;
  void operator()(const fact::MediumAdded& f) const {
    to["fact"] = "medium-added";
    to["id"] = f.id, to["label"] = f.label, to["class"] = w::of(w::kClass, f.medium_class), to["kind"] = w::of(w::kKind, f.kind);
  }
  void operator()(const fact::MediumTaken& f) const {
    to["fact"] = "medium-taken";
    to["id"] = f.id, to["by"] = f.by, to["to"] = w::of(w::kPlace, f.to);
  }
  void operator()(const fact::MediumBrought& f) const {
    to["fact"] = "medium-brought";
    to["id"] = f.id, to["by"] = f.by;
  }
  void operator()(const fact::MediumRetired& f) const {
    to["fact"] = "medium-retired";
    to["id"] = f.id, to["by"] = f.by, to["reason"] = f.reason, to["lost"] = f.lost;
  }
  void operator()(const fact::RunEnded& f) const {
    to["fact"] = "run-ended";
    to["set"] = f.set, to["set_sequence"] = std::to_string(f.set_sequence), to["outcome"] = w::of(w::kOutcome, f.outcome);
    to["level"] = w::of(w::kLevel, f.level), to["medium"] = f.medium, to["night"] = day_text(f.night);
  }
  void operator()(const fact::SetRemoved& f) const {
    to["fact"] = "set-removed";
    to["set"] = f.set, to["medium"] = f.medium;
  }
  void operator()(const fact::SetVerified& f) const {
    to["fact"] = "set-verified";
    to["set"] = f.set, to["medium"] = f.medium, to["level"] = w::of(w::kLevel, f.level), to["damaged"] = f.damaged;
  }
  void operator()(const fact::OffSiteVerified& f) const {
    to["fact"] = "off-site-verified";
    to["set"] = f.set, to["target"] = f.target;
  }
  void operator()(const fact::Ticked& f) const {
    to["fact"] = "ticked";
    to["day"] = day_text(f.day), to["task"] = w::of(w::kTask, f.task), to["by"] = f.by;
  }
  void operator()(const fact::DrillSigned& f) const {
    to["fact"] = "drill-signed";
    to["set"] = f.set, to["by"] = f.by, to["system"] = f.system, to["passed"] = f.passed;
  }
  void operator()(const fact::MailAcknowledged& f) const {
    to["fact"] = "mail-acknowledged";
    to["code"] = f.code, to["by"] = f.by;
  }
  void operator()(const fact::DutyGiven& f) const {
    to["fact"] = "duty-given";
    to["by"] = f.by;
    if (f.task) to["task"] = w::of(w::kTask, *f.task);
    if (f.weekday) to["weekday"] = w::kWeekday[f.weekday->c_encoding()];
    if (f.day) to["day"] = day_text(*f.day);
    to["responsible"] = person_json(f.responsible), to["deputy"] = person_json(f.deputy);
  }
  void operator()(const fact::AbsenceNoted& f) const {
    to["fact"] = "absence-noted";
    to["by"] = f.by, to["person"] = f.person, to["first"] = day_text(f.first), to["last"] = day_text(f.last), to["back"] = f.back;
  }
  void operator()(const fact::ClockSetBack&) const { to["fact"] = "clock-set-back"; }
};

/// Reads members; the first that is not as it should be is remembered, and nothing read after it matters.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}
  [[nodiscard]] bool has(const char* name) const { return object_.if_contains(name) != nullptr; }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

  std::string text(const char* name) {
    const auto* member = object_.if_contains(name);
    if (member && member->is_string()) return std::string(member->as_string());
    return refuse<std::string>(name);
  }
  bool flag(const char* name) {
    const auto* member = object_.if_contains(name);
    return member && member->is_bool() ? member->as_bool() : refuse<bool>(name);
  }
  std::uint64_t number(const char* name) {
    const auto value = parse_u64(text(name));
    return value ? *value : refuse<std::uint64_t>(name);
  }
  Day day(const char* name) {
    const auto value = parse_day(text(name));
    return value ? *value : refuse<Day>(name);
  }
  LocalTime time(const char* name) {
    const auto value = parse_local_time(text(name));
    return value ? *value : refuse<LocalTime>(name);
  }
  template <typename Table>
  auto word(const char* name, const Table& table) {
    const auto value = w::find(table, text(name));
    return value ? *value : refuse<decltype(table[0].value)>(name);
  }
  std::chrono::weekday weekday(const char* name) {
    const auto found = std::ranges::find(w::kWeekday, text(name));
    if (found == w::kWeekday.end()) return refuse<std::chrono::weekday>(name);
    return std::chrono::weekday{static_cast<unsigned>(found - w::kWeekday.begin())};
  }
  Person person(const char* name) {
    const auto* member = object_.if_contains(name);
    const auto* object = member ? member->if_object() : nullptr;
    if (!object) return refuse<Person>(name);
    Reader inner(*object);
    Person person{inner.text("name"), inner.text("mail")};
    if (!inner.wrong().empty()) return refuse<Person>(name);
    return person;
  }

 private:
  template <typename T>
  T refuse(const char* name) {
    if (wrong_.empty()) wrong_ = name;
    return T{};
  }
  const json::object& object_;
  std::string wrong_;
};

fact::DutyGiven read_duty(Reader& r) {
  fact::DutyGiven duty;
  duty.by = r.text("by");
  if (r.has("task")) duty.task = r.word("task", w::kTask);
  if (r.has("weekday")) duty.weekday = r.weekday("weekday");
  if (r.has("day")) duty.day = r.day("day");
  duty.responsible = r.person("responsible");
  duty.deputy = r.person("deputy");
  return duty;
}

fact::RunEnded read_run(Reader& r) {
  return {r.text("set"), r.number("set_sequence"), r.word("outcome", w::kOutcome), r.word("level", w::kLevel), r.text("medium"), r.day("night")};
}

using Read = Fact (*)(Reader&);
struct FactReader {
  std::string_view name;
  Read read;
};
// Members of a braced initialiser are evaluated from left to right.
constexpr FactReader kFacts[] = {
    {"medium-added", [](Reader& r) -> Fact { return fact::MediumAdded{r.text("id"), r.text("label"), r.word("class", w::kClass), r.word("kind", w::kKind)}; }},
    {"medium-taken", [](Reader& r) -> Fact { return fact::MediumTaken{r.text("id"), r.text("by"), r.word("to", w::kPlace)}; }},
    {"medium-brought", [](Reader& r) -> Fact { return fact::MediumBrought{r.text("id"), r.text("by")}; }},
    {"medium-retired", [](Reader& r) -> Fact { return fact::MediumRetired{r.text("id"), r.text("by"), r.text("reason"), r.flag("lost")}; }},
    {"run-ended", [](Reader& r) -> Fact { return read_run(r); }},
    {"set-removed", [](Reader& r) -> Fact { return fact::SetRemoved{r.text("set"), r.text("medium")}; }},
    {"set-verified", [](Reader& r) -> Fact { return fact::SetVerified{r.text("set"), r.text("medium"), r.word("level", w::kLevel), r.flag("damaged")}; }},
    {"off-site-verified", [](Reader& r) -> Fact { return fact::OffSiteVerified{r.text("set"), r.text("target")}; }},
    {"ticked", [](Reader& r) -> Fact { return fact::Ticked{r.day("day"), r.word("task", w::kTask), r.text("by")}; }},
    {"drill-signed", [](Reader& r) -> Fact { return fact::DrillSigned{r.text("set"), r.text("by"), r.text("system"), r.flag("passed")}; }},
    {"mail-acknowledged", [](Reader& r) -> Fact { return fact::MailAcknowledged{r.text("code"), r.text("by")}; }},
    {"duty-given", [](Reader& r) -> Fact { return read_duty(r); }},
    {"absence-noted", [](Reader& r) -> Fact { return fact::AbsenceNoted{r.text("by"), r.text("person"), r.day("first"), r.day("last"), r.flag("back")}; }},
    {"clock-set-back", [](Reader&) -> Fact { return fact::ClockSetBack{}; }},
};

std::unexpected<Error> damaged(Phrase why) { return fail(ErrorCode::kDamaged, phrase("ledger entry: {}", why)); }

}  // namespace

std::string json_of(const Entry& entry) {
  json::object object{{"sequence", std::to_string(entry.sequence)}, {"at", local_time_text(entry.at)}};
  std::visit(Write{object}, entry.fact);
  return json::serialize(object);
}

Result<Entry> entry_of(std::string_view text) {
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  const auto* object = error ? nullptr : value.if_object();
  if (!object) return damaged(phrase("no JSON object"));
  Reader reader(*object);
  Entry entry{.sequence = reader.number("sequence"), .at = reader.time("at"), .fact = fact::ClockSetBack{}};
  const auto name = reader.text("fact");
  const auto* known = std::ranges::find(kFacts, name, &FactReader::name);
  if (reader.wrong().empty() && known == std::end(kFacts)) return damaged(phrase("'{}' is no fact that this version knows", name));
  if (known != std::end(kFacts)) entry.fact = known->read(reader);
  if (!reader.wrong().empty()) return damaged(phrase("member {}", reader.wrong()));
  return entry;
}

}  // namespace verbund::backup
