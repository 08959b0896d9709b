#pragma once
/// The rules in force, in schema `sync` of the mid-tier database: as a file has them, and as tables. Blocking; any thread, one connection each.
#include <string>
#include <vector>

#include "base/time.h"
#include "platform/postgres/connection.h"
#include "sync/server/directory.h"

namespace verbund::sync::server {

/// Grows with every change of the rules; cheap to ask.
Result<std::uint64_t> rules_version(postgres::Connection& mid_tier);
/// The rules and the versions of subscriptions. A subscription's version grows when a device has to have other rows or columns (kind, direction, table, columns,
/// filter, the right to read), or when it was gone; not by its other rights, policies and limits.
Result<RulesInForce> load_rules(postgres::Connection& mid_tier);

enum class Applying { kDryRun, kInForce };
/// Makes them the rules in force, whole or not at all; equal ones change nothing. Returns what is another than before. The rules are as fit_rules has left them.
/// Errors: kBadConfig (faults_of, a conflict function that the mid-tier has not), those of the database.
Result<std::vector<RuleChange>> apply_rules(postgres::Connection& mid_tier, const Rules& rules, Applying mode, WallTime now);

/// Holds the rules against the source's tables and writes constants, parameters and defaults as their columns' types print them (the shadow's form, ADR 4): 'yes'
/// becomes 't', '2026-1-2' '2026-01-02'. Returns what does not fit: a table or column that is not there, no primary key, a key that is left out, a column that a
/// device's new row would lack, a value that is none of the type, a comparison that the type has not. `rules` is then worth nothing.
Result<std::vector<Phrase>> fit_rules(postgres::Connection& source, Rules& rules);

/// All of them as one error; of none, nothing.
Status refuse(const std::vector<Phrase>& faults);

}  // namespace verbund::sync::server
