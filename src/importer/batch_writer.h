#pragma once
/// Writes mapped resources in batches: one transaction each, many rows a statement, unchanged rows not at all.
/// One thread, one connection.
#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "importer/mapping.h"
#include "importer/record_locks.h"
#include "importer/report.h"
#include "importer/upsert_sql.h"
#include "platform/postgres/connection.h"

namespace verbund::importer {

/// Where a resource was read, so that it can be read again.
struct Origin {
  std::uint32_t file = 0;
  std::uint32_t index = 0;  ///< of the resource within the file
  std::string where;        ///< for the report
};

/// What to do with a child whose patient or encounter is not there (yet).
enum class Missing { kWait, kGiveUp };

/// A patient of the database, as far as an import has to know one.
struct KnownPatient {
  std::string id, family_name, birth_date;
};
/// Another name and another birth date: the number in the file has been given twice.
bool is_somebody_else(const KnownPatient& known, const std::optional<Person>& person);

struct WriterOptions {
  std::size_t batch_size = 500;
  PatientMatch match = PatientMatch::kIdentifier;
  /// The caller has a transaction open (a dry run): batches neither begin nor commit one.
  bool within_transaction = false;
  RecordLocks* locks = nullptr;  ///< as ImportOptions::locks
};

class BatchWriter {
 public:
  /// `wait` is told of each resource that has to come again (Missing::kWait); the caller reads it anew later.
  using WaitSink = std::function<void(const Mapped&, const Origin&)>;
  BatchWriter(postgres::Connection& connection, const WriterOptions& options, ImportReport& report, WaitSink wait);

  /// May write a batch. Errors: kDatabaseDown, kDatabase (the transaction itself failed); nothing of that batch stays.
  Status add(Mapped mapped, Origin origin, Missing missing);
  /// Writes what is left.
  Status flush();
  [[nodiscard]] std::uint64_t batches() const { return batches_; }

 private:
  enum class Outcome { kPending, kRepeats, kImported, kUpdated, kUnchanged, kWaits, kSkipped };
  struct Item {
    Mapped mapped;
    Origin origin;
    Outcome outcome = Outcome::kPending;
    Skip skip;
    std::vector<Note> notes;
    std::size_t first = 0;  ///< kRepeats: the item that says the same and is written
  };
  struct KnownEncounter {
    std::string id, patient_id;
  };
  enum class Change { kInserted, kUpdated };
  using Changes = std::unordered_map<std::string, Change>;
  /// A row on its way to the database, and whom to tell if it is refused.
  template <typename Row>
  struct Pending {
    const Row* row;
    Item* item;
  };

  std::optional<std::size_t> repeats(const Mapped& mapped, std::span<const std::string> identities) const;
  Status write_batch();
  Status write_and_commit();
  Status look_up_patients();
  Status look_up_people();
  static std::optional<Person> person_of(const Mapped& mapped);
  /// The patient of that name and birth date; nothing when there is none or (`skip`s) several.
  const KnownPatient* by_person(Item& item);
  Status look_up_encounters();
  void choose_patient(Item& item);
  Status write_patients();
  Status write_identifiers();
  struct GivenIdentifiers {
    Item* item;
    json::array rows;
  };
  Status add_identifiers(std::span<const GivenIdentifiers> given);
  Status delete_stale_components(std::span<const Pending<ObservationRows>> groups, Changes& changes);
  /// Resolves patient and encounter of all items that hold `Row`; those that stay pending can be written.
  void resolve_patient(Item& item);
  void resolve_encounter(Item& item);
  Status write_encounters();
  Status write_conditions_and_medications();
  Status write_observations();
  void settle(Item& item, const Changes& changes, std::string_view key);
  void skip(Item& item, SkipReason reason, std::string detail = {});
  /// PostgreSQL has refused the item's rows, and only these.
  void skip_refused(Item& item, const Error& error);
  /// Runs `write` so that what it wrote is undone when it fails. True: done; false: a row is refused, nothing of it stays.
  Result<bool> attempt(const std::function<Status()>& write);
  void tally();
  void settle_repeated(Item& item) const;

  template <typename Row>
  std::vector<Pending<Row>> pending();
  template <typename Row>
  Status write_children();
  template <typename Row>
  Result<Changes> upsert(std::span<const Pending<Row>> rows, Absent absent = Absent::kClears);
  template <typename Row>
  Result<Changes> upsert_singly(std::span<const Pending<Row>> rows, Absent absent);
  template <typename Row>
  Result<Changes> upsert_statement(std::span<const Pending<Row>> rows, Absent absent);

  postgres::Connection& connection_;
  WriterOptions options_;
  UnderGuard guard_;
  ImportReport& report_;
  WaitSink wait_;
  Missing missing_ = Missing::kWait;
  std::vector<Item> items_;
  std::unordered_map<std::string, std::size_t> identities_;  ///< of items_: one statement can't touch a row twice
  std::unordered_map<std::string, KnownPatient> patients_;  ///< by identity, for one batch
  std::map<Person, std::vector<KnownPatient>> people_;  ///< at most two of each, which is one too many
  std::unordered_map<std::string, KnownEncounter> encounters_;
  /// Reference keys of patients that were left out: their children must not find somebody else under that key.
  std::unordered_set<std::string> refused_patients_;
  std::optional<Error> refusal_;  ///< of the last `attempt` that was refused
  std::uint64_t batches_ = 0;
};

}  // namespace verbund::importer
