#include "importer/synthetic.h"

#include "importer/synthetic_words.h"

namespace verbund::importer {
namespace {

/// splitmix64: a few nanoseconds a number, and the same on every platform (std::uniform_int_distribution is not).
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// 0 … bound-1.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// low … high.
  int between(int low, int high) { return low + static_cast<int>(below(static_cast<std::uint64_t>(high - low + 1))); }
  bool chance(unsigned percent) { return below(100) < percent; }
  /// Around `middle`: the sum of three dice is nearly a bell.
  int around(int middle, int spread) {
    return middle + (between(-spread, spread) + between(-spread, spread) + between(-spread, spread)) / 2;
  }
  template <typename List>
  const auto& of(const List& list) { return list[below(list.size())]; }

 private:
  std::uint64_t state_;
};

constexpr std::chrono::sys_days kToday = std::chrono::year{2026} / 6 / 30;

/// One patient in the making.
class Maker {
 public:
  Maker(std::uint64_t seed, std::uint64_t number) : number_(number), dice_(seed * 0x9e3779b97f4a7c15ULL ^ number) {
    dice_.next();
    system_ = fmt::format("urn:verbund:synthetic:{}", seed);
  }

  SyntheticPatient make() {
    make_person();
    out_.identifiers.push_back({system_, fmt::format("{:09}", number_), "usual", {}});
    out_.nurse = dice_.of(demo_nurses());
    const int encounters = dice_.chance(35) ? 2 : 1;
    for (int at = 0; at < encounters; ++at) make_encounter();
    const int conditions = age_ > 50 ? dice_.between(0, 2) : dice_.between(0, 1);
    for (int at = 0; at < conditions; ++at) make_condition();
    if (!out_.conditions.empty() && dice_.chance(70)) make_medication();
    return std::move(out_);
  }

 private:
  /// Grows with the patient's number, so that new keys land at the right edge of their index; the form is that of a
  /// version 8 UUID (RFC 9562: "own use").
  std::string new_id() {
    const auto random = dice_.next();
    return fmt::format("{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}", number_ >> 16 & 0xffffffff, number_ & 0xffff, ids_++ & 0xfff,
                       0x8000 | (random >> 48 & 0x3fff), random & 0xffffffffffff);
  }

  void identify(ChildRow& row, std::string_view what) {
    row.id = new_id();
    row.patient_id = out_.patient.id;
    row.identifier_system = system_;
    row.identifier_value = fmt::format("{:09}-{}{}", number_, what, ++children_);
  }

