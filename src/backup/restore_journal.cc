#include "backup/restore_journal.h"

#include <fmt/format.h>

#include "backup/tar_fields.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

constexpr std::string_view kHead = "verbund-restore";
constexpr std::string_view kNoName = "-";

std::string_view take_word(std::string_view& rest) {
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  return word;
}

std::optional<Identity> take_identity(std::string_view& rest) {
  const auto device = tar::decimal(take_word(rest));
  const auto inode = tar::decimal(take_word(rest));
  if (!device || !inode) return std::nullopt;
  return Identity{*device, *inode};
}

/// One line into the record; false: it can't be read.
bool apply_begin(std::string_view rest, std::optional<RestoreRecord>& record) {
  if (take_word(rest) != "1") return false;
  record.emplace();
  record->id = take_word(rest);
  const auto base = from_journal_name(take_word(rest));
  if (!base || record->id.empty()) return false;
  record->base = *base;
  return true;
}

bool apply_place(std::string_view rest, RestoreRecord& record) {
  Placement placement;
  const auto number = tar::decimal(take_word(rest));
  for (std::string* name : {&placement.folder, &placement.name, &placement.old_name, &placement.original}) {
    const auto read = from_journal_name(take_word(rest));
    if (!read) return false;
    *name = *read;
  }
  const auto old = take_identity(rest);
  if (!old || number != record.placements.size()) return false;
  placement.old = *old;
  record.placements.push_back(std::move(placement));
  return true;
}

bool apply(std::string_view line, std::optional<RestoreRecord>& record) {
  const auto word = take_word(line);
  if (word == kHead) return apply_begin(line, record);
  if (!record) return false;
  if (word == "place") return apply_place(line, *record);
  if (word == "staged") {
    const auto number = tar::decimal(take_word(line));
    const auto identity = take_identity(line);
    if (!number || *number >= record->placements.size() || !identity) return false;
    record->placements[*number].fresh = *identity;
    return true;
  }
  if (word == "ready") return record->ready = true;
  if (word == "done") return record->done = true;
  if (word == "back") return record->back = true;
  if (word == "ended") return record->ended = true;
  return word == "aside" || word == "in";
}

}  // namespace

std::string journal_name(std::string_view name) {
  if (name.empty()) return std::string(kNoName);
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7F || c == '%' || name == kNoName) out += fmt::format("%{:02X}", byte);
    else out += c;
  }
  return out;
}

std::optional<std::string> from_journal_name(std::string_view text) {
  if (text == kNoName) return std::string();
  if (text.empty()) return std::nullopt;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : (c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1); };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
    out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return out;
}

RestoreState state_of(const std::optional<RestoreRecord>& record) {
  if (!record || record->ended) return RestoreState::kNone;
  if (record->done) return RestoreState::kCleaningUp;
  if (record->back) return RestoreState::kGoingBack;
  return record->ready ? RestoreState::kMoving : RestoreState::kUnpacking;
}

Result<std::optional<RestoreRecord>> read_restore_journal(const std::filesystem::path& path) {
  auto text = os::read_file(path);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::optional<RestoreRecord>();
  if (!text) return pass(text);
  std::optional<RestoreRecord> record;
  std::string_view rest = *text;
  // A last line without newline was never acknowledged: its step was not begun.
  for (std::size_t number = 1, end = 0; (end = rest.find('\n')) != std::string_view::npos; ++number) {
    if (!apply(rest.substr(0, end), record)) {
      return fail(ErrorCode::kBadJournal, phrase("{}, line {}: not a line of a restore", path.string(), number));
    }
    rest.remove_prefix(end + 1);
  }
  return record;
}

Result<RestoreJournal> RestoreJournal::open(const std::filesystem::path& path) {
  auto file = os::AppendFile::open(path, 0600);
  if (!file) return pass(file);
  return RestoreJournal(std::move(*file));
}

Status RestoreJournal::begin(const RestoreRecord& record) {
  if (auto written = file_.append(fmt::format("{} 1 {} {}", kHead, record.id, journal_name(record.base))); !written) return written;
  for (std::size_t i = 0; i < record.placements.size(); ++i) {
    const Placement& each = record.placements[i];
    auto written = file_.append(fmt::format("place {} {} {} {} {} {} {}", i, journal_name(each.folder), journal_name(each.name),
                                            journal_name(each.old_name), journal_name(each.original), each.old.device, each.old.inode));
    if (!written) return written;
  }
  return {};
}

Status RestoreJournal::staged(std::size_t number, const Identity& identity) {
  return file_.append(fmt::format("staged {} {} {}", number, identity.device, identity.inode));
}

Status RestoreJournal::step(std::string_view word, std::optional<std::size_t> number) {
  return file_.append(number ? fmt::format("{} {}", word, *number) : std::string(word));
}

}  // namespace verbund::backup
