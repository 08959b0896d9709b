#pragma once
/// The witness of a pair: a third machine that keeps one record, who is production and who may be given it. Pure: no I/O, no clock; one thread.
/// See README.md, "The witness", for the laws that it and the pair's engine keep together.
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "mirror/pair.h"

namespace verbund::mirror {

/// How long production may take to stop once its lease is over; then it is stopped by force.
constexpr nanoseconds kStopWithin = seconds{3};
/// So much later than production counts, everybody else counts its lease as over: stopping, clocks that do not run alike, one look too late.
constexpr nanoseconds lease_margin(nanoseconds lease) { return lease / 10 + seconds{6}; }

enum class CallKind {
  kWatch,  ///< only asks how things stand
  kIdle,   ///< a mirror that wants nothing: what was granted to it is given back
  kHold,   ///< production: renews its lease
  kAsk,    ///< the mirror: production is silent, it would take over
};

/// What a machine of the pair tells the witness, every second. Complete each time.
struct WitnessCall {
  Member member = 0;
  std::uint64_t boots = 0, sequence = 0;  ///< order among the calls of a member
  std::string pair = {};                  ///< tells this pair of two machines from every earlier one
  CallKind kind = CallKind::kWatch;
  Term term = {};                         ///< in which it is production, or which it follows
  Member candidate = 0;                   ///< kHold: who may be given production when the lease is over; 0: nobody
  nanoseconds lease{0};                   ///< kHold: counted by production from when it sent this
  std::uint64_t ask = 0;                  ///< kAsk: the number of this wish, new for each
  nanoseconds cool_down{0};               ///< kAsk: not so soon after production was last given away
};

struct WitnessAnswer {
  std::uint64_t boots = 0, sequence = 0;  ///< of the call
  bool held = false;                      ///< kHold: renewed
  Term term = {};                         ///< the highest in which production was held
  Member holder = 0;                      ///< who held it last; 0: nobody yet
  Member granted = 0;                     ///< to whom production is given and who has not taken it yet; 0: nobody
  std::uint64_t ask = 0;                  ///< kAsk: the wish that is granted; 0: it is not
  nanoseconds lease{0};                   ///< the holder's
  nanoseconds over{0};                    ///< since its lease is over, without the margin; negative: still so long
  std::string reason = {};                ///< why it was not renewed or not granted; a msgid
};

/// On disk before the answer to the call that changed it.
struct WitnessRecord {
  Member holder = 0;
  Term term;
  Member candidate = 0;
  nanoseconds lease{0};
  Member granted = 0;
  bool given = false;      ///< the holder was given it by the witness
  std::string pair;
  std::array<std::uint64_t, 4> boots{}, sequence{};  ///< the newest call of each member, when this was written
  friend bool operator==(const WitnessRecord&, const WitnessRecord&) = default;
};

class Witness {
 public:
  /// After a start every lease counts as renewed at that moment, and production as given away.
  Witness(const WitnessRecord& record, TimePoint now);

  struct Outcome {
    WitnessAnswer answer;
    /// To be on disk before the answer is said. When it can't be, this Witness has ended: a new one begins with what is on disk.
    std::optional<WitnessRecord> write;
  };
  [[nodiscard]] Outcome handle(const WitnessCall& call, TimePoint now);
  [[nodiscard]] const WitnessRecord& record() const { return record_; }
  [[nodiscard]] TimePoint renewed_at() const { return renewed_at_; }

 private:
  std::string hold(const WitnessCall& call, TimePoint now);
  std::string grant(const WitnessCall& call, TimePoint now);

  WitnessRecord record_;
  std::array<std::uint64_t, 4> boots_{}, sequence_{};
  TimePoint renewed_at_;
  TimePoint given_at_;
};

}  // namespace verbund::mirror
