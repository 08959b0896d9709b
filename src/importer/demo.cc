#include "importer/importer.h"

namespace verbund::importer {
namespace {

constexpr unsigned char kPraxisSql[] = {
#include "importer/praxis_sql.inc"
};
constexpr unsigned char kRecordsToml[] = {
#include "importer/records_toml.inc"
};

constexpr std::array<std::string_view, 3> kNurses{"anna", "bernd", "cem"};

}  // namespace

std::string_view demo_records_toml() { return {reinterpret_cast<const char*>(kRecordsToml), sizeof kRecordsToml}; }
std::string_view demo_schema_sql() { return {reinterpret_cast<const char*>(kPraxisSql), sizeof kPraxisSql}; }

std::span<const std::string_view> demo_nurses() { return kNurses; }

Result<std::uint64_t> assign_demo_nurses(postgres::Connection& connection) {
  // The patient's key decides, not a counter: the same patient gets the same nurse wherever the demo runs.
  auto rows = connection.query(
      "INSERT INTO care_assignment (patient_id, nurse) "
      "SELECT p.id, ($1::text[])[1 + ('x' || left(md5(p.id::text), 7))::bit(28)::int % cardinality($1::text[])] "
      "FROM patient p WHERE NOT EXISTS (SELECT FROM care_assignment c WHERE c.patient_id = p.id) "
      "ON CONFLICT DO NOTHING",
      {fmt::format("{{{}}}", fmt::join(kNurses, ","))});
  if (!rows) return pass(rows, "assign nurses");
  return rows->affected();
}

}  // namespace verbund::importer
