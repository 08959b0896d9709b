#pragma once
/// For the simulation: an office with its media and people as they really are, beside the book that only knows what was entered. Time
/// here is real; the machine's clock reads real time plus an offset. Ages, promises and lines of duty are counted here anew, simply.
#include <algorithm>
#include <random>

#include "backup/rotation/duty.h"

namespace verbund::backup {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

/// What a seed draws: how this office is and what befalls it.
struct Fortune {
  bool jumps = false;          ///< the clock is set wrong, and right again
  bool losses = false;         ///< media are lost and damaged
  bool careless = false;       ///< people forget
  bool breakdowns = false;     ///< the scheduler is dead, the machine is off
  bool tapes = false;
  bool no_media = false;       ///< sets go to a directory
};

struct RealSet {
  std::string id, medium;
  LocalTime night_began;       ///< real time of the first run that held its night
  days keep{};
  Day night;                   ///< as it was entered
  bool counts = false, good = false;
  int order = 0;
};

/// A clock that was set: when (real time), by how much.
struct Leap {
  LocalTime at;
  seconds by;
};

class OfficeModel {
 public:
  std::vector<RealSet> sets;   ///< all that exist, oldest first
  std::vector<Leap> leaps;

  /// As much sooner a medium may be freed because the clock was wrong: of each leap ahead at most three days (kMostBetweenEntries).
  [[nodiscard]] seconds slack(LocalTime from) const {
    seconds sum{0};
    for (const Leap& leap : leaps) {
      if (leap.at >= from && leap.by > seconds{0}) sum += std::min<seconds>(leap.by, days{3});
    }
    return sum;
  }
  /// What C6 promises about a set, at this moment of real time.
  [[nodiscard]] bool promised(const RealSet& set, LocalTime real) const {
    return set.counts && real - set.night_began < set.keep - hours{13} - slack(set.night_began);
  }
  [[nodiscard]] bool replaced(const RealSet& set) const {
    return std::ranges::any_of(sets, [&](const RealSet& other) {
      return other.good && other.medium == set.medium && other.night == set.night && other.order > set.order;
    });
  }
  /// Whether it is the newest good set of one of the two media that hold the newest good sets.
  [[nodiscard]] bool last_good(const RealSet& set) const {
    std::vector<std::string> media;
    for (auto at = sets.rbegin(); at != sets.rend() && media.size() < 2; ++at) {
      if (!at->good || std::ranges::find(media, at->medium) != media.end()) continue;
      if (at->id == set.id) return true;
      media.push_back(at->medium);
    }
    return false;
  }
  RealSet* find(const std::string& id) {
    const auto found = std::ranges::find(sets, id, &RealSet::id);
    return found == sets.end() ? nullptr : &*found;
  }
  void forget_medium(const std::string& medium) {
    std::erase_if(sets, [&](const RealSet& set) { return set.medium == medium; });
  }
};

/// Two people who take turns by weekday, each the other's deputy, and their holidays.
struct Staff {
  std::vector<Absence> absences;
  [[nodiscard]] bool away(const std::string& who, Day day) const {
    return std::ranges::any_of(absences, [&](const Absence& a) { return a.person == who && a.first <= day && day <= a.last; });
  }
  [[nodiscard]] std::string first_in_line(Day day) const {
    const bool friday = std::chrono::weekday{day} == std::chrono::Friday;
    for (const auto* name : {friday ? "Jens" : "Anna", friday ? "Anna" : "Jens"}) {
      if (!away(name, day)) return name;
    }
    return "Chief";
  }
};

}  // namespace verbund::backup
