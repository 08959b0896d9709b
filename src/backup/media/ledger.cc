#include "backup/media/ledger.h"

#include <set>

#include <fcntl.h>
#include <unistd.h>

#include "backup/digest.h"
#include "backup/office.h"
#include "base/ids.h"
#include "base/messages.h"
#include "platform/os/descriptor.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxLedgerBytes = 256 * 1024 * 1024;

Phrase rebuild_hint() { return phrase("Put a medium in and call: verbund backup media rebuild PATH. Each medium holds a copy of the ledger."); }

/// How many lines there are, and the hash of the last one: what tells a cut ledger from a whole one.
struct Head {
  std::size_t lines = 0;
  std::string hash;
};
std::optional<Head> head_of(std::string_view text) {
  const auto blank = text.find(' ');
  if (blank == std::string_view::npos || !text.ends_with('\n')) return std::nullopt;
  const auto lines = parse_u64(text.substr(0, blank));
  const auto hash = text.substr(blank + 1, text.size() - blank - 2);
  if (!lines || !is_sha256_hex(hash)) return std::nullopt;
  return Head{*lines, std::string(hash)};
}

std::size_t common_lines(const std::vector<SignedLine>& ours, const std::vector<SignedLine>& theirs) {
  std::size_t same = 0;
  while (same < ours.size() && same < theirs.size() && ours[same].hash == theirs[same].hash) ++same;
  return same;
}

}  // namespace

Result<Ledger> Ledger::none(const fs::path& installation, const std::vector<PublicKey>& trusted) {
  auto id = installation_id(installation);
  if (!id) return pass(id);
  return Ledger(installation / "backup", std::move(*id), trusted);
}

Result<Ledger> Ledger::open(const fs::path& installation, const std::vector<PublicKey>& trusted) {
  auto ledger = none(installation, trusted);
  if (!ledger) return pass(ledger);
  auto locked = ledger->lock();
  if (!locked) return pass(locked, "backup ledger");
  if (auto loaded = ledger->load(); !loaded) return pass(loaded);
  return ledger;
}

