#pragma once
/// The guard (B2): the source database itself refuses writes to the rows of a guarded record type unless their transaction
/// shows the token of the record's work lock (`SELECT verbund.use_lock(token)`). Against mistakes, not against attackers:
/// whoever may set a parameter can write any number into it. What stands in the database: docs/formats/guard.md.
///
/// Threads: functions block on the connection they are given. The connection's role makes the trigger functions, which run
/// with its rights; it is the same for all calls on a database.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"
#include "records/record_types.h"

namespace verbund::guard {

/// What stands in schema `verbund`, which may be somebody else's: exactly these functions are ours.
inline constexpr const char* kForApplications[] = {"verbund.use_lock(bigint[])", "verbund.wanted_locks()"};

enum class Mode {
  kOff,
  kWarn,     ///< lets every write pass and counts those that it would refuse
  kEnforce,
};
std::string_view to_wire(Mode mode);  ///< "off", "warn", "enforce"
/// Errors: kUsage.
Result<Mode> mode_from_wire(std::string_view text);

/// Statements for a superuser, one per right that the connection's role lacks to guard `type`; empty: none.
Result<std::vector<std::string>> missing_rights(postgres::Connection& source, const records::RecordType& type);

/// Makes schema, trigger functions and triggers, or brings them up to date with the configuration. Does not change what is
/// refused: a type that is new is still off, new tables of a type stay unguarded until `set_mode`. Waits at most some
/// seconds for open transactions on a table, and asks again.
/// Errors: kServerSetting (rights are missing; the hint names the statements), kTimedOut (a table is busy), kUnsupported.
Status prepare(postgres::Connection& source, const records::RecordType& type);
/// For all tables of the type at once; waits for nobody. Requires `prepare`. Counts of warnings begin anew.
Status set_mode(postgres::Connection& source, const records::RecordType& type, Mode mode);
/// `prepare` for a type that is guarded already, and its functions anew, in the mode that it has.
Status mend(postgres::Connection& source, const records::RecordType& type, Mode mode);
/// Nothing of the type is guarded from now on; waits for nobody. Then `tidy`. Errors: kNotFound (it is not guarded).
Status disable(postgres::Connection& source, const std::string& type);
/// Removes triggers, functions and lock rows of types that are off. A busy table is left for the next time.
Status tidy(postgres::Connection& source, Log& log);
/// Leaves no trace in the database, from whatever state. Errors: kTimedOut (a table is busy; nothing is guarded any more).
Status drop_everything(postgres::Connection& source);

struct GuardedType {
  std::string type;
  Mode mode = Mode::kOff;
  WallTime since;                    ///< of the mode
  std::uint64_t locks = 0;           ///< in the lock table
  std::vector<std::string> tables;   ///< "schema.table"
  std::vector<std::string> missing;  ///< those of them without their trigger
};
/// Also without any guard in the database: empty.
Result<std::vector<GuardedType>> guarded_types(postgres::Connection& source);

/// Writes without the token that warn mode has let pass.
struct WarningCount {
  std::string type, table, operation;
  std::string application, user;   ///< application_name and session_user; "…": one of many
  std::uint64_t transactions = 0;  ///< each counts once per table and operation
  WallTime first, last;
};
/// Most frequent first.
Result<std::vector<WarningCount>> warnings(postgres::Connection& source);

}  // namespace verbund::guard
