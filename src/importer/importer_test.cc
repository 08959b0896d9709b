#include <gmock/gmock.h>

#include "importer/importer.h"
#include "importer/mapping.h"
#include "importer/references.h"
#include "importer/resources.h"
#include "importer/synthetic.h"

namespace verbund::importer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::expected<Mapped, Skip> map_text(std::string_view text, const Context& context = {}) {
  const auto value = json::parse({text.data(), text.size()});
  return map_resource(value.as_object(), context);
}
template <typename Row>
Row mapped_row(std::string_view text, const Context& context = {}) {
  auto mapped = map_text(text, context);
  EXPECT_TRUE(mapped.has_value()) << msgid(mapped.error().reason) << mapped.error().detail;
  return mapped ? std::get<Row>(mapped->row) : Row{};
}
std::vector<std::string> shown(const Link& link) {
  std::vector<std::string> out;
  for (const auto& candidate : link.candidates) out.push_back(candidate.system + "|" + candidate.value);
  return out;
}

TEST(PartialDates, KeepWhatIsKnownAndNoMore) {
  EXPECT_EQ(parse_partial_date("1974")->to_sql(), "1974-01-01");
  EXPECT_EQ(parse_partial_date("1974")->precision, Precision::kYear);
  EXPECT_EQ(parse_partial_date("1974-12")->precision, Precision::kMonth);
  EXPECT_EQ(parse_partial_date("1974-12-25")->precision, Precision::kDay);
  for (const auto* bad : {"", "74", "1974-", "1974-13", "1974-02-30", "1974-12-25T", "0000", "1974-1-1", "19741225"}) {
    EXPECT_FALSE(parse_partial_date(bad)) << bad;
  }
}

TEST(PartialTimes, AreUtcAndNeedAZone) {
  EXPECT_EQ(parse_partial_time("2009-06-26T05:04:09.997-04:00")->to_sql(), "2009-06-26 09:04:09.997000+00");
  EXPECT_EQ(parse_partial_time("2016-12-31T23:59:60Z")->to_sql(), "2017-01-01 00:00:00.000000+00");
  EXPECT_EQ(parse_partial_time("2009-06")->precision, Precision::kMonth);
  EXPECT_EQ(parse_partial_time("0001-01-01T00:00:00+01:00")->to_sql(), "0001-12-31 23:00:00.000000+00 BC");
  for (const auto* bad : {"2009-06-26T05:04:09", "2009-06-26T24:00:00Z", "2009-06-26T05:04:09.Z", "2009T05:04:09Z"}) {
    EXPECT_FALSE(parse_partial_time(bad)) << bad;
  }
}

TEST(References, OneResourceHasOneKeyHoweverItIsSpelled) {
  EXPECT_EQ(reference_key("Patient/7/_history/2", ""), "Patient/7");
  EXPECT_EQ(reference_key("Patient/7", "https://host/fhir"), "https://host/fhir/Patient/7");
  EXPECT_EQ(reference_key("https://host/fhir/Patient/7", "http://other"), "https://host/fhir/Patient/7");
  const auto uuid = "urn:uuid:ea877536-55b1-4ec8-a12b-e95594214c01";
  EXPECT_EQ(reference_key("urn:uuid:EA877536-55B1-4EC8-A12B-E95594214C01", ""), uuid);
  EXPECT_EQ(reference_key("https://host/fhir/Patient/ea877536-55b1-4ec8-a12b-e95594214c01", ""), uuid);
  EXPECT_EQ(row_id(identity_of_key(uuid)), "ea877536-55b1-4ec8-a12b-e95594214c01");
}

TEST(References, KeysOfNamesAreUuidsAndDifferByBase) {
  const auto here = row_id(identity_of_key("Patient/7"));
  EXPECT_TRUE(is_uuid(here));
  EXPECT_EQ(here, row_id(identity_of_key("Patient/7")));
  EXPECT_NE(here, row_id(identity_of_key("https://host/fhir/Patient/7")));
}

