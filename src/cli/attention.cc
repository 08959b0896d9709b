#include "cli/attention.h"

#include <unistd.h>

#include "backup/report/store.h"
#include "node/installation.h"
#include "node/office_backup.h"
#include "platform/os/clock.h"

namespace verbund::cli {

Attention attention(const Globals& globals) {
  Attention out;
  const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  // Whoever may not read it is not the one to be told.
  if (::access((dir / "backup").c_str(), R_OK | X_OK) == 0) out.unseen = backup::ReportStore(dir).unseen();
  if (::access((dir / "alarm").c_str(), R_OK | X_OK) == 0) out.states = alarm::states_in(dir / "alarm");
  return out;
}

std::optional<Result<NightsAhead>> nights_ahead(const Globals& globals) {
  const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir));
  if (::access((dir / "config" / "backup.toml").c_str(), R_OK) != 0 || ::access(dir.c_str(), W_OK) != 0) return std::nullopt;
  auto installation = node::Installation::load(dir);
  if (!installation) return Result<NightsAhead>(pass(installation));
  auto office = node::office_of(*installation);
  if (!office) return Result<NightsAhead>(pass(office));
  const auto now = os::local_time(os::SystemClock().wall());
  auto outlook = backup::outlook_of(*office, now);
  if (!outlook) return Result<NightsAhead>(pass(outlook));
  auto turn = backup::turn_now(dir, *outlook, office->config.plan, now);
  if (!turn) return Result<NightsAhead>(pass(turn));
  return NightsAhead{std::move(*outlook), std::move(*turn)};
}

std::vector<std::string> lines_of(const Globals& globals, const Attention& attention) {
  std::vector<std::string> lines;
  for (const auto& state : attention.states) lines.push_back(translated(globals.language, "ALARM: {}", said(globals.language, state.text)));
  for (const auto& id : attention.unseen) {
    lines.push_back(translated(globals.language, "The backup {} was not complete and proven, and nobody has looked at its report: verbund backup report show {}", id, id));
  }
  return lines;
}

void remind(const Globals& globals) {
  if (globals.json || isatty(STDERR_FILENO) == 0) return;
  for (const auto& line : lines_of(globals, attention(globals))) fmt::print(stderr, "{}\n", line);
}

}  // namespace verbund::cli
