#pragma once
/// Adopting a PostgreSQL server that somebody else runs: what is missing there, what Verbund will create, and the consent to
/// it, which the installation keeps so that later starts ask nobody. `detach` is the way back.
/// Threads: one at a time per installation; blocks on the database and on files.
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "feed/preflight.h"
#include "node/installation.h"

namespace verbund::node {

/// How Verbund's things are named on a server.
struct AdoptedNames {
  std::string slot, publication;
  std::vector<std::string> databases;
};
/// Of an installation; without one the names that a new installation gets.
AdoptedNames adopted_names(const Settings& settings);

struct AdoptionPlan {
  std::string server;  ///< connection without password: what a consent is given for
  AdoptedNames names;
  feed::Preflight preflight;
  std::size_t record_types = 0;
  std::vector<std::string> of_no_record;  ///< tables that no record type names: not captured
  std::size_t keyless = 0;                ///< of these, without primary key
};

/// Looks at the server of `connection` with the record types of `config`; changes nothing.
/// Errors: those of the connection, kBadConfig (record types).
Result<AdoptionPlan> plan_adoption(const postgres::ConnectionSettings& connection, const AdoptedNames& names, os::ConfigFile& config,
                                   bool adopted);
/// The same of an installation on an existing server.
Result<AdoptionPlan> plan_adoption(Installation& installation);

/// Whether consent is recorded for the server that the installation names. Errors: kBadConfig (the record is damaged), kIo.
Result<bool> adopted(const Installation& installation);
/// `by`: who consented, for people.
Status record_adoption(const Installation& installation, const AdoptionPlan& plan, const std::string& by, WallTime at);
Status forget_adoption(const Installation& installation);

/// kServerSetting with everything that is missing in the hint, or nothing.
Status refuse_unready(const AdoptionPlan& plan);

struct Removed {
  std::string kind;  ///< msgid: "replication slot", "publication", "event trigger", "trigger", "function", "schema", "database"
  std::string name;
};
/// Removes every trace from the server; what is not there is no error. `with_databases`: the mid-tier and the versions
/// database, too, history included. Errors: kServerSetting (a right is missing: the hint has the statement).
Result<std::vector<Removed>> detach(const postgres::ConnectionSettings& connection, const AdoptedNames& names, bool with_databases);

}  // namespace verbund::node
