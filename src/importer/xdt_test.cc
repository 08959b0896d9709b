#include "importer/xdt/mapping.h"

#include <gmock/gmock.h>

#include "importer/german_time.h"
#include "importer/xdt/fields.h"
#include "importer/xdt_samples.h"

namespace verbund::importer::xdt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;

struct Read {
  std::vector<XdtRecord> records;
  std::vector<Tolerated> tolerated;
  std::string error;
};

Read read(std::string_view bytes, XdtOptions options = {}, std::size_t piece = 7) {
  Read out;
  XdtReader reader(
      options,
      [&](XdtRecord& record) {
        out.records.push_back(record);
        return true;
      },
      [&](Tolerated what, std::uint64_t) { out.tolerated.push_back(what); });
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    if (auto fed = reader.feed(bytes.substr(0, piece)); !fed) {
      out.error = fed.error().message;
      return out;
    }
  }
  if (auto finished = reader.finish(); !finished) out.error = finished.error().message;
  return out;
}
Read read_leniently(std::string_view bytes) { return read(bytes, {Strictness::kLenient, {}, {}}); }

std::string patient_record() {
  return record({"80006301", "92062", "921802.10", "30004711", "3101M\x81ller", "3102J\x94rg", "310301101945", "31101"});
}

template <typename Row>
const Row& row_of(const XdtItem& item) {
  return std::get<Row>(std::get<Mapped>(item).row);
}

std::vector<XdtItem> map(std::string_view bytes, const XdtNaming& naming = {}) {
  auto found = read(bytes);
  EXPECT_EQ(found.error, "");
  std::vector<XdtItem> out;
  for (const auto& record : found.records) {
    for (auto& item : map_record(record, naming)) out.push_back(std::move(item));
  }
  return out;
}

// --- characters ------------------------------------------------------------------------------------------------------------

TEST(Charset, ReadsUmlautsOfAllSets) {
  constexpr std::string_view kText = "ÄÖÜäöüß";
  EXPECT_EQ(decode(Charset::kCp437, "\x8e\x99\x9a\x84\x94\x81\xe1").text, kText);
  EXPECT_EQ(decode(Charset::kIso646De, "[\\]{|}~").text, kText);
  EXPECT_EQ(decode(Charset::kIso8859_1, "\xc4\xd6\xdc\xe4\xf6\xfc\xdf").text, kText);
  EXPECT_EQ(decode(Charset::kWindows1252, "\x80\xe4").text, "€ä");
  EXPECT_EQ(decode(Charset::kIso8859_15, "\xa4\xe4").text, "€ä");
  EXPECT_EQ(decode(Charset::kUtf8, kText).text, kText);
  EXPECT_FALSE(decode(Charset::kUtf8, "M\xfcller").clean);
  EXPECT_FALSE(decode(Charset::kIso646De, "M\xfcller").clean);
}

TEST(XdtReader, TakesTheCharacterSetFromTheFileElseCp437) {
  const auto name = [](std::vector<std::string> fields, XdtOptions options = {}) {
    fields.insert(fields.begin(), "80006301");
    fields.insert(fields.end(), {"921802.10", "30001", "3102J", "310301101945"});
    const auto found = read(record(fields), options);
    return found.error.empty() ? std::string(found.records.at(0).text(kFamilyName)) : found.error;
  };
  EXPECT_EQ(name({"3101M\x81ller"}), "Müller");
  EXPECT_EQ(name({"92061", "3101M}ller"}), "Müller");
  EXPECT_EQ(name({"92062", "3101M\x81ller"}), "Müller");
  EXPECT_EQ(name({"92063", "3101M\xfcller"}), "Müller");
  EXPECT_EQ(name({"3101M\xfcller"}, {Strictness::kStrict, Charset::kWindows1252, {}}), "Müller");
  EXPECT_THAT(name({"92069", "3101Meier"}), HasSubstr("there is no character set 9"));
}

TEST(XdtReader, TakesTheCharacterSetOfABdtFileFromItsHeader) {
  const auto found = read(record({"80000020", "910012345", "91061"}) + record({"80006100", "30001", "3101M}ller", "3102J|rg", "310301101945"}));
  EXPECT_EQ(found.error, "");
  EXPECT_EQ(found.records.at(1).text(kFamilyName), "Müller");
}

