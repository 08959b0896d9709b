#include "mirror/loss.h"

#include <algorithm>

#include <fmt/format.h>

namespace verbund::mirror {
namespace {

/// More than an hour of seconds; beyond that every second one in the middle goes, which only makes "at most" larger.
constexpr std::size_t kMaxHeard = 4096;

std::uint64_t between(Lsn from, Lsn to) { return to > from ? to.value - from.value : 0; }

}  // namespace

std::string_view to_string(LossKind kind) {
  switch (kind) {
    case LossKind::kNone: return "none";
    case LossKind::kBounded: return "bounded";
    case LossKind::kWithin: return "within";
    case LossKind::kUnknown: return "unknown";
  }
  return "?";
}

std::string token_of(const LossReport& report) {
  // FNV-1a: the token ties a confirmation to what was read; it keeps nobody out.
  std::uint64_t hash = 14695981039346656037ULL;
  for (const std::uint64_t part : {static_cast<std::uint64_t>(report.kind), report.term.value, report.received.value,
                                   report.end.value, report.bytes, report.commits.value_or(~0ULL)}) {
    for (int shift = 0; shift < 64; shift += 8) hash = (hash ^ (part >> shift & 0xff)) * 1099511628211ULL;
  }
  constexpr std::string_view kSigns = "abcdefghjkmnpqrstuvwxyz23456789";  // none that can be taken for another
  std::string token;
  for (int i = 0; i < 12; ++i, hash /= kSigns.size()) token += kSigns[hash % kSigns.size()];
  return token;
}

void LossMeter::heard(const Beat& beat, TimePoint now, std::optional<TimePoint> told) {
  if (!heard_.empty()) told = std::max(told, heard_.back().told);  // a later one is not older
  if (!heard_.empty() && beat.position <= heard_.back().beat.position) {
    heard_.back().beat.finished = std::max(heard_.back().beat.finished, beat.finished);
    heard_.back().beat.begun = std::max(heard_.back().beat.begun, beat.begun);
    heard_.back().time = now;
    heard_.back().told = told;
    return;
  }
  heard_.push_back({beat, now, told});
  if (heard_.size() > kMaxHeard) thin_out();
}

void LossMeter::promised(TimePoint until) {
  // Once the mirror has not kept up, commits are acknowledged without it: an older promise still says what it said.
  promised_until_ = std::max(promised_until_.value_or(until), until);
}

void LossMeter::thin_out() {
  std::deque<Heard> kept;
  for (std::size_t i = 0; i < heard_.size(); ++i) {
    if (i % 2 == 0 || i + 1 == heard_.size()) kept.push_back(heard_[i]);
  }
  heard_ = std::move(kept);
}

const LossMeter::Heard* LossMeter::reached(Lsn received) const {
  const auto beyond = std::ranges::upper_bound(heard_, received, {}, [](const Heard& heard) { return heard.beat.position; });
  return beyond == heard_.begin() ? nullptr : &*std::prev(beyond);
}

std::optional<std::uint64_t> LossMeter::commits_until(const Beat& last, Lsn received) const {
  if (received >= last.position) return 0;
  const Heard* here = reached(received);
  if (!here || last.begun < here->beat.finished) return std::nullopt;
  return last.begun - here->beat.finished;
}

std::optional<Behind> LossMeter::behind(Lsn received, TimePoint now) const {
  if (heard_.empty()) return std::nullopt;
  const Heard& last = heard_.back();
  const Heard* here = reached(received);
  Behind behind;
  behind.bytes = between(received, last.beat.position);
  behind.commits = commits_until(last.beat, received);
  behind.age = now - last.time;
  if (here != &last) behind.span = now - (here ? here->time : heard_.front().time);
  return behind;
}

LossReport LossMeter::report(Term term, Lsn received, const std::optional<Beat>& stopped, TimePoint now) const {
  LossReport report;
  report.term = term;
  report.received = received;
  Beat last = heard_.empty() ? Beat{received, 0, 0} : heard_.back().beat;
  if (stopped) last = *stopped;
  report.end = last.position;
  if (promised_until_) report.waited = std::max(nanoseconds{0}, nanoseconds{now - *promised_until_});
  report.bytes = between(received, last.position);
  if (stopped) report.kind = report.bytes == 0 ? LossKind::kNone : LossKind::kBounded;
  if (!heard_.empty() || stopped) report.commits = commits_until(last, received);
  if (report.kind == LossKind::kNone || heard_.empty()) return report;
  const Heard* here = reached(received);
  report.span = now - (here ? here->time : heard_.front().time);
  return report;
}

LossReport LossMeter::report_within(Term term, Lsn received, TimePoint stopped, TimePoint now) const {
  LossReport report = this->report(term, received, {}, now);
  const Heard* here = reached(received);
  if (!here || !here->told) return report;
  report.kind = LossKind::kWithin;
  report.span = std::max(nanoseconds{0}, nanoseconds{stopped - *here->told});
  if (promised_until_) report.waited = std::max(nanoseconds{0}, nanoseconds{stopped - *promised_until_});
  return report;
}

}  // namespace verbund::mirror
