#include "backup/rotation/book.h"

#include <algorithm>

#include "backup/retention.h"
#include "backup/rotation/book_words.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

Status no_longer_in_use(const std::string& medium) {
  return fail(ErrorCode::kUsage, phrase("medium {}: is no longer in use", medium), phrase("verbund backup media list"));
}

const SetOnMedium* newest_good_of(const std::vector<SetOnMedium>& sets) {
  const auto found = std::find_if(sets.rbegin(), sets.rend(), [](const SetOnMedium& set) { return set.good(); });
  return found == sets.rend() ? nullptr : &*found;
}

}  // namespace

std::string_view class_name(MediumClass medium_class) { return words::of(words::kClass, medium_class); }

Result<MediumClass> parse_class(std::string_view text) {
  if (const auto found = words::find(words::kClass, text)) return *found;
  return fail(ErrorCode::kUsage, phrase("'{}' is no class of media", text), phrase("One of {}.", "daily, friday, month-end, quarter-end, year"));
}

std::string_view task_name(Task task) { return words::of(words::kTask, task); }

Result<Task> parse_task(std::string_view text) {
  if (const auto found = words::find(words::kTask, text)) return *found;
  return fail(ErrorCode::kUsage, phrase("'{}' is no task", text), phrase("One of {}.", "control, change, take-away"));
}

bool SetOnMedium::good() const { return outcome == fact::RunEnded::Outcome::kComplete && level >= kReliable && !damaged; }

const SetOnMedium* MediumState::newest_good() const { return newest_good_of(sets); }

/// What an entry does to the book. An overload that refuses has changed nothing.
struct Book::Take {
  Book& book;
  const Entry& entry;

  template <typename T>
  Event<T> event(const T& what) const {
    return {what, entry.at, book.witnessed(entry.at), entry.sequence};
  }
  Result<MediumState*> known(const std::string& id) const {
    const auto found = book.media_.find(id);
    if (found != book.media_.end()) return &found->second;
    return fail(ErrorCode::kUsage, phrase("medium {}: is not known here", id), phrase("verbund backup media list"));
  }
  Result<MediumState*> in_use(const std::string& id) const {
    auto medium = known(id);
    if (!medium || (*medium)->in_use()) return medium;
    return std::unexpected(no_longer_in_use((*medium)->label).error());
  }

  /// The sets that a fact without a medium is about are those in a directory.
  Result<std::vector<SetOnMedium>*> sets_on(const std::string& id) const {
    if (id.empty()) return &book.copies_;
    auto medium = known(id);
    if (!medium) return pass(medium);
    return &(*medium)->sets;
  }

  Status operator()(const fact::MediumAdded& added) const {
    const auto* bearer = book.by_label(added.label);
    if (added.id.empty() || added.label.empty() || book.media_.contains(added.id) || (bearer && bearer->in_use())) {
      return fail(ErrorCode::kUsage, phrase("medium {}: is there already", added.label), phrase("verbund backup media list"));
    }
    book.media_[added.id] = {.id = added.id, .label = added.label, .medium_class = added.medium_class, .kind = added.kind, .moved_by = {}, .sets = {}};
    return {};
  }
  Status moved(const std::string& id, const std::string& by, Place to) const {
    auto medium = in_use(id);
    if (!medium) return pass(medium);
    (*medium)->place = to;
    (*medium)->moved_by = by;
    (*medium)->moved_at = entry.at;
    if (to == Place::kOffSite) (*medium)->last_taken = entry.sequence;
    return {};
  }
  Status operator()(const fact::MediumTaken& taken) const { return moved(taken.id, taken.by, taken.to); }
  Status operator()(const fact::MediumBrought& brought) const { return moved(brought.id, brought.by, Place::kInHouse); }
  Status operator()(const fact::MediumRetired& retired) const {
    auto medium = in_use(retired.id);
    if (!medium) return pass(medium);
    (*medium)->retired = true;
    (*medium)->lost = retired.lost;
    return {};
  }
  Status operator()(const fact::RunEnded& run) const {
    MediumState* written = nullptr;
    if (!run.medium.empty()) {
      auto medium = in_use(run.medium);
      if (!medium) return pass(medium);
      written = *medium;
    }
    if (!book.last_run_ || book.last_run_->what.night != run.night || book.set_back_to_) {
      book.night_begun_ = entry.sequence;
      book.night_witnessed_ = book.witnessed(entry.at);
    }
    book.last_run_ = event(run);
    if (written) {
      written->uses += 1;
      written->last_written = entry.sequence;
    }
    if (run.set.empty()) return {};
    (written ? written->sets : book.copies_).push_back({.set = run.set, .sequence = run.set_sequence, .outcome = run.outcome, .level = run.level, .night = run.night,
                             .entered = entry.sequence, .at = entry.at, .witnessed = book.night_witnessed_});
    return {};
  }
  Status operator()(const fact::SetRemoved& removed) const {
    auto sets = sets_on(removed.medium);
    if (!sets) return pass(sets);
    std::erase_if(**sets, [&](const SetOnMedium& set) { return set.set == removed.set; });
    return {};
  }
  Status operator()(const fact::SetVerified& verified) const {
    auto sets = sets_on(verified.medium);
    if (!sets) return pass(sets);
    for (SetOnMedium& set : **sets) {
      if (set.set != verified.set) continue;
      if (verified.damaged && !set.damaged) set.damaged_at = entry.at;
      set.damaged = verified.damaged;
      set.level = verified.damaged ? Level::kNone : std::max(set.level, verified.level);
    }
    return {};
  }
  Status operator()(const fact::OffSiteVerified& verified) const {
    book.last_off_site_ = event(verified);
    book.off_site_[{verified.set, verified.target}] = event(verified);
    return {};
  }
  Status operator()(const fact::Ticked& ticked) const {
    book.ticks_.try_emplace({ticked.day, ticked.task}, ticked.by);
    if (ticked.task == Task::kControl && book.leap_ && book.leap_->entry != entry.sequence) book.leap_.reset();
    return {};
  }
  Status operator()(const fact::DrillSigned& drill) const {
    if (drill.passed) book.last_drill_ = event(drill);
    return {};
  }
  Status operator()(const fact::MailAcknowledged& mail) const {
    book.acknowledged_.insert(mail.code);
    return {};
  }
  Status operator()(const fact::DutyGiven& duty) const {
    std::erase_if(book.duties_, [&](const auto& other) { return other.task == duty.task && other.weekday == duty.weekday && other.day == duty.day; });
    if (!duty.responsible.name.empty()) book.duties_.push_back(duty);
    return {};
  }
  Status operator()(const fact::AbsenceNoted& absence) const {
    std::erase_if(book.absences_, [&](const auto& other) { return other.person == absence.person && other.first == absence.first; });
    if (!absence.back) book.absences_.push_back(absence);
    return {};
  }
  Status operator()(const fact::ClockSetBack&) const { return {}; }
};