// --- strict and lenient ------------------------------------------------------------------------------------------------------

TEST(XdtReader, ReadsTheSameInWhateverPieces) {
  const auto bytes = patient_record() + patient_record();
  for (std::size_t piece = 1; piece < 40; ++piece) {
    const auto found = read(bytes, {}, piece);
    ASSERT_EQ(found.error, "") << piece;
    ASSERT_EQ(found.records.size(), 2U);
    EXPECT_EQ(found.records[1].text(kGivenName), "Jörg");
    EXPECT_EQ(found.records[1].line, 10U);
  }
}

struct Deviation {
  std::string name, bytes, cause;
  Tolerated tolerated;
};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  return text.replace(at, from.size(), to);
}

class Deviations : public testing::TestWithParam<Deviation> {};

TEST_P(Deviations, AreRefusedStrictlyByLineAndToleratedLeniently) {
  const auto& deviation = GetParam();
  const auto strict = read(deviation.bytes);
  EXPECT_THAT(strict.error, HasSubstr(deviation.cause));
  const auto lenient = read_leniently(deviation.bytes);
  EXPECT_EQ(lenient.error, "");
  EXPECT_THAT(lenient.tolerated, testing::Contains(deviation.tolerated));
  ASSERT_EQ(lenient.records.size(), 1U);
  EXPECT_EQ(lenient.records[0].text(kGivenName), "Jörg");
}

INSTANTIATE_TEST_SUITE_P(
    XdtReader, Deviations,
    testing::Values(
        Deviation{"LineLength", replaced(patient_record(), "0153101", "0193101"), "line 6: its length is given as 019, but it has 15 bytes",
                  Tolerated::kLineLength},
        Deviation{"Blanks", replaced(patient_record(), "M\x81ller\r", "M\x81ller  \r"), "line 6: its length", Tolerated::kBlanksAtEnd},
        Deviation{"LineFeed", replaced(patient_record(), "ller\r\n", "ller\n"), "line 6: does not end with CR LF", Tolerated::kLineEnd},
        Deviation{"NoLastLineEnd", patient_record().substr(0, patient_record().size() - 2), "line 9: does not end", Tolerated::kLineEnd},
        Deviation{"BlankLine", replaced(patient_record(), "0153101", "\r\n0153101"), "line 6: is empty", Tolerated::kBlankLine},
        Deviation{"NoRecordLength", patient_record().erase(13, 14), "line 1: the record has no length", Tolerated::kNoRecordLength},
        Deviation{"RecordLength", replaced(patient_record(), "81000", "81009"), "line 2: the record's length is given as 9", Tolerated::kRecordLength},
        Deviation{"Order",
                  [] {
                    auto text = patient_record();
                    const auto length = text.substr(13, 14);
                    return text.erase(13, 14) + length;
                  }(),
                  "line 9: field 8100 does not follow field 8000", Tolerated::kOrder},
        Deviation{"Charset", replaced(patient_record(), "92062", "92067"), "line 3: there is no character set 7", Tolerated::kCharset},
        Deviation{"Character", replaced(replaced(patient_record(), "92062", "92061"), "J\x94rg", "J|rg"), "line 6: a character that the character set",
                  Tolerated::kCharacter}),
    [](const auto& info) { return info.param.name; });

TEST(Deviations, OfCharactersKeepWhatCanBeRead) {
  const auto found = read_leniently(replaced(patient_record(), "92062", "92061"));
  EXPECT_EQ(found.records.at(0).text(kPatientNumber), "4711");
}

TEST(XdtReader, RefusesARecordWithoutItsMandatoryFields) {
  EXPECT_THAT(read(record({"80006301", "921802.10", "30001", "3101Meier", "3102J"})).error, HasSubstr("line 1: the record 6301 has no field 3103"));
  EXPECT_THAT(read(record({"80006310", "921802.10", "3101Meier"})).error, HasSubstr("has no field 3000"));
  EXPECT_THAT(read(record({"80006310", "30001"})).error, HasSubstr("has no field 9218"));
  EXPECT_THAT(read(record({"80006310", "921802.10", "30001", "8420142", "8410SYSMXTG"})).error,
              HasSubstr("line 5: field 8420 stands before the test"));
}

