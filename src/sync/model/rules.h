#pragma once
/// Who syncs what: subscriptions, sets, groups, users (docs/formats/sync-rules.md). Values; pure; any thread.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verbund::sync {

struct Comparison;

/// `(SELECT column FROM schema.table WHERE filter)`: what a column is compared with by IN.
struct Membership {
  std::string schema = "public", table, column;
  std::vector<Comparison> filter;
  friend bool operator==(const Membership& left, const Membership& right);
};

/// One comparison of a filter; a filter is all of them. No comparisons: all rows.
struct Comparison {
  enum class Op { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kIsNull, kIsNotNull, kIn } op = Op::kEqual;
  enum class With { kConstant, kParameter, kUser } with = With::kConstant;
  std::string column;
  std::string operand;  ///< kConstant: the value's text; kParameter: the parameter's name. Parameters and the user stand with kEqual alone
  std::vector<Membership> in = {};  ///< of kIn: one
  friend bool operator==(const Comparison&, const Comparison&) = default;
};
using Filter = std::vector<Comparison>;

/// `active = true AND nurse = :user AND region = :region AND visit >= '2026-01-01' AND left_at IS NULL`, and memberships:
/// `patient_id IN (SELECT patient_id FROM care_assignment WHERE nurse = :user)`, which have filters of their own. Constants: 'text' ('' is one quote), numbers,
/// true, false; all are kept as texts. Columns as in SQL: without double quotes in small letters. Nothing but blanks: no comparison.
/// Errors: kBadConfig, with the position (in characters, from 1) and what is allowed.
Result<Filter> parse_filter(std::string_view text);
/// parse_filter of it is `filter` again.
std::string to_string(const Filter& filter);
/// All comparisons, those within memberships right behind the one that has them.
std::vector<const Comparison*> every_comparison(const Filter& filter);
inline constexpr std::size_t kMaxComparisons = 64;        ///< of a filter, with those of its memberships
inline constexpr std::size_t kMaxJoins = 2;               ///< memberships of a filter, one within the other or side by side
inline constexpr std::size_t kMaxFilterBytes = 4 * 1024;  ///< as to_string gives it
inline constexpr std::size_t kMaxRuleNameBytes = 64;      ///< of a subscription, set, group, user, parameter
inline constexpr std::size_t kMaxRuleValueBytes = 4 * 1024;      ///< of a parameter, a default
inline constexpr std::uint64_t kMaxLeaseDays = 3'650;
inline constexpr std::size_t kMaxRulesBytes = 8 * 1024 * 1024;   ///< of a file

enum class SubscriptionKind { kReplication, kUpload, kFiles };
enum class Direction { kBoth, kDown, kUp };
std::string_view to_wire(SubscriptionKind kind);  ///< "replication", "upload", "files"
std::string_view to_wire(Direction direction);    ///< "both", "down", "up"

struct Rights {
  bool read = true, insert = false, update = false, remove = false;
  friend bool operator==(const Rights&, const Rights&) = default;
};

struct ConflictPolicy {
  enum class Kind { kReject, kMerge, kFunction } kind = Kind::kReject;
  std::string function;  ///< schema.name in the mid-tier database: (old jsonb, mine jsonb, theirs jsonb) returns jsonb, NULL: reject
  friend bool operator==(const ConflictPolicy&, const ConflictPolicy&) = default;
};

/// Of kFiles: which files of which folder.
struct FolderRule {
  std::string folder;              ///< as the server calls it ([sync.folders])
  std::string path = {};               ///< below it; parts ":user" and ":PARAMETER" stand for the user's values. Empty: all of it
  std::string of = {};                 ///< a subscription: only what lies in folders that are called as the keys of its rows. Empty: everything
  std::vector<std::string> names = {};  ///< "*.pdf": what a file is called, one of them, whatever the case of its letters. Empty: anything
  friend bool operator==(const FolderRule&, const FolderRule&) = default;
};
/// Parts of a path between its slashes.
std::vector<std::string> path_parts(std::string_view path);
/// Whether it can stand as one part of a path: not empty, no slash, no dot at its begin.
bool is_path_part(std::string_view part);

struct Subscription {
  std::string name;
  SubscriptionKind kind = SubscriptionKind::kReplication;
  Direction direction = Direction::kBoth;  ///< of kReplication; of kFiles kDown or kUp
  std::string schema = "public", table;    ///< of the source
  std::vector<std::string> columns;        ///< empty: all. Must hold the primary key
  std::map<std::string, std::string> defaults;  ///< column that is left out → its value (text) on insert
  Filter filter;
  Rights rights;
  ConflictPolicy conflict;
  FolderRule files;
  std::uint64_t max_rows = 0, max_bytes = 0;  ///< of one device; 0: no limit. Of kFiles: files, and kUp of one of them
  friend bool operator==(const Subscription&, const Subscription&) = default;
};

struct SubscriptionSet {
  std::string name;
  std::vector<std::string> subscriptions;
  friend bool operator==(const SubscriptionSet&, const SubscriptionSet&) = default;
};

struct Group {
  std::string name;
  std::vector<std::string> sets;
  std::map<std::string, std::string> parameters;  ///< defaults for its users
  std::uint64_t lease_days = 0;  ///< a device that was not here for longer locks its data; 0: however long
  friend bool operator==(const Group&, const Group&) = default;
};

struct SyncUser {
  std::string name;  ///< what `:user` stands for
  std::string group;
  std::map<std::string, std::string> parameters;  ///< before the group's
  bool disabled = false;
  friend bool operator==(const SyncUser&, const SyncUser&) = default;
};

struct Rules {
  std::vector<Subscription> subscriptions;
  std::vector<SubscriptionSet> sets;
  std::vector<Group> groups;
  std::vector<SyncUser> users;
  friend bool operator==(const Rules&, const Rules&) = default;

  [[nodiscard]] const Subscription* subscription(std::string_view name) const;
  [[nodiscard]] const SubscriptionSet* set(std::string_view name) const;
  [[nodiscard]] const Group* group(std::string_view name) const;
  [[nodiscard]] const SyncUser* user(std::string_view name) const;
  /// Of a user, in the order of sets and within them; each once. `set` empty: all sets of the group. Errors: kNotFound.
  [[nodiscard]] Result<std::vector<const Subscription*>> of(std::string_view user, std::string_view set) const;
  /// The parameter's value for this user; nullopt: nobody gave one.
  [[nodiscard]] std::optional<std::string> parameter(const SyncUser& user, std::string_view name) const;
};

/// A file as docs/formats/sync-rules.md has it. Everything that is not known is refused. Errors: kBadConfig (file, line, what is allowed).
Result<Rules> read_rules(std::string_view toml, std::string_view file_name);
/// The other way: what read_rules has given reads back as equal.
std::string write_rules(const Rules& rules);

/// What stands against the rules as such, each with its name: references to what is not there, rights without direction, parameters that some user lacks,
/// a name that two have. Empty: nothing.
std::vector<Phrase> faults_of(const Rules& rules);

struct RuleChange {
  enum class What { kAdded, kChanged, kRemoved } what = What::kAdded;
  std::string kind;  ///< "subscription", "set", "group", "user"
  std::string name;
  std::vector<std::string> fields;  ///< of kChanged, as the file has them: `filter: "a = 1" → "a = 2"`; `-`: it stood there not, or does no more
};
std::string_view to_wire(RuleChange::What what);  ///< "added", "changed", "removed"
/// By names: the order in the file is nothing.
std::vector<RuleChange> difference(const Rules& before, const Rules& after);

}  // namespace verbund::sync
