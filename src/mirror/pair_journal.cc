#include "mirror/pair_journal.h"

#include <algorithm>
#include <limits>
#include <span>

#include "base/messages.h"
#include "mirror/crc.h"

namespace verbund::mirror {
namespace {

constexpr std::size_t kMaxWhyBytes = 300;

std::unexpected<Error> bad(std::string_view what) { return fail(ErrorCode::kBadJournal, phrase("pair's journal: {}", what)); }

std::string text_of(const std::optional<LossReport>& report) {
  if (!report) return "-";
  return fmt::format("{},{},{},{},{},{},{}", to_string(report->kind), report->term.value, report->received.value, report->end.value, report->bytes,
                     report->commits ? std::to_string(*report->commits) : "-", report->span.count());
}

/// Without a witness as it was before there was one.
std::string text_of_alone(const PairRecord& record) {
  if (record.candidate == 0 && !record.given) return record.alone ? "1" : "0";
  return fmt::format("{},{},{}", record.alone ? 1 : 0, record.candidate, record.given ? 1 : 0);
}

/// Words and numbers one after the other; remembers that one was wrong.
class Reader {
 public:
  Reader(std::string_view text, char between) : rest_(text), between_(between) {}
  std::string_view word() {
    const std::string_view word = rest_.substr(0, rest_.find(between_));
    rest_.remove_prefix(std::min(rest_.size(), word.size() + 1));
    return word;
  }
  std::uint64_t number(std::uint64_t max = ~0ULL) {
    const auto number = parse_u64(word());
    if (number && *number <= max) return *number;
    good_ = false;
    return 0;
  }
  /// Below zero, too: such were written once (test "AReportThatWasTakenBeforeItsTime").
  std::int64_t signed_number() {
    const bool below = rest_.starts_with('-');
    if (below) rest_.remove_prefix(1);
    const auto number = static_cast<std::int64_t>(this->number(static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())));
    return below ? -number : number;
  }
  Term term() { return {number(kMaxTerm)}; }
  Lsn lsn() { return {number()}; }
  template <typename Value, std::size_t N>
  Value one_of(const std::array<Value, N>& values) {
    const auto name = word();
    for (const Value value : values) {
      if (to_string(value) == name) return value;
    }
    good_ = false;
    return values[0];
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool good() const { return good_; }

 private:
  std::string_view rest_;
  char between_;
  bool good_ = true;
};

constexpr std::array kStages{Stage::kServing, Stage::kHandedOver, Stage::kFenced, Stage::kFollowing, Stage::kPromoting, Stage::kRejoining};
constexpr std::array kKinds{LossKind::kNone, LossKind::kBounded, LossKind::kWithin, LossKind::kUnknown};

bool read_report(std::string_view text, std::optional<LossReport>& into) {
  if (text == "-") return true;
  Reader reader(text, ',');
  LossReport report;
  report.kind = reader.one_of(kKinds);
  report.term = reader.term();
  report.received = reader.lsn();
  report.end = reader.lsn();
  report.bytes = reader.number();
  Reader commits(reader.word(), ',');
  if (commits.rest() != "-") report.commits = commits.number();
  report.span = nanoseconds{reader.signed_number()};
  into = report;
  return reader.good() && commits.good() && reader.rest().empty();
}

struct Read {
  std::vector<std::string_view> lines;
  std::optional<PairEntry> last;
  std::size_t good_bytes = 0;
};

Result<Read> read_all(std::string_view text) {
  Read read;
  while (read.good_bytes < text.size()) {
    const std::string_view rest = text.substr(read.good_bytes);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;
    auto entry = parse_pair_line(rest.substr(0, end));
    const bool in_order = entry && (!read.last || entry->sequence == read.last->sequence + 1);
    // A whole line that is wrong is damage, the last one too: the record before it may be that of a machine that was not fenced yet.
    if (!in_order) {
      return bad(fmt::format("line {}: {}", read.lines.size() + 1, entry ? "its number does not follow" : entry.error().message));
    }
    read.last = std::move(*entry);
    read.lines.push_back(rest.substr(0, end + 1));
    read.good_bytes += end + 1;
  }
  return read;
}

/// Without the torn end, and without the oldest when it has become long. Atomic: never without the last record.
Status tidy(const std::filesystem::path& path, const Read& read, std::size_t bytes) {
  const bool is_long = read.lines.size() > kMaxEntries;
  if (!is_long && read.good_bytes == bytes) return {};
  std::string kept;
  for (const auto line : std::span(read.lines).last(is_long ? kKeptEntries : read.lines.size())) kept += line;
  return os::write_file_atomically(path, kept, 0600);
}

}  // namespace

std::string to_line(const PairEntry& entry) {
  const PairRecord& r = entry.record;
  std::string text = fmt::format("{} {} {} {} {} {} {} {} {},{},{} {} {} {} {} {}", entry.sequence, entry.time, r.member, to_string(r.stage),
                                 r.term.value, r.seen.value, r.offered.value, r.declined.value, r.end.position.value, r.end.finished, r.end.begun,
                                 text_of_alone(r), r.peer_asks ? 1 : 0, r.boots, text_of(r.report), std::string_view(entry.why).substr(0, kMaxWhyBytes));
  std::ranges::replace_if(text, control_character, ' ');
  return with_crc(text);
}

Result<PairEntry> parse_pair_line(std::string_view line) {
  const auto text = without_crc(line);
  if (!text) return bad("wrong CRC");
  if (std::ranges::any_of(*text, control_character)) return bad("a control character");
  Reader reader(*text, ' ');
  PairEntry entry;
  entry.sequence = reader.number();
  entry.time = reader.word();
  PairRecord& r = entry.record;
  r.member = reader.number(3);
  r.stage = reader.one_of(kStages);
  r.term = reader.term();
  r.seen = reader.term();
  r.offered = reader.term();
  r.declined = reader.term();
  Reader end(reader.word(), ',');
  r.end = {end.lsn(), end.number(), end.number()};
  Reader alone(reader.word(), ',');
  r.alone = alone.number(1) == 1;
  if (!alone.rest().empty()) r.candidate = alone.number(3), r.given = alone.number(1) == 1;
  r.peer_asks = reader.number(1) == 1;
  r.boots = reader.number();
  const bool report_good = read_report(reader.word(), r.report);
  entry.why = reader.rest();
  if (!reader.good() || !end.good() || !end.rest().empty() || !report_good || !alone.good() || !alone.rest().empty()) return bad("a word that is not known");
  if (entry.sequence == 0 || r.member == 0 || r.term.value == 0) return bad("a number that must not be 0");
  return entry;
}

Result<PairJournal> PairJournal::open(const std::filesystem::path& path, const Clock& clock) {
  auto text = os::read_file(path);
  if (!text && text.error().code != ErrorCode::kNotFound) return pass(text);
  std::optional<PairEntry> last;
  if (text) {
    auto read = read_all(*text);
    if (!read) {
      read.error().advise(phrase("Whether this machine may write stands in it. Look at {} and at the other machine before anything is moved.",
                                 path.string()));
      return pass(read, verbatim(path.string()));
    }
    if (auto tidied = tidy(path, *read, text->size()); !tidied) return pass(tidied);
    last = std::move(read->last);
  }
  auto file = os::AppendFile::open(path, 0600);
  if (!file) return pass(file);
  return PairJournal(std::move(*file), std::move(last), clock);
}

Status PairJournal::append(const PairRecord& record, std::string_view why) {
  PairEntry entry{last_ ? last_->sequence + 1 : 1, to_iso8601(clock_->wall()), record, std::string(why)};
  const auto line = to_line(entry);
  // What can't be read again would keep this machine from every start.
  if (auto readable = parse_pair_line(line); !readable) return fail(ErrorCode::kInternal, phrase("the pair's journal is not written with what could not be read again: {}", phrase_of(readable.error())));
  if (auto written = file_.append(line); !written) return pass(written, "pair's journal");
  last_ = std::move(entry);
  return {};
}

nanoseconds PairJournal::age() const {
  const auto written = last_ ? from_iso8601(last_->time) : std::nullopt;
  return written ? nanoseconds(clock_->wall() - *written) : nanoseconds{-1};
}

}  // namespace verbund::mirror
