#include "importer/batch_writer.h"

#include "importer/references.h"
#include "importer/batch_upsert.h"

namespace verbund::importer {
namespace {

std::string identity_text(std::string_view system, std::string_view value) { return fmt::format("{}\x1f{}", system, value); }
std::string identity_text(const Identifier& identifier) { return identity_text(identifier.system, identifier.value); }

const ChildRow* child_of(const Mapped& mapped) {
  return std::visit(
      [](const auto& row) -> const ChildRow* {
        using Row = std::decay_t<decltype(row)>;
        if constexpr (std::is_same_v<Row, PatientRow>) return nullptr;
        else if constexpr (std::is_same_v<Row, ObservationRows>) return &row.front();
        else return &row;
      },
      mapped.row);
}

/// Names under which the batch must not hold anything else yet.
std::vector<std::string> identities_of(const Mapped& mapped) {
  std::vector<std::string> out;
  const auto* child = child_of(mapped);
  if (child != nullptr) {
    out.push_back(fmt::format("{}\x1f{}", mapped.row.index(), identity_text(child->identifier_system, child->identifier_value)));
  }
  for (const auto& identifier : mapped.identifiers) {
    if (!identifier.system.empty()) out.push_back(identity_text(identifier));
  }
  // Two records of one person: the second shall find what the first has written.
  if (child == nullptr && mapped.person) {
    const auto& [family, given, birth] = *mapped.person;
    out.push_back(fmt::format("person\x1f{}\x1f{}\x1f{}", family, given, birth));
  }
  return out;
}

std::string columns_of_row(const Mapped& mapped) {
  return std::visit(
      [](const auto& row) {
        if constexpr (requires { row.front(); }) {
          json::array parts;
          for (const auto& part : row) parts.push_back(row_json(part));
          return json::serialize(parts);
        } else {
          return json::serialize(row_json(row));
        }
      },
      mapped.row);
}

bool says_the_same(const Mapped& one, const Mapped& other) {
  const auto same_link = [](const Link& a, const Link& b) {
    return std::ranges::equal(a.candidates, b.candidates, [](const auto& x, const auto& y) { return x.same_as(y); });
  };
  return one.type == other.type && one.person == other.person && same_link(one.patient, other.patient) &&
         same_link(one.encounter, other.encounter) && columns_of_row(one) == columns_of_row(other);
}

json::array keys_json(const std::set<std::pair<std::string, std::string>>& keys) {
  json::array out;
  for (const auto& [system, value] : keys) out.push_back({{"system", system}, {"value", value}});
  return out;
}

}  // namespace

BatchWriter::BatchWriter(postgres::Connection& connection, const WriterOptions& options, ImportReport& report, WaitSink wait)
    : connection_(connection), options_(options), guard_(connection, options.locks), report_(report), wait_(std::move(wait)) {
  options_.batch_size = std::max<std::size_t>(options_.batch_size, 1);
}

Status BatchWriter::add(Mapped mapped, Origin origin, Missing missing) {
  if (options_.match != PatientMatch::kIdentifier) mapped.person = person_of(mapped);
  auto identities = identities_of(mapped);
  bool full = missing != missing_ || items_.size() >= options_.batch_size;
  std::optional<std::size_t> first;
  if (!full) {
    first = repeats(mapped, identities);
    full = !first && std::ranges::any_of(identities, [&](const auto& i) { return identities_.contains(i); });
  }
  if (full) {
    if (auto flushed = flush(); !flushed) return flushed;
  }
  missing_ = missing;
  for (auto& identity : identities) identities_.emplace(std::move(identity), items_.size());
  Item item{std::move(mapped), std::move(origin), first ? Outcome::kRepeats : Outcome::kPending, {}, {}, first.value_or(0)};
  item.notes = item.mapped.notes;
  items_.push_back(std::move(item));
  return {};
}

/// A file says some things again and again (BDT: the day of each entry): the batch need not end for that.
std::optional<std::size_t> BatchWriter::repeats(const Mapped& mapped, std::span<const std::string> identities) const {
  if (child_of(mapped) == nullptr || identities.size() != 1) return std::nullopt;
  const auto found = identities_.find(identities.front());
  if (found == identities_.end() || !says_the_same(items_[found->second].mapped, mapped)) return std::nullopt;
  return found->second;
}

Status BatchWriter::flush() {
  if (items_.empty()) return {};
  auto written = write_and_commit();
  guard_.over();
  if (!written) return pass(written, "import");
  tally();
  items_.clear();
  identities_.clear();
  patients_.clear();
  people_.clear();
  encounters_.clear();
  ++batches_;
  return {};
}

Status BatchWriter::write_and_commit() {
  std::optional<postgres::Connection::Transaction> transaction;
  if (!options_.within_transaction) {
    auto begun = connection_.begin();
    if (!begun) return pass(begun);
    transaction.emplace(std::move(*begun));
  }
  // A plan kept from the first batches would go on reading whole tables that have grown since.
  if (auto set = connection_.execute("SET LOCAL plan_cache_mode = force_custom_plan"); !set) return set;
  if (auto begun = guard_.begin(); !begun) return begun;
  if (auto written = write_batch(); !written) return written;
  if (!transaction) return {};
  if (auto settled = guard_.settle(); !settled) return settled;
  return transaction->commit();
}

Status BatchWriter::write_batch() {
  for (const auto step : {&BatchWriter::look_up_patients, &BatchWriter::look_up_people, &BatchWriter::write_patients,
                          &BatchWriter::write_encounters, &BatchWriter::look_up_encounters,
                          &BatchWriter::write_conditions_and_medications, &BatchWriter::write_observations}) {
    if (auto done = (this->*step)(); !done) return done;
  }
  return {};
}

Status BatchWriter::look_up_patients() {
  std::set<std::pair<std::string, std::string>> keys;
  for (const auto& item : items_) {
    for (const auto& identifier : item.mapped.identifiers) keys.emplace(identifier.system, identifier.value);
    for (const auto& candidate : item.mapped.patient.candidates) keys.emplace(candidate.system, candidate.value);
  }
  auto rows = connection_.query(
      "SELECT i.system, i.value, p.id::text, p.family_name, coalesce(p.birth_date::text, '') "
      "FROM json_to_recordset($1::json) AS k(system text, value text) "
      "JOIN patient_identifier i ON i.system = k.system AND i.value = k.value AND i.system <> '' "
      "JOIN patient p ON p.id = i.patient_id",
      {json::serialize(keys_json(keys))});
  if (!rows) return pass(rows, "look up patients");
  for (int row = 0; row < rows->size(); ++row) {
    patients_[identity_text(rows->text(row, 0), rows->text(row, 1))] = {
        std::string(rows->text(row, 2)), std::string(rows->text(row, 3)), std::string(rows->text(row, 4))};
  }
  return {};
}

void BatchWriter::choose_patient(Item& item) {
  auto& row = std::get<PatientRow>(item.mapped.row);
  const KnownPatient* found = nullptr;
  bool by_own_url = false;
  for (const auto& identifier : item.mapped.identifiers) {
    const auto known = patients_.find(identity_text(identifier));
    if (known == patients_.end()) continue;
    if (found != nullptr && found->id != known->second.id) return skip(item, SkipReason::kIdentifierConflict);
    found = &known->second;
    by_own_url = &identifier == &item.mapped.identifiers.back() && identifier.system == kSystemUri;
  }
  if (options_.match != PatientMatch::kIdentifier && (found == nullptr || options_.match == PatientMatch::kPerson)) {
    const auto* person = by_person(item);
    if (item.outcome == Outcome::kSkipped) return;
    // Its number belongs to a patient of another name.
    if (found != nullptr && (person == nullptr || person->id != found->id)) return skip(item, SkipReason::kOtherPerson);
    found = person;
  }
  if (found == nullptr) return;
  // A number can be given twice by mistake, and 'Patient/1' exists in every system: never turn one person into another.
  const bool other_name = found->family_name != row.family_name;
  const bool other_birth = row.birth_date && !found->birth_date.empty() && row.birth_date->to_sql() != found->birth_date;
  if (!by_own_url && other_name && other_birth) return skip(item, SkipReason::kOtherPerson);
  row.id = found->id;
}

Status BatchWriter::write_patients() {
  for (auto& item : items_) {
    if (std::holds_alternative<PatientRow>(item.mapped.row)) choose_patient(item);
  }
  const auto all = pending<PatientRow>();
  for (const bool partial : {false, true}) {
    std::vector<Pending<PatientRow>> rows;
    std::copy_if(all.begin(), all.end(), std::back_inserter(rows), [&](const auto& row) { return row.item->mapped.partial == partial; });
    auto changes = upsert<PatientRow>(rows, partial ? Absent::kStays : Absent::kClears);
    if (!changes) return pass(changes, "write patients");
    for (const auto& [row, item] : rows) settle(*item, *changes, row->id);
  }
  for (const auto& item : items_) {
    const auto* row = std::get_if<PatientRow>(&item.mapped.row);
    // Who somebody has locked is there all the same: what belongs to him is refused for the same reason.
    if (row == nullptr || item.skip.reason == SkipReason::kHeld) continue;
    const KnownPatient written{row->id, row->family_name, row->birth_date ? row->birth_date->to_sql() : ""};
    for (const auto& identifier : item.mapped.identifiers) {
      if (identifier.system.empty()) continue;
      if (item.outcome == Outcome::kSkipped) refused_patients_.insert(identity_text(item.mapped.identifiers.back()));
      else patients_[identity_text(identifier)] = written;
    }
    if (item.outcome != Outcome::kSkipped && item.mapped.person) people_[*item.mapped.person] = {written};
  }
  return write_identifiers();
}

Status BatchWriter::write_identifiers() {
  std::vector<GivenIdentifiers> given;
  for (auto& item : items_) {
    const auto* row = std::get_if<PatientRow>(&item.mapped.row);
    if (row == nullptr || item.outcome == Outcome::kSkipped || item.mapped.identifiers.empty()) continue;
    given.push_back({&item, {}});
    for (const auto& identifier : item.mapped.identifiers) {
      json::object columns{{"patient_id", row->id}, {"system", identifier.system}, {"value", identifier.value}};
      JsonColumns{columns}("use", identifier.use);
      JsonColumns{columns}("type", identifier.type);
      given.back().rows.push_back(std::move(columns));
    }
  }
  if (given.empty()) return {};
  auto all = attempt([&] { return add_identifiers(given); });
  if (!all) return pass(all);
  for (std::size_t at = 0; !*all && at < given.size(); ++at) {
    auto one = attempt([&] { return add_identifiers(std::span(given).subspan(at, 1)); });
    if (!one) return pass(one);
    if (!*one) skip_refused(*given[at].item, *refusal_);
  }
  return {};
}

Status BatchWriter::add_identifiers(std::span<const GivenIdentifiers> given) {
  json::array rows;
  std::unordered_map<std::string, Item*> by_id;
  for (const auto& [item, columns] : given) {
    by_id[std::get<PatientRow>(item->mapped.row).id] = item;
    rows.insert(rows.end(), columns.begin(), columns.end());
  }
  auto added = connection_.query(
      "INSERT INTO patient_identifier (patient_id, system, value, use, type) "
      "SELECT patient_id, system, value, use, type FROM json_populate_recordset(NULL::patient_identifier, $1::json) "
      "ON CONFLICT DO NOTHING RETURNING patient_id::text",
      {json::serialize(rows)});
  if (!added) return pass(added, "write identifiers");
  for (int row = 0; row < added->size(); ++row) {
    const auto found = by_id.find(std::string(added->text(row, 0)));
    if (found != by_id.end() && found->second->outcome == Outcome::kUnchanged) found->second->outcome = Outcome::kUpdated;
  }
  return {};
}

void BatchWriter::settle(Item& item, const Changes& changes, std::string_view key) {
  if (item.outcome == Outcome::kSkipped) return;
  const auto found = changes.find(std::string(key));
  if (found == changes.end()) item.outcome = Outcome::kUnchanged;
  else item.outcome = found->second == Change::kInserted ? Outcome::kImported : Outcome::kUpdated;
}

void BatchWriter::skip(Item& item, SkipReason reason, std::string detail) {
  item.outcome = Outcome::kSkipped;
  item.skip = {reason, std::move(detail)};
}

void BatchWriter::skip_refused(Item& item, const Error& error) {
  if (auto holder = guard_.held_by()) return skip(item, SkipReason::kHeld, std::move(*holder));
  skip(item, SkipReason::kDatabaseRefused, error.message);
}

Result<bool> BatchWriter::attempt(const std::function<Status()>& write) {
  if (auto marked = connection_.execute("SAVEPOINT batch"); !marked) return pass(marked);
  auto written = write();
  if (written) {
    if (auto released = connection_.execute("RELEASE batch"); !released) return pass(released);
    return true;
  }
  const auto code = written.error().code;
  if (code != ErrorCode::kConstraint && code != ErrorCode::kDatabase) return pass(written);
  refusal_ = std::move(written.error());
  if (auto back = connection_.execute("ROLLBACK TO batch; RELEASE batch"); !back) return pass(back);
  return false;
}

void BatchWriter::settle_repeated(Item& item) const {
  const auto& first = items_[item.first];
  const bool there = first.outcome == Outcome::kImported || first.outcome == Outcome::kUpdated;
  item.outcome = there ? Outcome::kUnchanged : first.outcome;
  item.skip = first.skip;
}

void BatchWriter::tally() {
  for (auto& item : items_) {
    if (item.outcome == Outcome::kRepeats) settle_repeated(item);
    if (item.outcome == Outcome::kWaits) {
      wait_(item.mapped, item.origin);
      continue;
    }
    auto& type = report_.types[item.mapped.type];
    switch (item.outcome) {
      case Outcome::kImported: ++type.imported; break;
      case Outcome::kUpdated: ++type.updated; break;
      case Outcome::kUnchanged: ++type.unchanged; break;
      default: type.skipped[item.skip].add(item.origin.where); continue;
    }
    for (const auto note : item.notes) type.notes[note].add(item.origin.where);
  }
}

}  // namespace verbund::importer
