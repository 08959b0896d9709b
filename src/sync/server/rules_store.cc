#include "sync/server/rules_store.h"

#include <algorithm>
#include <set>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include "base/messages.h"
#include "platform/postgres/arrays.h"

namespace verbund::sync::server {
namespace {

namespace json = boost::json;
using postgres::array_literal;
using postgres::Connection;

constexpr std::size_t kMaxFaultsSaid = 20;
constexpr std::string_view kStored = "the stored rules";

std::vector<std::string> rights_of(const Subscription& one) {
  std::vector<std::string> list;
  if (one.rights.read) list.emplace_back("read");
  if (one.rights.insert) list.emplace_back("insert");
  if (one.rights.update) list.emplace_back("update");
  if (one.rights.remove) list.emplace_back("delete");
  return list;
}

json::object object_of(const std::map<std::string, std::string>& values) {
  json::object object;
  for (const auto& [name, value] : values) object[name] = value;
  return object;
}

std::string policy_of(const ConflictPolicy& policy) {
  switch (policy.kind) {
    case ConflictPolicy::Kind::kReject: return "reject";
    case ConflictPolicy::Kind::kMerge: return "merge";
    case ConflictPolicy::Kind::kFunction: return "function:" + policy.function;
  }
  return "reject";
}

std::string definition_of(const Subscription& one) {
  return json::serialize(json::object{{"kind", to_wire(one.kind)},
                                      {"direction", to_wire(one.direction)},
                                      {"schema", one.schema},
                                      {"table", one.table},
                                      {"columns", json::value_from(one.columns)},
                                      {"defaults", object_of(one.defaults)},
                                      {"filter", to_string(one.filter)},
                                      {"rights", json::value_from(rights_of(one))},
                                      {"conflict", policy_of(one.conflict)},
                                      {"max_rows", one.max_rows},
                                      {"max_bytes", one.max_bytes},
                                      {"folder", one.files.folder},
                                      {"path", one.files.path},
                                      {"of", one.files.of},
                                      {"names", json::value_from(one.files.names)}});
}

/// Whether a device that has the one has the rows and columns of the other.
bool same_rows(const Subscription& left, const Subscription& right) {
  return left.kind == right.kind && left.direction == right.direction && left.schema == right.schema && left.table == right.table && left.columns == right.columns &&
         left.filter == right.filter && left.rights.read == right.rights.read && left.files == right.files;
}

/// `(old jsonb, mine jsonb, theirs jsonb)` of the name.
Status check_functions(Connection& mid_tier, const Rules& rules) {
  std::vector<Phrase> faults;
  for (const auto& one : rules.subscriptions) {
    if (one.conflict.kind != ConflictPolicy::Kind::kFunction) continue;
    const auto dot = one.conflict.function.find('.');
    const auto signature = fmt::format("{}.{}(jsonb,jsonb,jsonb)", Connection::quote_identifier(one.conflict.function.substr(0, dot)),
                                       Connection::quote_identifier(one.conflict.function.substr(dot + 1)));
    auto found = mid_tier.query("SELECT to_regprocedure($1) IS NOT NULL", {signature});
    if (!found) return pass(found);
    if (found->text(0, 0) != "t") faults.push_back(phrase("subscription '{}': the mid-tier database has no function {}", one.name, signature));
  }
  return refuse(faults);
}

Status write_subscriptions(Connection& mid_tier, const Rules& rules, const std::map<std::string, std::uint64_t>& versions) {
  for (const auto& one : rules.subscriptions) {
    auto written = mid_tier.query(
        "INSERT INTO sync.subscription (name, version, kind, direction, schema_name, table_name, columns, filter, rights, definition)"
        " VALUES ($1, $2::bigint, $3, $4, $5, $6, $7::text[], $8, $9::text[], $10::jsonb)",
        {one.name, std::to_string(versions.at(one.name)), std::string(to_wire(one.kind)), std::string(to_wire(one.direction)), one.schema, one.table,
         array_literal(one.columns), to_string(one.filter), array_literal(rights_of(one)), definition_of(one)});
    if (!written) return pass(written);
  }
  return {};
}

Status write_others(Connection& mid_tier, const Rules& rules) {
  for (const auto& one : rules.sets) {
    auto written = mid_tier.query("INSERT INTO sync.subscription_set VALUES ($1, $2::text[])", {one.name, array_literal(one.subscriptions)});
    if (!written) return pass(written);
  }
  for (const auto& one : rules.groups) {
    auto written = mid_tier.query("INSERT INTO sync.user_group VALUES ($1, $2::text[], $3::jsonb)", {one.name, array_literal(one.sets), json::serialize(object_of(one.parameters))});
    if (!written) return pass(written);
  }
  json::array users;  // there may be many
  for (const auto& one : rules.users) {
    users.push_back(json::object{{"name", one.name}, {"group", one.group}, {"parameters", object_of(one.parameters)}, {"disabled", one.disabled}});
  }
  auto written = mid_tier.query("INSERT INTO sync.member SELECT u->>'name', u->>'group', u->'parameters', (u->>'disabled')::boolean FROM jsonb_array_elements($1::jsonb) u",
                                {json::serialize(users)});
  return written ? Status{} : pass(written);
}

Status write(Connection& mid_tier, const Rules& rules, const std::map<std::string, std::uint64_t>& versions, std::uint64_t version, WallTime now) {
  if (auto emptied = mid_tier.execute("DELETE FROM sync.subscription; DELETE FROM sync.subscription_set; DELETE FROM sync.user_group; DELETE FROM sync.member"); !emptied) return emptied;
  if (auto written = write_subscriptions(mid_tier, rules, versions); !written) return written;
  if (auto written = write_others(mid_tier, rules); !written) return written;
  auto written = mid_tier.query("UPDATE sync.rules SET version = $1::bigint, toml = $2, applied = $3::timestamptz", {std::to_string(version), write_rules(rules), to_iso8601(now)});
  return written ? Status{} : pass(written);
}

}  // namespace

Status refuse(const std::vector<Phrase>& faults) {
  if (faults.empty()) return {};
  Phrase all = faults[0];
  for (std::size_t i = 1; i < std::min(faults.size(), kMaxFaultsSaid); ++i) all = phrase("{}; {}", all, faults[i]);
  if (faults.size() > kMaxFaultsSaid) all = phrase("{}; and {} more", all, faults.size() - kMaxFaultsSaid);
  return fail(ErrorCode::kBadConfig, phrase("rules of device sync: {}", all));
}

Result<std::uint64_t> rules_version(Connection& mid_tier) {
  auto rows = mid_tier.query("SELECT version FROM sync.rules");
  if (!rows) return pass(rows, "read the rules of device sync");
  return rows->size() == 1 ? parse_u64(rows->text(0, 0)).value_or(0) : 0;
}

Result<RulesInForce> load_rules(Connection& mid_tier) {
  // One statement: one state.
  auto rows = mid_tier.query("SELECT toml, coalesce((SELECT jsonb_object_agg(name, version::text) FROM sync.subscription), '{}') FROM sync.rules");
  if (!rows) return pass(rows, "read the rules of device sync");
  RulesInForce found;
  if (rows->size() == 0) return found;
  auto rules = read_rules(rows->text(0, 0), kStored);
  if (!rules) return pass(rules);
  found.rules = std::move(*rules);
  boost::system::error_code error;
  const auto versions = json::parse(rows->text(0, 1), error);
  if (error || !versions.is_object()) return fail(ErrorCode::kDatabase, phrase("read the rules of device sync: {}", error.message()));
  for (const auto& [name, version] : versions.get_object()) found.versions[std::string(name)] = parse_u64(std::string_view(version.as_string())).value_or(0);
  return found;
}

Result<std::vector<RuleChange>> apply_rules(Connection& mid_tier, const Rules& rules, Applying mode, WallTime now) {
  if (auto sound = refuse(faults_of(rules)); !sound) return pass(sound);
  if (auto sound = check_functions(mid_tier, rules); !sound) return pass(sound);
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction);
  // Two who apply at once: one after the other.
  auto locked = mid_tier.query("SELECT version FROM sync.rules FOR UPDATE");
  if (!locked) return pass(locked, "apply the rules of device sync");
  if (locked->size() != 1) return fail(ErrorCode::kDatabase, phrase("apply the rules of device sync: sync.rules has {} rows, not 1", locked->size()));
  auto before = load_rules(mid_tier);
  if (!before) return pass(before);
  auto changes = difference(before->rules, rules);
  if (changes.empty() || mode == Applying::kDryRun) return changes;
  const auto version = parse_u64(locked->text(0, 0)).value_or(0) + 1;
  std::map<std::string, std::uint64_t> versions;
  for (const auto& one : rules.subscriptions) {
    const auto* was = before->rules.subscription(one.name);
    versions[one.name] = was != nullptr && same_rows(*was, one) ? before->versions[one.name] : version;
  }
  if (auto written = write(mid_tier, rules, versions, version, now); !written) return pass(written, "apply the rules of device sync");
  if (auto committed = transaction->commit(); !committed) return pass(committed);
  return changes;
}

}  // namespace verbund::sync::server
