#include "history/erasure.h"

#include "base/messages.h"
#include "feed/tables.h"
#include "history/erasure_list.h"

namespace verbund::history {
namespace {

constexpr seconds kAcquire{10};
constexpr seconds kSettle{30};

std::string micros(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

Status check_reason(const std::string& reason) {
  const bool printable = std::ranges::none_of(reason, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!reason.empty() && reason.size() <= kMaxReasonBytes && printable) return {};
  return fail(ErrorCode::kUsage, phrase("erase: the reason has to be one line of at most {} bytes", kMaxReasonBytes),
              phrase("It is kept for ever: name the occasion, not the person."));
}

}  // namespace

Status Erasures::settle() {
  if (relay_ == nullptr) return {};
  auto here = feed_.current_lsn();
  if (!here) return pass(here);
  // Something of our own behind it: a quiet log says nothing, and would never be seen to have passed.
  if (auto sent = feed_.announce({}, {}); !sent) return sent;
  return relay_->wait_for(*here, Deadline::in(clock_, kSettle));
}

Result<std::uint64_t> Erasures::apply(postgres::Connection& versions, const Erasure& erasure) {
  auto erased = versions.query(
      "SELECT history.erase($1::uuid, $2, timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4, $5)",
      {erasure.id, erasure.record, micros(erasure.at), erasure.by, erasure.reason});
  if (!erased) return pass(erased, "erase from the versions");
  auto key = parse_record_key(erasure.record);
  if (!key) return pass(key);
  if (auto forgotten = feed_.forget_images(*key, erasure.at); !forgotten) return pass(forgotten);
  return parse_u64(erased->text(0, 0));
}

Result<Erasure> Erasures::erase(const RecordKey& key, const std::string& by, const std::string& reason) {
  if (auto checked = check_reason(reason); !checked) return pass(checked);
  const std::scoped_lock lock(mutex_);
  auto exists = exists_(key);
  if (!exists) return pass(exists);
  if (*exists) {
    return fail(ErrorCode::kAlreadyExists, phrase("erase {}: the record still exists in the database", to_string(key)),
                phrase("Delete it with the application first; then its history can be erased."));
  }
  if (auto settled = settle(); !settled) return pass(settled);
  auto lease = versions_.acquire(Deadline::in(clock_, kAcquire));
  if (!lease) return pass(lease, "versions database");
  auto known = (**lease).query(
      "SELECT gen_random_uuid(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,"
      "       EXISTS (SELECT FROM history.version WHERE record = $1)",
      {to_string(key)});
  if (!known) return pass(known, "versions database");
  if (known->text(0, 2) != "t") return fail(ErrorCode::kNotFound, phrase("erase {}: there are no versions of it", to_string(key)));
  Erasure erasure{std::string(known->text(0, 0)), to_string(key),
                  WallTime{microseconds{std::stoll(std::string(known->text(0, 1)))}}, by, reason, 0};
  // The file first: from here on the erasure is done, now or at the next start.
  if (auto kept = append_erasure(file_, erasure); !kept) return pass(kept, "note the erasure");
  auto gone = apply(**lease, erasure);
  if (!gone) return pass(gone);
  erasure.versions = *gone;
  log_.info("history.erased", {{"id", erasure.id}, {"versions", *gone}});
  return erasure;
}

Result<std::vector<Erasure>> Erasures::list() {
  auto lease = versions_.acquire(Deadline::in(clock_, kAcquire));
  if (!lease) return pass(lease, "versions database");
  return entered_erasures(**lease);
}

Result<std::vector<Erasure>> Erasures::undone(postgres::Connection& versions, const std::vector<Erasure>& all) {
  feed::TextArray ids, records, times;
  for (const Erasure& erasure : all) {
    ids.add(erasure.id);
    records.add(erasure.record);
    times.add(micros(erasure.at));
  }
  auto rows = versions.query(
      "SELECT e.id FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS e (id, record, at)"
      " WHERE NOT EXISTS (SELECT FROM history.erasure x WHERE x.id = e.id)"
      "    OR EXISTS (SELECT FROM history.version v WHERE v.record = e.record AND v.erasure IS NULL"
      "                  AND v.committed <= timestamptz 'epoch' + e.at * interval '1 microsecond')",
      {ids.take(), records.take(), times.take()});
  if (!rows) return pass(rows, "compare the erasures");
  std::vector<Erasure> undone;
  for (int row = 0; row < rows->size(); ++row) {
    const auto found = std::ranges::find(all, rows->text(row, 0), &Erasure::id);
    if (found != all.end()) undone.push_back(*found);
  }
  return undone;
}

Result<std::size_t> Erasures::reapply() {
  const std::scoped_lock lock(mutex_);
  auto lease = versions_.acquire(Deadline::in(clock_, kAcquire));
  if (!lease) return pass(lease, "versions database");
  // The directory was restored, or moved here from elsewhere.
  auto all = note_erasures(file_, **lease);
  if (!all) return pass(all);
  auto again = undone(**lease, *all);
  if (!again) return pass(again);
  for (const Erasure& erasure : *again) {
    auto gone = apply(**lease, erasure);
    if (!gone) return pass(gone, "erase once more");
    log_.warning("history.erased_again", {{"id", erasure.id}, {"versions", *gone}});
    auto key = parse_record_key(erasure.record);
    auto exists = key ? exists_(*key) : Result<bool>(false);
    if (exists && *exists) log_.warning("history.erased_record_exists", {{"id", erasure.id}});
  }
  return again->size();
}

}  // namespace verbund::history