TEST(XdtReader, CountsMissingAndMisplacedFieldsLeniently) {
  const auto found = read_leniently(record({"80006310", "30001", "8420142", "8410SYSMXTG"}));
  EXPECT_EQ(found.error, "");
  EXPECT_THAT(found.tolerated, ElementsAre(Tolerated::kMissingField, Tolerated::kOrder));
}

TEST(XdtReader, RefusesWhatIsNoGdtEvenLeniently) {
  EXPECT_THAT(read_leniently("hello world\r\n").error, HasSubstr("line 1: does not begin with a length"));
  EXPECT_THAT(read_leniently("0143101Jan\r\n").error, HasSubstr("stands before the first record"));
  EXPECT_THAT(read_leniently("").error, HasSubstr("holds no record"));
  EXPECT_THAT(read_leniently(std::string(100'000, '0')).error, HasSubstr("longer than 65536 bytes"));
}

TEST(XdtReader, LeavesOutARecordWithALineThatIsNoField) {
  const auto found = read_leniently(patient_record() + replaced(patient_record(), "0153101", "0xx3101") + patient_record());
  ASSERT_EQ(found.records.size(), 3U);
  EXPECT_TRUE(found.records[1].damaged);
  const auto items = map_record(found.records[1], {});
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(std::get<Unmapped>(items[0]).skip.reason, SkipReason::kUnreadable);
}

TEST(XdtReader, BoundsARecord) {
  XdtOptions options;
  options.limits.max_record_fields = 5;
  EXPECT_THAT(read(patient_record(), options).error, HasSubstr("line 6: the record that begins at line 1 is larger"));
}

TEST(XdtReader, TakesTheEndMarkOfDos) { EXPECT_EQ(read(patient_record() + "\x1a").error, ""); }

// --- mapping -----------------------------------------------------------------------------------------------------------------

TEST(XdtMapping, ReadsMasterData) {
  const auto items = map(record({"80006301", "921802.10", "30004711", "3100von", "3101Beust", "3102J\x94rg", "310300001945", "3104Dr.",
                                 "3106 80331 M\x81nchen ", "3107Bahnhofstra\xe1" "e 3", "31102", "3119A123456780", "3622178", "362379,5"}));
  ASSERT_EQ(items.size(), 3U);
  const auto& patient = row_of<PatientRow>(items[0]);
  EXPECT_EQ(patient.family_name, "von Beust");
  EXPECT_EQ(patient.birth_date->precision, Precision::kYear);
  EXPECT_EQ(patient.name_prefix, "Dr.");
  EXPECT_EQ(patient.postal_code, "80331");
  EXPECT_EQ(patient.city, "München");
  EXPECT_EQ(patient.street, "Bahnhofstraße 3");
  EXPECT_EQ(patient.gender, "female");
  const auto& identifiers = std::get<Mapped>(items[0]).identifiers;
  ASSERT_EQ(identifiers.size(), 2U);
  EXPECT_EQ(identifiers[0].system, "http://fhir.de/sid/gkv/kvid-10");
  EXPECT_EQ(identifiers[1].value, "4711");
  EXPECT_TRUE(std::get<Mapped>(items[0]).partial);
  EXPECT_EQ(row_of<ObservationRows>(items[1])[0].value_number, "178");
  EXPECT_EQ(row_of<ObservationRows>(items[2])[0].value_number, "79.5");
}

std::string pressure(std::string_view value) {
  return record({"80006310", "8316LZBD_SYS", "921802.10", "30002345", "3101Mustermann", "3102Franz", "310301101945", "8402BDM01",
                 "620023101998", "6220Dies ist ein zweizeiliger", "6220Befund.", "6227Anmerkung", "6228   Tag   Nacht", "8410SYSMXTG",
                 "8411Systole max Tagphase", fmt::format("8420{}", value), "8421mmHg", "843223101998", "8439163400", "8462140",
                 "8410SYSMNTG", "8411Systole min Tagphase", "8420<112", "8421mmHg", "843224101998"});
}

TEST(XdtMapping, ReadsAnExaminationWithItsTests) {
  const auto items = map(pressure("142,5"));
  ASSERT_EQ(items.size(), 1U);
  const auto& mapped = std::get<Mapped>(items[0]);
  EXPECT_EQ(mapped.patient.candidates.at(0).value, "2345");
  EXPECT_EQ(mapped.person, (Person{"Mustermann", "Franz", "1945-10-01"}));
  const auto& rows = row_of<ObservationRows>(items[0]);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].display, "Langzeit-Blutdruckmessung");
  EXPECT_EQ(rows[0].code, "BDM01");
  EXPECT_EQ(rows[0].value_text, "Dies ist ein zweizeiliger\nBefund.");
  EXPECT_EQ(rows[0].note, "Anmerkung\n   Tag   Nacht");
  EXPECT_EQ(rows[0].effective_at->to_sql(), "1998-10-23 00:00:00.000000+00");
  EXPECT_EQ(rows[1].code, "SYSMXTG");
  EXPECT_EQ(rows[1].value_number, "142.5");
  EXPECT_EQ(rows[1].unit, "mmHg");
  EXPECT_EQ(rows[1].note, "Normalbereich:  – 140");
  EXPECT_EQ(rows[1].effective_at->to_sql(), "1998-10-23 14:34:00.000000+00");  // summer time
  EXPECT_FALSE(rows[2].value_number);
  EXPECT_EQ(rows[2].value_text, "<112");
  EXPECT_EQ(rows[2].component_of, rows[0].id);
}

TEST(XdtMapping, KeepsTwoExaminationsOfOneDayApartUnlessTheySayTheSame) {
  const auto first = map(pressure("142")), same = map(pressure("142")), other = map(pressure("150"));
  EXPECT_EQ(row_of<ObservationRows>(first[0])[0].id, row_of<ObservationRows>(same[0])[0].id);
  EXPECT_NE(row_of<ObservationRows>(first[0])[0].id, row_of<ObservationRows>(other[0])[0].id);
}

TEST(XdtMapping, ReplacesAnExaminationOfTheSameMinute) {
  const auto at = [](std::string value) {
    return map(record({"80006310", "921802.10", "30001", "8402SPIRO01", "620003062024", "6201101500", "8410FEV1", "8420" + value, "8421l"}));
  };
  const auto first = at("3.1"), second = at("3.2");
  EXPECT_EQ(row_of<ObservationRows>(first[0])[0].id, row_of<ObservationRows>(second[0])[0].id);
  EXPECT_EQ(row_of<ObservationRows>(first[0])[0].display, "Spirometrie");
  EXPECT_EQ(row_of<ObservationRows>(first[0])[1].effective_at->to_sql(), "2024-06-03 08:15:00.000000+00");
}

TEST(XdtMapping, ReadsObjectsOfGdt35) {
  std::string text;
  for (const auto* field : {"80006310", "8133Kopfdaten_GDT", "8002Obj_0033", "00013.5", "8316LZBD_SYS", "8003Obj_0033", "8002Obj_0045",
                            "300012345", "8002Obj_0047", "3101M\xfcller", "3102Franz", "310301101945", "3110M", "8003Obj_0047",
                            "8003Obj_0045", "8402BDM_01", "8002Obj_0057", "8410SYSMXTG", "8411Systole max Tagphase", "8420142", "8421mmHg",
                            "8002Obj_0054", "727823101998", "7279173510", "7273UTC+2", "8003Obj_0054", "8003Obj_0057", "8002Obj_0069",
                            "3622178", "8421cm", "8003Obj_0069", "80016310"}) {
    text += line(std::string_view(field).substr(0, 4), std::string_view(field).substr(4));
  }
  const auto items = map(text);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(std::get<Mapped>(items[0]).person->family_name, "Müller");  // ISO 8859-15
  EXPECT_EQ(row_of<ObservationRows>(items[0])[0].value_number, "178");
  const auto& rows = row_of<ObservationRows>(items[1]);
  EXPECT_EQ(rows[1].value_number, "142");
  EXPECT_EQ(rows[1].unit, "mmHg");
  EXPECT_EQ(rows[1].effective_at->to_sql(), "1998-10-23 15:35:10.000000+00");
}

TEST(XdtMapping, ReadsATreatmentDayByDay) {
  const auto items = map(record({"80006200", "30001", "620003062024", "6205Hypertonie", "6001I10.90", "6003G", "6230140/90", "6220Herzt\x94ne",
                                 "6220rein", "6210Ramipril 5 mg", "620004062024", "6001M17.9", "6004B", "6330Hausbesuch", "6331um 10 Uhr"}));
  ASSERT_EQ(items.size(), 8U);
  EXPECT_EQ(row_of<EncounterRow>(items[0]).started_at->to_sql(), "2024-06-03 00:00:00.000000+00");
  const auto& hypertension = row_of<ConditionRow>(items[1]);
  EXPECT_EQ(hypertension.display, "Hypertonie");
  EXPECT_EQ(hypertension.code, "I10.90");
  EXPECT_EQ(hypertension.verification_status, "confirmed");
  EXPECT_EQ(std::get<Mapped>(items[1]).encounter.candidates.at(0).value, row_of<EncounterRow>(items[0]).identifier_value);
  const auto& pressure = row_of<ObservationRows>(items[2]);
  ASSERT_EQ(pressure.size(), 3U);
  EXPECT_EQ(pressure[1].code, "8480-6");
  EXPECT_EQ(pressure[2].value_number, "90");
  EXPECT_EQ(row_of<ObservationRows>(items[3])[0].value_text, "Herztöne\nrein");
  EXPECT_EQ(row_of<MedicationRow>(items[4]).display, "Ramipril 5 mg");
  EXPECT_EQ(row_of<EncounterRow>(items[5]).started_at->to_sql(), "2024-06-04 00:00:00.000000+00");
  EXPECT_EQ(row_of<ConditionRow>(items[6]).note, "beidseits");
  EXPECT_EQ(row_of<ObservationRows>(items[7])[0].display, "Hausbesuch");
}

TEST(XdtMapping, LeavesOutARecordWhoseDateCannotBeRead) {
  const auto items = map(record({"80006310", "921802.10", "30001", "8402EKG01", "620031022024", "8410HF", "842071"}));
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(std::get<Unmapped>(items[0]).skip, (Skip{SkipReason::kBadElement, "6200"}));
}

TEST(XdtMapping, CountsRequestsAsNotImported) {
  const auto items = map(record({"80006302", "921802.10", "30001", "8402EKG01"}));
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(std::get<Unmapped>(items[0]).skip.reason, SkipReason::kTypeNotImported);
  EXPECT_EQ(std::get<Unmapped>(items[0]).type, "GDT 6302");
}

TEST(GermanTime, KnowsSummerTime) {
  using namespace std::chrono;
  const auto at = [](year_month_day day, int hour, int minute) {
    return PartialTime{from_german_clock(sys_days{day}, hours{hour} + minutes{minute}), Precision::kTime}.to_sql().substr(0, 16);
  };
  EXPECT_EQ(at(2024y / 1 / 15, 12, 0), "2024-01-15 11:00");
  EXPECT_EQ(at(2024y / 7 / 15, 12, 0), "2024-07-15 10:00");
  EXPECT_EQ(at(2024y / 3 / 31, 1, 59), "2024-03-31 00:59");
  EXPECT_EQ(at(2024y / 3 / 31, 3, 0), "2024-03-31 01:00");
  EXPECT_EQ(at(2024y / 10 / 27, 2, 30), "2024-10-27 00:30");
  EXPECT_EQ(at(2024y / 10 / 27, 3, 0), "2024-10-27 02:00");
  EXPECT_EQ(at(1994y / 10 / 10, 12, 0), "1994-10-10 11:00");
  EXPECT_EQ(at(1975y / 7 / 15, 12, 0), "1975-07-15 11:00");
}

}  // namespace
}  // namespace verbund::importer::xdt
