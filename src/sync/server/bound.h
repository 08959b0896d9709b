#pragma once
/// A subscription bound to the source table as it is now, and to a user. Blocking; any thread, one connection each.
#include <cstdint>
#include <string>
#include <vector>

#include "platform/postgres/connection.h"
#include "sync/model/layout.h"
#include "sync/server/directory.h"

namespace verbund::sync::server {

/// A captured table as feed.source_table and the source's catalog have it.
struct SourceTable {
  struct Column {
    std::string name;
    int number = 0;          ///< attnum
    std::uint32_t type = 0;  ///< oid; of a domain that of the domain
    std::string type_name;
    bool not_null = false;
  };
  struct ForeignKey {
    std::vector<std::string> columns;
    std::string schema, table;
    std::vector<std::string> parent_columns;
    std::string on_delete;
  };
  int id = 0;
  std::string schema, name, shadow;
  std::vector<Column> columns;
  std::vector<std::size_t> key;
  std::vector<ForeignKey> foreign_keys;
  std::string paused;  ///< why its shadow stands still; empty: it does not
};

/// Errors: kNotFound (the table is not captured: says so).
Result<SourceTable> load_table(postgres::Connection& mid_tier, postgres::Connection& source, const std::string& schema, const std::string& table);

struct Bound {
  Subscription rule;
  std::uint64_t version = 0;              ///< of the rule
  SourceTable table;
  TableLayout layout;
  std::vector<std::size_t> places;        ///< of the layout's columns within table.columns
  std::vector<Kind> kinds;                ///< of the layout's columns
  std::vector<std::string> bucket_columns;///< compared with a parameter or the user, in the filter's order
  std::vector<std::string> bucket;        ///< the user's values for them
  std::string shape;

  [[nodiscard]] bool down() const { return rule.kind == SubscriptionKind::kReplication && rule.direction != Direction::kUp && rule.rights.read; }
  [[nodiscard]] std::string shadow() const;  ///< quoted
  /// What makes a row of the shadow one of the subscription's, whoever's: constants alone. SQL over `alias`.
  [[nodiscard]] std::string constants(std::string_view alias) const;
  /// What makes it one of this user's.
  [[nodiscard]] std::string condition(std::string_view alias) const;
  /// A row's key as shadow and change data have it, of a row's values (all columns of the layout).
  [[nodiscard]] Result<std::string> key_of(const std::vector<Value>& values) const;
  /// The other way: values of the key's columns.
  [[nodiscard]] Result<std::vector<Value>> key_values(std::string_view key) const;
};

/// Without references, which depend on what else the device has. Errors: kNotFound, kBadConfig (the rule does not fit the table any more), kForbidden (a parameter is missing).
Result<Bound> bind(const Subscription& rule, std::uint64_t version, SourceTable table, const Rules& rules, const DeviceIdentity& device);

/// Fills in references between the tables of one device and the shapes, and puts parents first.
void relate(std::vector<Bound>& all, const DeviceIdentity& device);

/// The parts of a joined key (feed/tables.h, join_key).
std::vector<std::string> split_key(std::string_view key);

/// `{"a","b"}`: a text[] parameter.
std::string array_parameter(const std::vector<std::string>& values);

}  // namespace verbund::sync::server
