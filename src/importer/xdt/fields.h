#pragma once
/// Numbers of record types and fields that the importer knows, and what they are called.
///
/// From: QMS, "Gerätedatenträger" (GDT) 2.1 of 5/2001, 3.0 of 10/2013, 3.5; Zentralinstitut für die kassenärztliche
/// Versorgung, BDT record description 2/94 with changes of 1995; KBV, field directory of the xDT formats of 1/2001 and KVDT.
/// Field numbers are the same in all of them as far as they share a field.
#include <string_view>

namespace verbund::importer::xdt {

inline constexpr int kRecordType = 8000;
inline constexpr int kRecordLength = 8100;
inline constexpr int kRecordEnd = 8001;        ///< GDT 3.5, in place of a record length
inline constexpr int kObjectBegin = 8002, kObjectEnd = 8003;  ///< GDT 3.5
inline constexpr int kDescription35 = 1;       ///< 0001: version of the description, GDT 3.5
inline constexpr int kVersion = 9218;
inline constexpr int kCharset = 9206;          ///< GDT: 1 = 7 bit, 2 = CP437, 3 = ISO 8859-1
inline constexpr int kCharsetBdt = 9106;       ///< BDT: in the header of the medium, for all that follows
inline constexpr int kSender = 8316;

inline constexpr int kPatientNumber = 3000;
inline constexpr int kNamePrefix = 3100, kFamilyName = 3101, kGivenName = 3102, kBirthDate = 3103, kTitle = 3104;
inline constexpr int kInsuranceNumber = 3105, kInsuranceNumberEgk = 3119;
inline constexpr int kPostalCodeAndCity = 3106, kStreet = 3107, kHouseNumber = 3109, kSex = 3110;
inline constexpr int kPostalCode = 3112, kCity = 3113, kCountry = 3114;
inline constexpr int kMobile = 3618, kEmail = 3619, kPhone = 3626;
inline constexpr int kHeight = 3622, kWeight = 3623;

inline constexpr int kLongTermSince = 3649, kLongTermDiagnosis = 3650, kLongTermIcd = 3673, kLongTermCertainty = 3674,
                     kLongTermSide = 3675;
inline constexpr int kLongTermDrugSince = 3651, kLongTermDrug = 3652;

inline constexpr int kBilledDiagnosis = 6000, kIcd = 6001, kCertainty = 6003, kSide = 6004, kDiagnosisNote = 6006;
inline constexpr int kDay = 6200, kTimeOfDay = 6201, kDiagnosis = 6205;
inline constexpr int kDrug = 6210, kPrivateDrug = 6211;
inline constexpr int kFinding = 6220, kBloodPressure = 6230;
inline constexpr int kComment = 6227, kResultTable = 6228;
inline constexpr int kFirstFreeName = 6330, kLastFree = 6399;  ///< pairs: even = name of a category, odd = its content

inline constexpr int kProcedure = 8402, kTest = 8410, kTestName = 8411, kResult = 8420, kUnit = 8421, kLimitIndicator = 8422;
inline constexpr int kTestDay = 8432, kTestTimeOld = 8433, kTestTime = 8439;
inline constexpr int kStampDay = 7278, kStampTime = 7279, kStampZone = 7273;  ///< GDT 3.5, timestamp objects
inline constexpr int kNormalText = 8460, kNormalLow = 8461, kNormalHigh = 8462, kRemark = 8470, kResultText = 8480;

/// What a field of text holds, in German as people of a practice call it; empty: no such field.
std::string_view text_field_name(int id);
/// Of a value of field 8402 ("BDM01", also "BDM_01"); empty: unknown.
std::string_view procedure_name(std::string_view code);

}  // namespace verbund::importer::xdt
