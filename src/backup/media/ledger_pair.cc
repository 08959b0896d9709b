// One ledger on the two machines of a pair.
#include <set>

#include "backup/digest.h"
#include "backup/media/ledger.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

std::string joined(const std::vector<SignedLine>& lines) {
  std::string text;
  for (const auto& line : lines) text.append(line.text) += '\n';
  return text;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text.append(line) += '\n';
  return text;
}

}  // namespace

bool Ledger::has(const Place& place) const {
  if (place.lines > lines_.size()) return false;
  return place.hash == (place.lines == 0 ? hash_behind({}, beginning()) : lines_[place.lines - 1].hash);
}

std::vector<std::string> Ledger::lines_behind(std::size_t lines, std::size_t most_bytes) const {
  std::vector<std::string> texts;
  std::size_t bytes = 0;
  for (std::size_t at = lines; at < lines_.size(); ++at) {
    bytes += lines_[at].text.size();
    if (!texts.empty() && bytes > most_bytes) break;
    texts.push_back(lines_[at].text);
  }
  return texts;
}

Status Ledger::extend(const Place& at, const std::vector<std::string>& lines) {
  auto locked = lock();
  if (!locked) return pass(locked, "backup ledger");
  if (auto loaded = load(); !loaded) return loaded;
  if (place() != at) return fail(ErrorCode::kInUse, phrase("backup ledger: it has gone on meanwhile, from entry {} to {}", at.lines, lines_.size()));
  auto whole = read_signed(text() + joined(lines), beginning(), trusted_, Strangers::kRefused, "the other machine's ledger");
  if (whole.damage) return std::unexpected(std::move(*whole.damage));
  return put_lines(std::move(whole.lines));
}

Result<Exchange> Ledger::go_on_from(const std::vector<std::string>& theirs, const SigningKey& key) {
  auto locked = lock();
  if (!locked) return pass(locked, "backup ledger");
  if (auto loaded = load(); !loaded) return pass(loaded);
  auto other = read_signed(joined(theirs), beginning(), trusted_, Strangers::kRefused, "the other machine's ledger");
  if (other.damage) return std::unexpected(std::move(*other.damage));
  auto lines = std::move(other.lines);
  std::size_t common = 0;
  while (common < lines_.size() && common < lines.size() && lines_[common].hash == lines[common].hash) ++common;
  Exchange done{Exchange::What::kForked, 0, {}};
  Book book;
  std::set<std::string> known;
  for (const auto& line : lines) {
    auto entry = entry_of(line.payload);
    if (!entry) return pass(entry);
    if (auto entered = book.enter(*entry); !entered) return pass(entered);
    known.insert(json_of({0, entry->at, entry->fact}));
  }
  for (std::size_t i = common; i < entries_.size(); ++i) {
    Entry entry{book.next_sequence(), entries_[i].at, entries_[i].fact};
    // What the other machine's book does not take (a medium that was retired there) stays in the file beside.
    if (!known.insert(json_of({0, entry.at, entry.fact})).second || !book.enter(entry)) continue;
    SignedLine line;
    line.payload = json_of(entry);
    line.text = signed_line(line.payload, hash_behind(lines, beginning()), key);
    line.hash = sha256_hex(line.text);
    line.by_trusted = true;
    lines.push_back(std::move(line));
    ++done.taken;
  }
  if (common < lines_.size()) {
    const auto name = fmt::format("ledger.fork-{}.jsonl", last_hash().substr(0, 12));
    if (auto kept = put_on_medium(directory_ / name, joined(lines_)); !kept) return pass(kept);
  }
  if (auto put = put_lines(lines); !put) return pass(put);
  done.said = phrase("both machines have gone on with the ledger from entry {} on: the other machine's goes on, with {} entries of this one", common + 1, done.taken);
  return done;
}

}  // namespace verbund::backup