Status Book::enter(const Entry& entry) {
  if (entry.sequence != next_) {
    return fail(ErrorCode::kUsage, phrase("ledger entry {}: {} is the next number", entry.sequence, next_));
  }
  if (auto taken = std::visit(Take{*this, entry}, entry.fact); !taken) return taken;
  note_time(entry);
  next_ += 1;
  return {};
}

void Book::note_time(const Entry& entry) {
  const bool back = newest_at_ && entry.at < *newest_at_ - kLeapBack;
  const bool ahead = newest_at_ && entry.at > *newest_at_ + kLeapAhead;
  witnessed_ = witnessed(entry.at);
  if (back || ahead) leap_ = ClockLeap{entry.sequence, *newest_at_, entry.at};
  if (back) set_back_to_ = entry.at;
  if (std::holds_alternative<fact::RunEnded>(entry.fact)) set_back_to_.reset();
  newest_at_ = entry.at;
}

seconds Book::witnessed(LocalTime now) const {
  if (!newest_at_) return seconds{0};
  return witnessed_ + std::clamp<seconds>(now - *newest_at_, seconds{0}, kMostBetweenEntries);
}

const MediumState* Book::find(const std::string& id) const {
  const auto found = media_.find(id);
  return found == media_.end() ? nullptr : &found->second;
}

const MediumState* Book::by_label(std::string_view label) const {
  const MediumState* found = nullptr;
  for (const auto& [id, medium] : media_) {
    if (medium.label == label && (!found || medium.in_use())) found = &medium;
  }
  return found;
}

bool Book::uses_media() const {
  return std::ranges::any_of(media_, [](const auto& row) { return row.second.in_use() && row.second.kind != MediumKind::kCloud; });
}

std::optional<Event<SetOnMedium>> Book::last_good() const {
  const bool written = std::ranges::any_of(media_, [](const auto& row) { return row.second.in_use() && row.second.last_written > 0; });
  const SetOnMedium* newest = written ? nullptr : newest_good_of(copies_);
  for (const auto& [id, medium] : media_) {
    const auto* good = medium.in_use() ? medium.newest_good() : nullptr;
    if (good && (!newest || good->entered > newest->entered)) newest = good;
  }
  if (!newest) return std::nullopt;
  return Event<SetOnMedium>{*newest, newest->at, newest->witnessed, newest->entered};
}

std::optional<std::string> Book::ticked_by(Day day, Task task) const {
  const auto found = ticks_.find({day, task});
  return found == ticks_.end() ? std::nullopt : std::optional(found->second);
}

bool Book::acknowledged(const std::string& code) const { return acknowledged_.contains(code); }

}  // namespace verbund::backup
