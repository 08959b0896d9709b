// A set out of the house: what is missing there is sent, then all of it is read back.
#include <algorithm>

#include "backup/digest.h"
#include "backup/offsite/pieces.h"
#include "backup/offsite/sealed.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
using What = OffSiteEvent::What;

/// An account that may not overwrite what a cut has left gets the set under another name.
constexpr int kMaxPlaces = 9;

std::string place_named(const std::string& set, int number) { return number == 1 ? set : fmt::format("{}.{}", set, number); }
int number_of(const std::string& set, const std::string& place) {
  return place.size() == set.size() + 2 && place.starts_with(set + ".") ? place.back() - '0' : 1;
}

/// One set on its way.
class Copying {
 public:
  Copying(const OffSiteTask& task, SetReader set, std::string original, OffSiteCopy known)
      : task_(task), set_(std::move(set)), id_(set_.manifest().id), original_(std::move(original)), known_(std::move(known)) {
    report_.set = id_;
    report_.sealed_here = !set_.manifest().copy_of.empty();
  }

  Result<CopyReport> run() {
    auto pieces = pieces_of(set_.directory());
    if (!pieces) return pass(pieces);
    pieces_ = std::move(*pieces);
    for (const auto& piece : pieces_) report_.bytes += piece.bytes;
    report_.files = pieces_.size();
    for (int number = std::max(1, number_of(id_, known_.place)); number <= kMaxPlaces; ++number) {
      report_.place = place_named(id_, number);
      bool refused = false;
      if (auto sent = send_all(refused); !sent && !refused) return pass(sent);
      if (!refused) return std::move(report_);
    }
    return fail(ErrorCode::kAlreadyExists, phrase("off-site {}: what is left of {} earlier copies of {} can be neither completed nor replaced", task_.remote.shown(), kMaxPlaces, id_),
                phrase("Somebody with the right to do so has to remove them."));
  }

 private:
  OffSiteEvent event(What what) const {
    OffSiteEvent event;
    event.what = what;
    event.set = id_;
    event.sequence = set_.manifest().sequence;
    return event;
  }

  Status begin() {
    if (known_.place == report_.place && known_.sums == set_.hash()) return {};
    known_ = {};
    known_.place = report_.place;
    known_.sums = set_.hash();
    auto begun = event(What::kBegun);
    begun.place = report_.place;
    begun.sums = set_.hash();
    begun.original = original_;
    return note(task_, std::move(begun));
  }

  /// `refused`: something else is there that this account may not replace.
  Status send_all(bool& refused) {
    if (auto begun = begin(); !begun) return begun;
    if (task_.on_step) task_.on_step(phrase("send {} to {}", id_, task_.remote.shown()));
    auto there = task_.remote.sizes(report_.place, task_.progress);
    if (!there) return pass(there);
    done_ = 0;
    for (const auto& piece : pieces_) {
      const auto found = there->find(piece.name);
      auto arrived = has_arrived(piece, found == there->end() ? std::nullopt : std::optional(found->second));
      if (!arrived) return pass(arrived);
      if (!*arrived) {
        if (auto sent = send(piece); !sent) {
          refused = found != there->end() && sent.error().code == ErrorCode::kForbidden;
          return sent;
        }
      }
      task_.progress.moved(id_, done_ += piece.bytes, report_.bytes);
    }
    return note(task_, event(What::kCopied));
  }

  /// By our journal and its size; else, when the size fits, by reading it back.
  Result<bool> has_arrived(const Piece& piece, std::optional<std::uint64_t> size) {
    if (size != piece.bytes) return false;
    const auto known = known_.sent.find(piece.name);
    if (known != known_.sent.end() && known->second == piece.hash) return true;
    auto hash = task_.remote.hash(report_.place + "/" + piece.name, [](std::uint64_t) {}, task_.progress);
    if (!hash && hash.error().code == ErrorCode::kNotFound) return false;
    if (!hash) return pass(hash);
    if (*hash != piece.hash) return false;
    if (auto noted = arrived(piece); !noted) return pass(noted);
    return true;
  }

  Status send(const Piece& piece) {
    const auto moved = [&](std::uint64_t bytes) { task_.progress.moved(id_, done_ + std::min(bytes, piece.bytes), report_.bytes); };
    if (auto sent = task_.remote.put(set_.directory() / piece.name, report_.place + "/" + piece.name, moved, task_.progress); !sent) return sent;
    ++report_.sent_files;
    report_.sent_bytes += piece.bytes;
    return arrived(piece);
  }

  Status arrived(const Piece& piece) {
    auto sent = event(What::kSent);
    sent.file = piece.name;
    sent.hash = piece.hash;
    return note(task_, std::move(sent));
  }

  const OffSiteTask& task_;
  SetReader set_;
  const std::string id_, original_;
  OffSiteCopy known_;
  std::vector<Piece> pieces_;
  CopyReport report_;
  std::uint64_t done_ = 0;
};

fs::path scratch_of(const OffSiteTask& task) {
  const auto& given = task.remote.site().scratch;
  return given.empty() ? task.office.directory / "backup" / "offsite" / "sealed" : given;
}

struct Known {
  std::string id, hash;
  OffSiteCopy copy;
};
Result<Known> known_copy(const OffSiteTask& task, const fs::path& set) {
  auto trusted = trusted_keys(task.office.directory);
  if (!trusted) return pass(trusted);
  auto original = SetReader::open(set, *trusted);
  if (!original) return pass(original);
  auto events = OffSiteJournal(task.office.directory, task.remote.site().name).read();
  if (!events) return pass(events);
  return Known{original->manifest().id, original->hash(), copies_of(*events)[original->manifest().id]};
}

Result<CopyReport> send(const OffSiteTask& task, const fs::path& set, Known known) {
  const auto scratch = scratch_of(task);
  auto sealed = sealed_set(task.office, set, scratch, task.progress, task.on_step);
  if (!sealed) return pass(sealed);
  return Copying(task, std::move(*sealed), known.hash, std::move(known.copy)).run();
}

}  // namespace

Result<CopyReport> copy_off_site(const OffSiteTask& task, const fs::path& set) {
  const auto begun = task.clock.now();
  auto known = known_copy(task, set);
  if (!known) return pass(known);
  auto lock = OffSiteJournal(task.office.directory, task.remote.site().name).lock();
  if (!lock) return pass(lock);
  const auto id = known->id;
  CopyReport report;
  report.set = id;
  report.place = known->copy.place;
  // Once it is there, nothing has to be sealed again: it would be other bytes.
  if (!known->copy.copied || known->copy.original != known->hash) {
    auto sent = send(task, set, std::move(*known));
    if (!sent) return pass(sent);
    report = std::move(*sent);
  }
  auto check = verify_off_site(task, id);
  if (!check) return pass(check);
  report.check = std::move(*check);
  if (report.check.findings.empty()) {
    std::error_code left;  // what stays takes space, and is found at the next copy
    fs::remove_all(scratch_of(task) / id, left);
  }
  report.took = std::chrono::duration_cast<milliseconds>(task.clock.now() - begun);
  return report;
}

}  // namespace verbund::backup
