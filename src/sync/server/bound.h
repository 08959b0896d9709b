#pragma once
/// A subscription bound to the source table as it is now, and to a user. Blocking; any thread, one connection each.
#include "sync/model/layout.h"
#include "sync/server/directory.h"
#include "sync/server/selection.h"

namespace verbund::sync::server {

struct Bound {
  Subscription rule;
  std::uint64_t version = 0;              ///< of the rule
  SourceTable table;
  TableLayout layout;
  std::vector<std::size_t> places;        ///< of the layout's columns within table.columns
  std::vector<Kind> kinds;                ///< of the layout's columns
  Selection selection;                    ///< the rule's filter
  std::vector<std::string> bucket;        ///< the user's values for its columns
  std::string shape;                      ///< of the rows themselves, `-`, of everything else that says which they are

  [[nodiscard]] bool down() const { return rule.kind == SubscriptionKind::kReplication && rule.direction != Direction::kUp && rule.rights.read; }
  [[nodiscard]] std::string shadow() const;  ///< quoted
  /// What makes a row of the shadow one of this user's. SQL over `alias`.
  [[nodiscard]] std::string condition(std::string_view alias) const;
  /// A row's key as shadow and change data have it, of a row's values (all columns of the layout).
  [[nodiscard]] Result<std::string> key_of(const std::vector<Value>& values) const;
  /// The other way: values of the key's columns.
  [[nodiscard]] Result<std::vector<Value>> key_values(std::string_view key) const;
};

/// A table by schema and name.
using FindTable = std::function<Result<SourceTable>(const std::string& schema, const std::string& table)>;

/// Without references, which depend on what else the device has. Errors: kBadConfig (the rule does not fit the tables any more), kForbidden (a parameter is
/// missing), those of `find`.
Result<Bound> bind(const Subscription& rule, std::uint64_t version, const FindTable& find, const Rules& rules, const DeviceIdentity& device);

/// Fills in references between the tables of one device and the shapes, and puts parents first.
void relate(std::vector<Bound>& all, const DeviceIdentity& device);

/// Rows that came as one of these shapes and rows of the other are written alike: a device can keep those that are the same.
bool same_rows(std::string_view shape, std::string_view other);

/// `{"a","b"}`: a text[] parameter.
std::string array_parameter(const std::vector<std::string>& values);

}  // namespace verbund::sync::server
