#include "mirror/epoch.h"

#include "base/messages.h"
#include "mirror/crc.h"
#include "mirror/pair.h"
#include "platform/os/file.h"

namespace verbund::mirror {
namespace {

std::unexpected<Error> damaged(const std::filesystem::path& file) {
  return fail(ErrorCode::kBadJournal, phrase("read {}: damaged", file.string()),
              phrase("Restore it from the last backup with a higher term; a lower one would give fencing tokens twice."));
}

Status write_epoch(const std::filesystem::path& file, const LockEpoch& epoch) {
  const std::string line = with_crc(fmt::format("{} {}", epoch.term.value, epoch.start_count)) + '\n';
  return os::write_file_atomically(file, line, 0600);
}

}  // namespace

Result<LockEpoch> read_epoch(const std::filesystem::path& file) {
  auto text = os::read_file(file, 1000);
  if (!text) return pass(text);
  if (!text->empty() && text->back() == '\n') text->pop_back();
  const auto body = without_crc(*text);
  if (!body) return damaged(file);
  const std::size_t blank = body->find(' ');
  const auto term = parse_u64(body->substr(0, blank));
  const auto count = blank == std::string_view::npos ? term : parse_u64(body->substr(blank + 1));
  if (!term || !count || *term == 0 || *term > kMaxTerm || *count > 0xffff) return damaged(file);
  return LockEpoch{Term{*term}, static_cast<std::uint16_t>(*count)};
}

Result<LockEpoch> next_epoch(const std::filesystem::path& file) {
  auto epoch = read_epoch(file);
  if (!epoch && epoch.error().code != ErrorCode::kNotFound) return epoch;
  LockEpoch next = epoch ? *epoch : LockEpoch{Term{1}, 0};
  if (next.start_count == 0xffff) {
    if (next.term.value == kMaxTerm) return fail(ErrorCode::kUnsupported, phrase("raise the epoch: all terms are used up"));
    next = {Term{next.term.value + 1}, 0};
  }
  ++next.start_count;
  if (auto written = write_epoch(file, next); !written) return pass(written, "raise the epoch");
  return next;
}

Result<Term> begin_term(const std::filesystem::path& file, Term above, std::uint16_t starts, std::uint64_t member) {
  const auto epoch = read_epoch(file);
  const std::uint64_t highest = std::max(above.value, epoch ? epoch->term.value : 0);
  const Term term = member == 0 ? Term{highest + 1} : next_term(member, Term{highest});
  if (term.value > kMaxTerm) return fail(ErrorCode::kUnsupported, phrase("raise the epoch: all terms are used up"));
  if (auto written = write_epoch(file, {term, starts}); !written) return pass(written, "begin a term");
  return term;
}

Status begin_exactly(const std::filesystem::path& file, Term term) {
  const auto epoch = read_epoch(file);
  if (!epoch && epoch.error().code != ErrorCode::kNotFound) return std::unexpected(epoch.error());
  const Term before = epoch ? epoch->term : Term{};
  if (before == term) return {};
  if (before > term) return fail(ErrorCode::kInternal, phrase("begin term {}: this machine has begun term {} before", term.value, before.value));
  return write_epoch(file, {term, 0});
}

}  // namespace verbund::mirror