  void make_person() {
    auto& row = out_.patient;
    row.id = new_id();
    const bool woman = dice_.chance(52);
    row.family_name = dice_.of(words::kFamilies);
    if (dice_.chance(4)) row.family_name += fmt::format("-{}", dice_.of(words::kFamilies));
    row.given_name = woman ? dice_.of(words::kWomen) : dice_.of(words::kMen);
    row.gender = woman ? "female" : "male";
    if (dice_.chance(3)) row.name_prefix = "Dr.";
    const auto born = std::chrono::sys_days{std::chrono::year{1930} / 1 / 1} + std::chrono::days{dice_.below(33'000)};
    age_ = static_cast<unsigned>((kToday - born).count() / 365);
    // Some people do not know their day of birth; the office then writes what is known.
    row.birth_date = PartialDate{born, Precision::kDay};
    if (dice_.chance(1)) {
      const std::chrono::year_month_day date{born};
      row.birth_date = PartialDate{std::chrono::sys_days{date.year() / 1 / 1}, Precision::kYear};
    }
    const auto& town = dice_.of(words::kTowns);
    row.street = fmt::format("{} {}", dice_.of(words::kStreets), dice_.between(1, 140));
    row.postal_code = town.postal_code;
    row.city = town.name;
    row.country = "DE";
    row.phone = fmt::format("{} {}", town.area_code, dice_.between(200'000, 9'999'999));
  }

  WallTime office_hour() {
    const auto day = kToday - std::chrono::days{dice_.below(1'500)};
    return WallTime{day} + std::chrono::minutes{dice_.between(8 * 60, 18 * 60)};
  }

  void make_encounter() {
    EncounterRow row;
    identify(row, "E");
    const auto start = office_hour();
    const bool at_home = age_ > 70 && dice_.chance(40);
    row.status = "finished";
    row.class_code = at_home ? "HH" : "AMB";
    row.type = at_home ? "Hausbesuch" : "Sprechstunde";
    row.started_at = PartialTime{start, Precision::kTime};
    row.ended_at = PartialTime{start + std::chrono::minutes{dice_.between(5, 40)}, Precision::kTime};
    make_vital_signs(row, start);
    out_.encounters.push_back(std::move(row));
  }

  ObservationRow& measure(const EncounterRow& encounter, WallTime time, std::string_view code, std::string_view display) {
    ObservationRow row;
    identify(row, "O");
    row.encounter_id = encounter.id;
    row.status = "final";
    row.category = "vital-signs";
    row.code_system = "http://loinc.org";
    row.code = code;
    row.display = display;
    row.effective_at = PartialTime{time, Precision::kTime};
    return out_.observations.emplace_back(std::move(row));
  }

  void set(ObservationRow& row, std::string value, std::string_view unit) {
    row.value_number = std::move(value);
    row.unit = unit;
  }

  void make_vital_signs(const EncounterRow& encounter, WallTime time) {
    const int load = static_cast<int>(age_) / 3;
    const auto panel = measure(encounter, time, "85354-9", "Blutdruck").id;
    const int systolic = std::clamp(dice_.around(108 + load, 14), 80, 220);
    const int diastolic = std::clamp(systolic * 6 / 10 + dice_.around(3, 5), 45, systolic - 15);
    auto& high = measure(encounter, time, "8480-6", "Systolischer Blutdruck");
    high.component_of = panel;
    set(high, std::to_string(systolic), "mmHg");
    auto& low = measure(encounter, time, "8462-4", "Diastolischer Blutdruck");
    low.component_of = panel;
    set(low, std::to_string(diastolic), "mmHg");
    if (dice_.chance(50)) set(measure(encounter, time, "8867-4", "Puls"), std::to_string(std::clamp(dice_.around(72, 12), 44, 140)), "/min");
    if (dice_.chance(25)) {
      set(measure(encounter, time, "8310-5", "Körpertemperatur"), fmt::format("{}.{}", dice_.between(36, 38), dice_.below(10)), "°C");
    }
    if (dice_.chance(25) && age_ > 17) {
      set(measure(encounter, time, "29463-7", "Körpergewicht"), std::to_string(std::clamp(dice_.around(76, 16), 42, 160)), "kg");
    }
  }

  void make_condition() {
    const auto& diagnosis = dice_.of(words::kDiagnoses);
    if (age_ < diagnosis.from_age) return;
    ConditionRow row;
    identify(row, "C");
    row.clinical_status = "active";
    row.verification_status = "confirmed";
    row.code_system = "http://fhir.de/CodeSystem/bfarm/icd-10-gm";
    row.code = diagnosis.code;
    row.display = diagnosis.name;
    row.onset_at = PartialTime{WallTime{std::chrono::sys_days{std::chrono::year{dice_.between(2021, 2025)} / 1 / 1}}, Precision::kYear};
    out_.conditions.push_back(std::move(row));
  }

  void make_medication() {
    const auto& drug = dice_.of(words::kDrugs);
    MedicationRow row;
    identify(row, "M");
    row.kind = "request";
    row.status = "active";
    row.code_system = "http://fhir.de/CodeSystem/bfarm/atc";
    row.code = drug.code;
    row.display = drug.name;
    row.dosage = std::string(drug.dosage);
    row.started_at = PartialTime{WallTime{std::chrono::floor<std::chrono::days>(office_hour())}, Precision::kDay};
    out_.medications.push_back(std::move(row));
  }

  std::uint64_t number_;
  Dice dice_;
  std::string system_;
  SyntheticPatient out_;
  unsigned age_ = 0;
  unsigned ids_ = 0;
  unsigned children_ = 0;
};

}  // namespace

SyntheticPatient make_patient(std::uint64_t seed, std::uint64_t number) { return Maker(seed, number).make(); }

}  // namespace verbund::importer
