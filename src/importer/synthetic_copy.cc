/// Writes synthetic patients by COPY.
#include "base/messages.h"
#include "importer/synthetic.h"
#include "importer/upsert_sql.h"

namespace verbund::importer {
namespace {

constexpr std::uint64_t kPatientsPerTransaction = 5'000;

/// Rows of one table in COPY's text format.
class CopyBuffer {
 public:
  template <typename Row>
  void add(const Row& row) {
    bool first = true;
    for_each_column(row, [&](std::string_view, const auto& value) { append(value, first); });
    text_ += '\n';
    ++rows_;
  }
  void add_values(std::initializer_list<std::string_view> values) {
    bool first = true;
    for (const auto value : values) append(value, first);
    text_ += '\n';
    ++rows_;
  }

  Status write(postgres::Connection& connection, std::string_view table, std::string_view columns) {
    if (rows_ == 0) return {};
    if (auto begun = connection.copy_in_begin(fmt::format("COPY {} ({}) FROM STDIN", table, columns)); !begun) return begun;
    if (auto sent = connection.copy_in_write(text_); !sent) return sent;
    auto done = connection.copy_in_finish();
    text_.clear();
    rows_ = 0;
    if (!done) return pass(done, phrase("write {}", table));
    return {};
  }
  template <typename Row>
  Status write(postgres::Connection& connection) {
    return write(connection, Row::kTable, fmt::format("{}", fmt::join(columns_of<Row>(), ",")));
  }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }

 private:
  void separate(bool& first) {
    if (!first) text_ += '\t';
    first = false;
  }
  void append(std::string_view value, bool& first) {
    separate(first);
    postgres::Connection::append_copy_text(text_, value);
  }
  void append(const std::string& value, bool& first) { append(std::string_view(value), first); }
  void append(bool value, bool& first) { append(std::string_view(value ? "t" : "f"), first); }
  void append(const Text& value, bool& first) {
    separate(first);
    postgres::Connection::append_copy_text(text_, value ? std::optional<std::string_view>(*value) : std::nullopt);
  }

  std::string text_;
  std::uint64_t rows_ = 0;
};

class SyntheticCopy {
 public:
  SyntheticCopy(postgres::Connection& connection, std::uint64_t seed) : connection_(connection), seed_(seed) {}

  /// Patients `from` … `to`, in one transaction.
  Status write(std::uint64_t from, std::uint64_t to, ImportReport& report) {
    for (auto number = from; number <= to; ++number) add(make_patient(seed_, number));
    const std::array<std::pair<const char*, std::uint64_t>, 5> counts{{{"Patient", patients_.rows()},
                                                                       {"Encounter", encounters_.rows()},
                                                                       {"Condition", conditions_.rows()},
                                                                       {"Observation", observations_.rows() - components_},
                                                                       {"MedicationRequest", medications_.rows()}}};
    auto transaction = connection_.begin();
    if (!transaction) return pass(transaction);
    if (auto sent = send(); !sent) return sent;
    if (auto committed = transaction->commit(); !committed) return committed;
    for (const auto& [type, count] : counts) report.types[type].imported += count;
    components_ = 0;
    return {};
  }

 private:
  void add(const SyntheticPatient& made) {
    patients_.add(made.patient);
    for (const auto& identifier : made.identifiers) {
      identifiers_.add_values({made.patient.id, identifier.system, identifier.value, *identifier.use});
    }
    for (const auto& row : made.encounters) encounters_.add(row);
    for (const auto& row : made.conditions) conditions_.add(row);
    for (const auto& row : made.observations) {
      observations_.add(row);
      if (row.component_of) ++components_;
    }
    for (const auto& row : made.medications) medications_.add(row);
    assignments_.add_values({made.patient.id, made.nurse});
  }

  Status send() {
    if (auto sent = patients_.write<PatientRow>(connection_); !sent) return sent;
    if (auto sent = identifiers_.write(connection_, "patient_identifier", "patient_id,system,value,use"); !sent) return sent;
    if (auto sent = encounters_.write<EncounterRow>(connection_); !sent) return sent;
    if (auto sent = conditions_.write<ConditionRow>(connection_); !sent) return sent;
    if (auto sent = observations_.write<ObservationRow>(connection_); !sent) return sent;
    if (auto sent = medications_.write<MedicationRow>(connection_); !sent) return sent;
    return assignments_.write(connection_, "care_assignment", "patient_id,nurse");
  }

  postgres::Connection& connection_;
  std::uint64_t seed_;
  std::uint64_t components_ = 0;
  CopyBuffer patients_, identifiers_, encounters_, conditions_, observations_, medications_, assignments_;
};

/// The highest number that is there: transactions go upward, so everything below it is there too.
Result<std::uint64_t> last_number(postgres::Connection& connection, std::uint64_t seed) {
  auto rows = connection.query("SELECT coalesce(max(value), '0') FROM patient_identifier WHERE system = $1 AND system <> ''",
                               {fmt::format("urn:verbund:synthetic:{}", seed)});
  if (!rows) return pass(rows, "look up synthetic patients");
  return parse_u64(rows->text(0, 0).substr(std::min(rows->text(0, 0).find_first_not_of('0'), rows->text(0, 0).size() - 1)));
}

}  // namespace

Result<ImportReport> import_synthetic(postgres::Connection& connection, std::uint64_t count, std::uint64_t seed,
                                      const ProgressSink& progress) {
  const auto start = std::chrono::steady_clock::now();
  ImportReport report;
  ImportProgress seen;
  seen.bytes_total = count;
  auto there = last_number(connection, seed);
  if (!there) return pass(there);
  const auto kept = std::min(*there, count);
  if (kept > 0) report.types["Patient"].unchanged = kept;
  SyntheticCopy copy(connection, seed);
  for (auto from = kept + 1; from <= count; from += kPatientsPerTransaction) {
    const auto to = std::min(count, from + kPatientsPerTransaction - 1);
    if (auto written = copy.write(from, to, report); !written) return pass(written, "import synthetic patients");
    seen.resources = to;
    seen.bytes_done = to;
    if (progress && !progress(seen)) {
      return fail(ErrorCode::kCancelled, phrase("import cancelled after {} patients; what was written until then stays", to));
    }
  }
  report.elapsed = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  return report;
}

}  // namespace verbund::importer
