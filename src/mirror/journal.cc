#include "mirror/journal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/ids.h"
#include "base/messages.h"
#include "mirror/crc.h"

namespace verbund::mirror {
namespace {

constexpr std::size_t kMaxDetailBytes = 500;

constexpr std::array<std::pair<Step, std::string_view>, 4> kSteps{{{Step::kInitialise, "initialise"},
                                                                  {Step::kStart, "start"},
                                                                  {Step::kRun, "run"},
                                                                  {Step::kStop, "stop"}}};
constexpr std::array<std::pair<Phase, std::string_view>, 3> kPhases{
    {{Phase::kBegin, "begin"}, {Phase::kDone, "done"}, {Phase::kFailed, "failed"}}};

template <typename Table, typename Value>
std::string_view name_of(const Table& table, Value value) {
  for (const auto& [known, name] : table) {
    if (known == value) return name;
  }
  return "?";
}

template <typename Table>
auto value_of(const Table& table, std::string_view name) -> std::optional<decltype(table[0].first)> {
  for (const auto& [known, known_name] : table) {
    if (known_name == name) return known;
  }
  return std::nullopt;
}

std::string_view take_word(std::string_view& rest) {
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  return word;
}

/// to_line writes none.
std::unexpected<Error> bad(std::string_view what) {
  return fail(ErrorCode::kBadJournal, phrase("agent's journal: {}", what));
}

Status cut(const std::filesystem::path& path, std::size_t bytes) {
  // A cut that is lost in a crash only leaves the torn line, which is then cut again.
  if (::truncate(path.c_str(), static_cast<off_t>(bytes)) == 0) return {};
  return fail(ErrorCode::kIo, phrase("truncate {}: {}", path.string(), std::strerror(errno)));
}

Status rewrite(const std::filesystem::path& path, std::span<const JournalEntry> entries) {
  std::string text;
  for (const JournalEntry& entry : entries) text += to_line(entry) + '\n';
  return os::write_file_atomically(path, text, 0600);
}

}  // namespace

std::string_view to_string(Step step) { return name_of(kSteps, step); }
std::string_view to_string(Phase phase) { return name_of(kPhases, phase); }

std::string to_line(const JournalEntry& entry) {
  std::string text = fmt::format("{} {} {} {} {}", entry.sequence, entry.time, to_string(entry.step),
                                 to_string(entry.phase), std::string_view(entry.detail).substr(0, kMaxDetailBytes));
  std::ranges::replace_if(text, control_character, ' ');
  return with_crc(text);
}

Result<JournalEntry> parse_line(std::string_view line) {
  const auto text = without_crc(line);
  if (!text) return bad("wrong CRC");
  if (std::ranges::any_of(*text, control_character)) return bad("a control character");
  std::string_view rest = *text;
  JournalEntry entry;
  const auto sequence = parse_u64(take_word(rest));
  entry.time = take_word(rest);
  const auto step = value_of(kSteps, take_word(rest));
  const auto phase = value_of(kPhases, take_word(rest));
  if (!sequence || *sequence == 0 || !step || !phase) return bad("a word that is not known");
  entry.sequence = *sequence;
  entry.step = *step;
  entry.phase = *phase;
  entry.detail = rest;
  return entry;
}

Result<JournalText> parse_journal(std::string_view text) {
  JournalText journal;
  while (journal.good_bytes < text.size()) {
    const std::string_view rest = text.substr(journal.good_bytes);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;
    auto entry = parse_line(rest.substr(0, end));
    const bool in_order = entry && (journal.entries.empty() || entry->sequence == journal.entries.back().sequence + 1);
    if (!in_order && end + 1 == rest.size()) break;
    if (!in_order) {
      return bad(fmt::format("line {}: {}", journal.entries.size() + 1,
                             entry ? "its number does not follow" : entry.error().message));
    }
    journal.entries.push_back(std::move(*entry));
    journal.good_bytes += end + 1;
  }
  return journal;
}

Result<Journal> Journal::open(const std::filesystem::path& path, const Clock& clock) {
  auto text = os::read_file(path);
  if (!text && text.error().code != ErrorCode::kNotFound) return pass(text);
  std::optional<JournalEntry> last;
  if (text) {
    auto journal = parse_journal(*text);
    if (!journal) {
      journal.error().advise(phrase("Look at {}; moved away, the agent begins a new one.", path.string()));
      return pass(journal, verbatim(path.string()));
    }
    if (!journal->entries.empty()) last = journal->entries.back();
    Status cleaned;
    if (journal->entries.size() > kMaxEntries) {
      cleaned = rewrite(path, std::span(journal->entries).last(kKeptEntries));
    } else if (journal->good_bytes < text->size()) {
      cleaned = cut(path, journal->good_bytes);
    }
    if (!cleaned) return pass(cleaned);
  }
  auto file = os::AppendFile::open(path, 0600);
  if (!file) return pass(file);
  return Journal(std::move(*file), std::move(last), clock);
}

Status Journal::append(Step step, Phase phase, std::string_view detail) {
  JournalEntry entry;
  entry.sequence = last_ ? last_->sequence + 1 : 1;
  entry.time = to_iso8601(clock_->wall());
  entry.step = step;
  entry.phase = phase;
  entry.detail = detail;
  if (auto written = file_.append(to_line(entry)); !written) return pass(written, "agent's journal");
  last_ = std::move(entry);
  return {};
}

std::optional<Step> Journal::open_step() const {
  if (!last_ || last_->phase != Phase::kBegin) return std::nullopt;
  return last_->step;
}

}  // namespace verbund::mirror
