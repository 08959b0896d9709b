/// How commands show what they have: tables, labelled values, the protocol's words.
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/command.h"

namespace verbund::cli {
namespace {

/// Narrower, a column of words can't be read.
constexpr std::size_t kNarrowestColumn = 20;
/// How far in that stands which has no room beside.
constexpr std::size_t kBelow = 4;

/// In code points: names have umlauts.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Of the terminal; a file and a pipe have none.
std::optional<std::size_t> terminal_width() {
  winsize size{};
  if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

/// On a terminal words that do not fit go on below, under the column that begins at `indent`.
std::string folded(std::string_view text, std::size_t indent) {
  const auto terminal = terminal_width();
  if (!terminal || *terminal < indent + kNarrowestColumn || width(text) <= *terminal - indent) return std::string(text);
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    if (used > 0 && used + 1 + width(word) > *terminal - indent) {
      out.append(1, '\n').append(indent, ' ');
      used = 0;
    } else if (used > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width(word);
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  return out;
}

}  // namespace

void print_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(header.size());
  for (std::size_t column = 0; column < header.size(); ++column) {
    widths[column] = width(header[column]);
    for (const auto& row : rows) widths[column] = std::max(widths[column], width(row[column]));
  }
  std::size_t used = 0;  // by all columns but the last
  for (std::size_t column = 0; column + 1 < widths.size(); ++column) used += widths[column] + 2;
  const auto terminal = terminal_width();
  // Where it would have no room beside the others, the last one stands below them.
  const bool below = terminal && *terminal < used + std::min(kNarrowestColumn, widths.back());
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t column = 0; column + 1 < row.size(); ++column) {
      line += row[column];
      line.append(widths[column] - width(row[column]) + 2, ' ');
    }
    if (!below) line += folded(row.back(), used);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
    if (below && !row.back().empty()) fmt::print("{}{}\n", std::string(kBelow, ' '), folded(row.back(), kBelow));
  };
  print(header);
  for (const auto& row : rows) print(row);
}

void print_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::size_t widest = 0;
  for (const auto& [label, value] : fields) widest = std::max(widest, width(label));
  for (const auto& [label, value] : fields) {
    fmt::print("{}{}{}\n", label, std::string(widest - width(label) + 2, ' '), folded(value, widest + 2));
  }
}

std::string shown_word(const Globals& globals, std::string_view word) {
  [[maybe_unused]] static constexpr const char* kWords[] = {
      msgid("active"), msgid("suspect"), msgid("reconnecting"), msgid("goodbye"), msgid("lost"), msgid("replaced"), msgid("removed"),
      msgid("insert"), msgid("update"), msgid("delete"), msgid("administrator"), msgid("staff"), msgid("device"),
      msgid("enabled"), msgid("disabled"),
      // device sync
      msgid("revoked"), msgid("record held"), msgid("source"), msgid("subscription"), msgid("set"), msgid("group"), msgid("user"), msgid("added"), msgid("changed"), msgid("replication"), msgid("upload"), msgid("files"),
      msgid("succeeded"), msgid("failed"), msgid("canceled"),
      // status: the node's role, the database, feed and history
      msgid("production"), msgid("mirror"), msgid("standby"), msgid("up"), msgid("down"), msgid("starting"), msgid("running"), msgid("waiting"),
      msgid("stopped"), msgid("far_behind"), msgid("off"),
      // stages and steps of a pair
      msgid("serving"), msgid("handed_over"), msgid("fenced"), msgid("following"), msgid("promoting"), msgid("rejoining"), msgid("checkpoint"),
      msgid("drain"), msgid("stop"), msgid("open"), msgid("follow"), msgid("promote"), msgid("rejoin"), msgid("switchover"),
      // why a lock was lost, why a snapshot is needed
      msgid("expired"), msgid("broken"), msgid("refused"), msgid("cursor_too_old"), msgid("history_changed"), msgid("reconciled")};
  return std::string(translate(globals.language, word));
}

std::string shown_reason(const Globals& globals, std::string_view reason) {
  static constexpr std::pair<std::string_view, const char*> kReasons[] = {
      {"version", msgid("changed by somebody else meanwhile")},
      {"gone", msgid("the row is gone")},
      {"exists", msgid("the key is taken")},
      {"filter", msgid("not one of the user's rows")},
      {"right", msgid("no right to do this")},
      {"policy", msgid("the table's function said no")},
      {"unique", msgid("a value is taken that may stand only once")},
      {"check", msgid("a check of the table")},
      {"foreign_key", msgid("what it refers to is not there, or refers to it")},
      {"not_null", msgid("a value is missing")},
      {"value", msgid("a value can't be read")},
      {"refused", msgid("refused by the database")}};
  const auto found = std::ranges::find(kReasons, reason, &std::pair<std::string_view, const char*>::first);
  return found == std::end(kReasons) ? shown_word(globals, reason) : std::string(translate(globals.language, found->second));
}

}  // namespace verbund::cli
