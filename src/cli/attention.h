#pragma once
/// What needs a person, shown at the next use of the command line (C2). Reads files of an installation on this machine, when there is one
/// and this user may read it; says nothing else. Main thread.
#include "alarm/alarm.h"
#include "backup/night/maker.h"
#include "cli/command.h"

namespace verbund::cli {

struct Attention {
  std::vector<alarm::State> states;   ///< alarms that hold
  std::vector<std::string> unseen;    ///< ids of run reports that were not good and that nobody has looked at
};
Attention attention(const Globals& globals);

/// How the nights stand, and whose they are.
struct NightsAhead {
  backup::Outlook outlook;
  backup::NightTurn turn;
};
/// Of an installation on this machine that this user may work on; nullopt: there is none.
std::optional<Result<NightsAhead>> nights_ahead(const Globals& globals);

/// A line each, in the user's language.
std::vector<std::string> lines_of(const Globals& globals, const Attention& attention);

/// To standard error when somebody sits at the terminal; nothing with --json.
void remind(const Globals& globals);

}  // namespace verbund::cli
