#pragma once
/// Which records a row of the source belongs to, as the configured types say: its own of a root table, those of its parents otherwise; of no type: none.
/// Threads: immutable; `of` blocks on the connection it is given.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "platform/postgres/connection.h"
#include "records/record_types.h"

namespace verbund::node {

class RowRecords {
 public:
  using Row = std::map<std::string, std::optional<std::string>>;  ///< column → value as the source prints it

  explicit RowRecords(const records::RecordTypes& types);

  /// A row that leads to no record (foreign key NULL, its parent is not there) belongs to none. A column that `row` does not have counts as NULL.
  /// Errors: those of the database.
  Result<std::vector<RecordKey>> of(postgres::Connection& source, const std::string& schema, const std::string& table, const Row& row) const;

 private:
  struct Way {
    std::string type;
    std::vector<std::string> columns;  ///< of the row
    std::string parent_key;            ///< SQL: the record's key by those columns ($1, …); empty: they are the key
  };

  void add(const records::RecordType& type, const std::string& schema, const std::string& table, std::span<const records::ForeignKey> path);

  std::map<std::pair<std::string, std::string>, std::vector<Way>> ways_;  // by table
};

}  // namespace verbund::node