Result<SignedLines> Ledger::read(const fs::path& path) const {
  auto text = os::read_file(path, kMaxLedgerBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return SignedLines{};
  if (!text) return pass(text);
  return read_signed(*text, beginning(), trusted_, Strangers::kRefused, path.native());
}

Status Ledger::load() {
  auto read = this->read(file());
  if (!read) return pass(read);
  if (read->damage) {
    read->damage->advise(rebuild_hint());
    return std::unexpected(std::move(*read->damage));
  }
  if (auto taken = take(std::move(read->lines)); !taken) return taken;
  if (auto checked = check_head(); !checked) return checked;
  return read->torn ? cut_torn(read->good_bytes) : Status{};
}

Status Ledger::check_head() {
  auto text = os::read_file(head_file(), 1000);
  if (!text) return text.error().code == ErrorCode::kNotFound && lines_.empty() ? Status{} : text.error().code == ErrorCode::kNotFound ? write_head() : pass(text);
  const auto head = head_of(*text);
  if (!head) return fail(ErrorCode::kDamaged, phrase("{}: damaged", head_file().native()), rebuild_hint());
  if (head->lines > lines_.size()) {
    return fail(ErrorCode::kDamaged, phrase("{}: it ends at line {}, but {} were written", file().native(), lines_.size(), head->lines), rebuild_hint());
  }
  if (head->lines > 0 && lines_[head->lines - 1].hash != head->hash) {
    return fail(ErrorCode::kDamaged, phrase("{}, line {}: another one was written there", file().native(), head->lines), rebuild_hint());
  }
  return {};
}

Status Ledger::write_head() const {
  return os::write_file_atomically(head_file(), fmt::format("{} {}\n", lines_.size(), last_hash()), 0600);
}

/// Never acknowledged: nobody has relied on it.
Status Ledger::cut_torn(std::size_t good_bytes) {
  const os::Descriptor file(::open(this->file().c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::ftruncate(file.number(), static_cast<off_t>(good_bytes)) != 0 || ::fsync(file.number()) != 0) {
    return os::failed_call(phrase("cut off the torn last line of {}", this->file().native()), errno);
  }
  mended_ = phrase("the ledger's last line was cut off by a crash and is removed; {} entries are whole", lines_.size());
  return {};
}

Status Ledger::take(std::vector<SignedLine> lines) {
  Book book;
  std::vector<Entry> entries;
  for (const auto& line : lines) {
    auto entry = entry_of(line.payload);
    if (!entry) return pass(entry, phrase("{}, line {}", file().native(), entries.size() + 1));
    if (auto entered = book.enter(*entry); !entered) {
      return fail(ErrorCode::kDamaged, phrase("{}, line {}: {}", file().native(), entries.size() + 1, phrase_of(entered.error())), rebuild_hint());
    }
    entries.push_back(std::move(*entry));
  }
  book_ = std::move(book);
  entries_ = std::move(entries);
  lines_ = std::move(lines);
  return {};
}

std::string Ledger::last_hash() const { return hash_behind(lines_, beginning()); }

std::string Ledger::text() const {
  std::string text;
  for (const auto& line : lines_) text.append(line.text) += '\n';
  return text;
}

Status Ledger::enter(Fact fact, LocalTime at, const SigningKey& key) {
  auto locked = lock();
  if (!locked) return pass(locked, "backup ledger");
  std::error_code error;
  const auto bytes = fs::file_size(file(), error);
  if (error ? !lines_.empty() : bytes != text().size()) {
    if (auto loaded = load(); !loaded) return loaded;
  }
  return enter_locked(std::move(fact), at, key);
}

Status Ledger::enter_locked(Fact fact, LocalTime at, const SigningKey& key) {
  Entry entry{book_.next_sequence(), at, std::move(fact)};
  Book book = book_;
  if (auto entered = book.enter(entry); !entered) return entered;
  SignedLine line;
  line.payload = json_of(entry);
  line.text = signed_line(line.payload, last_hash(), key);
  line.hash = sha256_hex(line.text);
  line.by_trusted = true;
  auto file = os::AppendFile::open(this->file());
  if (!file) return pass(file, "backup ledger");
  if (auto written = file->append(line.text); !written) return pass(written, "backup ledger");
  book_ = std::move(book);
  entries_.push_back(std::move(entry));
  lines_.push_back(std::move(line));
  return write_head();
}

Status Ledger::put_lines(const std::vector<SignedLine>& lines) {
  if (auto taken = take(lines); !taken) return taken;
  // The head first goes: a ledger that is ahead of its head is whole, one behind it is cut.
  std::error_code error;
  fs::remove(head_file(), error);
  if (auto written = os::write_file_atomically(file(), text(), 0600); !written) return pass(written, "backup ledger");
  return write_head();
}

Result<Exchange> Ledger::exchange_with(const fs::path& target, const SigningKey& key) {
  auto locked = lock();
  if (!locked) return pass(locked, "backup ledger");
  if (auto loaded = load(); !loaded) return pass(loaded);
  const auto theirs_at = target / name_on_media();
  auto theirs = read(theirs_at);
  if (!theirs) return pass(theirs, "ledger on the medium");
  return compare(theirs_at, std::move(*theirs), key);
}

Result<Exchange> Ledger::compare(const fs::path& theirs_at, SignedLines theirs, const SigningKey& key) {
  Exchange done;
  if (theirs.damage) {
    auto aside = set_aside(theirs_at);
    if (!aside) return pass(aside);
    done = {Exchange::What::kDamaged, 0, phrase("the medium's ledger was damaged ({}); it is kept as {}", phrase_of(*theirs.damage), aside->filename().native())};
  }
  const auto common = common_lines(lines_, theirs.lines);
  if (common < lines_.size() && common < theirs.lines.size()) return keep_fork(theirs_at, theirs.lines, common, key);
  if (theirs.lines.size() > lines_.size()) {
    done.taken = theirs.lines.size() - lines_.size();
    if (auto put = put_lines(theirs.lines); !put) return pass(put);
    if (!theirs.damage && !theirs.torn) return Exchange{Exchange::What::kTaken, done.taken, phrase("{} entries of the ledger were taken over from the medium", done.taken)};
  } else if (!theirs.damage && theirs.lines.size() == lines_.size() && !theirs.torn) {
    return done;
  }
  if (auto written = put_on_medium(theirs_at, text()); !written) return pass(written);
  if (!theirs.damage) done.what = done.taken > 0 ? Exchange::What::kTaken : Exchange::What::kGiven;
  return done;
}

/// Two lives of one installation (a machine brought back to an earlier day, and both went on). What the other one has written on media
/// has to be kept as long as if it were ours.
Result<Exchange> Ledger::keep_fork(const fs::path& theirs_at, const std::vector<SignedLine>& theirs, std::size_t common, const SigningKey& key) {
  Exchange done{Exchange::What::kForked, 0, {}};
  std::string their_text;
  for (const auto& line : theirs) their_text.append(line.text) += '\n';
  const auto name = fmt::format("ledger.fork-{}.jsonl", theirs.back().hash.substr(0, 12));
  // The other life may go on and come back: what has been entered once is not entered again.
  std::set<std::string> known;
  for (const auto& entry : entries_) known.insert(json_of({0, entry.at, entry.fact}));
  if (auto kept = put_on_medium(theirs_at.parent_path() / fmt::format("verbund-{}", name), their_text); !kept) return pass(kept);
  for (std::size_t i = common; i < theirs.size(); ++i) {
    auto entry = entry_of(theirs[i].payload);
    if (!entry) return pass(entry);
    if (!known.insert(json_of({0, entry->at, entry->fact})).second) continue;
    auto entered = enter_locked(std::move(entry->fact), entry->at, key);
    if (!entered && entered.error().code != ErrorCode::kUsage) return pass(entered);
    if (entered) ++done.taken;
  }
  if (auto kept = put_on_medium(directory_ / name, their_text); !kept) return pass(kept);
  if (auto written = put_on_medium(theirs_at, text()); !written) return pass(written);
  done.said = phrase("the medium's ledger and ours differ from entry {} on: two machines have gone on with the same installation. Theirs is kept as {}; "
                     "{} of its entries were taken over", common + 1, name, done.taken);
  return done;
}

Result<Ledger> Ledger::rebuild(const fs::path& installation, const std::vector<PublicKey>& trusted, const std::vector<fs::path>& targets) {
  auto ledger = none(installation, trusted);
  if (!ledger) return pass(ledger);
  auto locked = ledger->lock();
  if (!locked) return pass(locked, "backup ledger");
  auto longest = ledger->read(ledger->file());
  if (!longest) return pass(longest);
  fs::path from = ledger->file();
  for (const auto& target : targets) {
    auto other = ledger->read(target / ledger->name_on_media());
    if (!other) return pass(other);
    if (other->lines.size() <= longest->lines.size()) continue;
    longest = std::move(other);
    from = target;
  }
  std::error_code error;
  std::string aside = "-";
  if (fs::exists(ledger->file(), error)) {
    auto moved = set_aside(ledger->file());
    if (!moved) return pass(moved);
    aside = moved->filename().native();
  }
  if (auto put = ledger->put_lines(longest->lines); !put) return pass(put);
  ledger->mended_ = phrase("the ledger was rebuilt from {}: {} entries; what was there is kept as {}", from.native(), ledger->lines_.size(), aside);
  return ledger;
}

}  // namespace verbund::backup