TEST(PatientMapping, TakesTheNameInUseAndKeepsTheOthers) {
  const auto row = mapped_row<PatientRow>(R"({"resourceType":"Patient","id":"1","name":[
      {"use":"maiden","family":"Windsor"},{"use":"usual","given":["Jim"]},
      {"use":"official","family":" Chalmers ","given":["Peter","James"],"prefix":["Dr."]}],
      "birthDate":"1974-12","gender":"male","deceasedDateTime":"2015-02-14"})");
  EXPECT_EQ(row.family_name, "Chalmers");
  EXPECT_EQ(row.given_name, "Peter James");
  EXPECT_EQ(row.other_names, "Windsor; Jim");
  EXPECT_EQ(row.birth_date->precision, Precision::kMonth);
  EXPECT_TRUE(row.deceased);
  EXPECT_EQ(row.deceased_at->precision, Precision::kDay);
}

TEST(PatientMapping, LivesWithoutNameAndWithAnUntakenOne) {
  EXPECT_EQ(mapped_row<PatientRow>(R"({"resourceType":"Patient","id":"1"})").family_name, "");
  const auto row = mapped_row<PatientRow>(R"({"resourceType":"Patient","id":"1","name":[{"text":"张无忌"}],"gender":"M"})");
  EXPECT_EQ(row.family_name, "张无忌");
  EXPECT_FALSE(row.gender);
}

TEST(PatientMapping, HasItsIdentifiersAndItsReferenceLast) {
  const auto mapped = map_text(R"({"resourceType":"Patient","id":"7","identifier":[
      {"system":"urn:oid:1.2","value":"12345"},{"value":"loose"},{"system":"urn:oid:1.2","value":"12345"},{"system":"x"}]})");
  ASSERT_TRUE(mapped);
  ASSERT_THAT(mapped->identifiers, SizeIs(3));
  EXPECT_EQ(mapped->identifiers[1].system, "");
  EXPECT_EQ(mapped->identifiers[2].value, "Patient/7");
}

TEST(PatientMapping, NamelessWithoutAnyIdentityIsTheSameOnlyIfItSaysTheSame) {
  const auto a = mapped_row<PatientRow>(R"({"resourceType":"Patient","birthDate":"1970"})");
  const auto b = mapped_row<PatientRow>(R"({"resourceType":"Patient","birthDate":"1970"})");
  const auto c = mapped_row<PatientRow>(R"({"resourceType":"Patient","birthDate":"1971"})");
  EXPECT_EQ(a.id, b.id);
  EXPECT_NE(a.id, c.id);
}

TEST(Mapping, RefusesAnElementThatItCannotRead) {
  const auto mapped = map_text(R"({"resourceType":"Patient","id":"1","birthDate":"25.12.1974"})");
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error(), (Skip{SkipReason::kBadElement, "birthDate"}));
}

