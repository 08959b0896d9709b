// Roles of a server, from the script that pg_dumpall has written.
#include "backup/program.h"
#include "backup/restore_office.h"
#include "base/messages.h"

namespace verbund::backup {

Status restore_globals(const Programs& programs, const postgres::ConnectionSettings& superuser, Source& script, Progress& progress) {
  auto access = access_of(superuser);
  if (!access) return pass(access);
  // Roles that exist already are refused one by one; the rest is made.
  auto command = program_command(programs.psql, {"-X", "-q", "-v", "ON_ERROR_STOP=0", "-d", access->conninfo}, &*access);
  auto options = piped(progress);
  options.input = true;
  auto child = os::PipedChild::start(command, std::move(options), clock());
  if (!child) return pass(child);
  if (auto fed = feed(*child, script, "globals", progress); !fed) return fed;
  auto outcome = child->wait();
  if (!outcome) return pass(outcome);
  if (outcome->exit_code == 0) return {};
  return judge(programs.psql, *outcome);
}

}  // namespace verbund::backup