TEST(Mapping, RefusesTextsWithoutEnd) {
  const auto text = fmt::format(R"({{"resourceType":"Patient","id":"1","name":[{{"family":"{}"}}]}})", std::string(70'000, 'x'));
  EXPECT_EQ(map_text(text).error(), (Skip{SkipReason::kTextTooLong, "family_name"}));
}

TEST(Mapping, DropsNulCharacters) {
  EXPECT_EQ(mapped_row<PatientRow>(R"({"resourceType":"Patient","id":"1","name":[{"family":"A\u0000b"}]})").family_name, "Ab");
}

TEST(Mapping, NamesATypeWithoutATable) {
  EXPECT_EQ(map_text(R"({"resourceType":"ValueSet"})").error().reason, SkipReason::kTypeNotImported);
}

TEST(ObservationMapping, BloodPressureIsThreeRows) {
  const auto rows = mapped_row<ObservationRows>(R"({"resourceType":"Observation","id":"bp","status":"final",
      "category":[{"coding":[{"code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},
      "subject":{"reference":"Patient/1"},"effectiveDateTime":"2012-09-17","component":[
      {"code":{"coding":[{"code":"8480-6","display":"Systolic"}]},"valueQuantity":{"value":107.5,"unit":"mmHg"}},
      {"code":{"coding":[{"code":"8462-4","display":"Diastolic"}]},"valueQuantity":{"value":60,"code":"mm[Hg]"}}]})");
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].display, "85354-9");
  EXPECT_EQ(rows[1].component_of, rows[0].id);
  EXPECT_EQ(rows[1].value_number, "107.5");
  EXPECT_EQ(rows[2].unit, "mm[Hg]");
  EXPECT_EQ(rows[2].effective_at->precision, Precision::kDay);
  EXPECT_NE(rows[1].id, rows[2].id);
}

TEST(ObservationMapping, WhatIsNoNumberIsText) {
  const auto value = [](std::string_view element) {
    return mapped_row<ObservationRows>(fmt::format(
        R"({{"resourceType":"Observation","id":"o","code":{{"text":"x"}},"subject":{{"reference":"Patient/1"}},{}}})", element)).front();
  };
  EXPECT_EQ(value(R"("valueQuantity":{"value":5,"comparator":"<","unit":"mg/l"})").value_text, "<5 mg/l");
  EXPECT_FALSE(value(R"("valueQuantity":{"value":5,"comparator":"<","unit":"mg/l"})").value_number);
  EXPECT_EQ(value(R"("valueCodeableConcept":{"coding":[{"code":"260385009","display":"Negative"}]})").value_text, "Negative");
  EXPECT_EQ(value(R"("valueBoolean":true)").value_text, "true");
  EXPECT_EQ(value(R"("valueInteger":7)").value_number, "7");
  EXPECT_EQ(value(R"("valueRatio":{"numerator":{"value":1},"denominator":{"value":128}})").value_text, "1 : 128");
  EXPECT_EQ(value(R"("dataAbsentReason":{"coding":[{"code":"unknown"}]})").value_text, "unknown");
}

TEST(ObservationMapping, NeedsAPatientNotAGroup) {
  const auto of = [](std::string_view subject) {
    return map_text(fmt::format(R"({{"resourceType":"Observation","id":"o","code":{{"text":"x"}}{}}})", subject));
  };
  EXPECT_EQ(of("").error().reason, SkipReason::kNoPatient);
  EXPECT_EQ(of(R"(,"subject":{"reference":"Group/herd"})").error().reason, SkipReason::kNoPatient);
  EXPECT_EQ(of(R"(,"subject":{"display":"somebody"})").error().reason, SkipReason::kNoPatient);
}

TEST(Links, FollowEveryWayToNameAPatient) {
  const auto link = [](std::string_view reference, const Context& context = {}) {
    auto mapped = map_text(fmt::format(R"({{"resourceType":"Condition","id":"c","code":{{"text":"x"}},"subject":{},
        "contained":[{{"resourceType":"Patient","id":"p","identifier":[{{"system":"s","value":"v"}}]}}]}})", reference), context);
    return mapped ? shown(mapped->patient) : std::vector<std::string>{};
  };
  EXPECT_THAT(link(R"({"reference":"Patient/123"})"), ElementsAre("urn:verbund:fhir|Patient/123"));
  EXPECT_THAT(link(R"({"reference":"#p"})"), ElementsAre("s|v"));
  EXPECT_THAT(link(R"({"reference":"#missing"})"), IsEmpty());
  EXPECT_THAT(link(R"({"reference":"Patient?identifier=http%3A//a.b|77"})"), ElementsAre("http://a.b|77"));
  EXPECT_THAT(link(R"({"type":"Patient","identifier":{"system":"s","value":"9"}})"), ElementsAre("s|9"));
  const std::unordered_map<std::string, std::string> aliases{{"Patient/123", "urn:uuid:1"}};
  Context context;
  context.aliases = &aliases;
  EXPECT_THAT(link(R"({"reference":"Patient/123"})", context),
              ElementsAre("urn:ietf:rfc:3986|urn:uuid:1", "urn:verbund:fhir|Patient/123"));
}

TEST(MedicationMapping, FindsTheNameWhereverItIs) {
  const auto row = [](std::string_view element, const Context& context = {}) {
    return mapped_row<MedicationRow>(fmt::format(R"({{"resourceType":"MedicationRequest","id":"m",{},
        "subject":{{"reference":"Patient/1"}},"contained":[{{"resourceType":"Medication","id":"med","code":{{"text":"Contained"}}}}],
        "dosageInstruction":[{{"text":"1-0-1"}}]}})", element), context);
  };
  EXPECT_EQ(row(R"("medicationCodeableConcept":{"text":"Aspirin"})").display, "Aspirin");
  EXPECT_EQ(row(R"("medicationReference":{"reference":"#med"})").display, "Contained");
  EXPECT_EQ(row(R"("medicationReference":{"reference":"Medication/x","display":"Shown"})").display, "Shown");
  Medications medications{{"Medication/x", {{}, "1", "Known"}}};
  Context context;
  context.medications = &medications;
  const auto known = row(R"("medicationReference":{"reference":"Medication/x","display":"Shown"})", context);
  EXPECT_EQ(known.display, "Known");
  EXPECT_EQ(known.dosage, "1-0-1");
}

TEST(Bundles, GiveEachEntryItsBaseAndReportDeletions) {
  const auto value = json::parse(R"({"resourceType":"Bundle","type":"transaction","entry":[
      {"fullUrl":"https://host/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1"}},
      {"request":{"method":"DELETE","url":"Patient/2"}}, {"response":{"status":"200"}}, {"resource":{"id":"x"}},
      {"resource":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Condition"}}]}}]})");
  std::vector<std::string> seen;
  Medications medications;
  for_each_resource(value.as_object(), "source", medications, [&](const Found& found) {
    seen.push_back(found.resource == nullptr ? found.deletion_of + found.problem.english()
                                             : text_at(*found.resource, "resourceType").value_or("") + " of " + found.context.base);
    return true;
  });
  EXPECT_THAT(seen, ElementsAre("Patient of https://host/fhir", "Patient", HasSubstr("resourceType"), "Condition of source"));
}

TEST(Synthetic, IsTheSameForTheSameSeedAndPlausible) {
  std::set<std::string> ids;
  for (std::uint64_t number = 1; number <= 500; ++number) {
    const auto made = make_patient(7, number);
    const auto again = make_patient(7, number);
    EXPECT_EQ(made.patient.id, again.patient.id);
    EXPECT_EQ(made.patient.family_name, again.patient.family_name);
    EXPECT_EQ(made.observations.size(), again.observations.size());
    EXPECT_TRUE(is_uuid(made.patient.id)) << made.patient.id;
    EXPECT_TRUE(ids.insert(made.patient.id).second);
    for (const auto& row : made.observations) {
      EXPECT_TRUE(ids.insert(row.id).second);
      EXPECT_EQ(row.patient_id, made.patient.id);
      if (row.code == "8480-6") { EXPECT_THAT(std::stoi(*row.value_number), testing::AllOf(testing::Ge(80), testing::Le(220))); }
    }
  }
  EXPECT_NE(make_patient(7, 1).patient.id, make_patient(8, 1).patient.id);
}

TEST(Report, SaysIncompleteOnlyForWhatShouldHaveComeIn) {
  ImportReport report;
  report.types["ValueSet"].skipped[{SkipReason::kTypeNotImported, {}}].add("a.json");
  EXPECT_FALSE(report.outcome());
  report.types["Condition"].skipped[{SkipReason::kPatientNotFound, {}}].add("b.json");
  EXPECT_EQ(report.outcome(), ErrorCode::kIncomplete);
  const auto text = report.to_text(Language::kGerman);
  EXPECT_THAT(text, HasSubstr("b.json"));
  EXPECT_THAT(text, HasSubstr("der Patient ist weder in diesem Import noch in der Datenbank"));
  EXPECT_EQ(json::parse(report.to_json()).at("skipped"), 2);
}

TEST(DemoSchema, IsCarriedInTheBinary) { EXPECT_THAT(std::string(demo_schema_sql()), HasSubstr("CREATE TABLE IF NOT EXISTS patient")); }

}  // namespace
}  // namespace verbund::importer
