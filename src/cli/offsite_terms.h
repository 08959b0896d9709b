#pragma once
/// The places outside the house as a way for the two machines of a pair to hear of each other: production leaves a proof of its term there and looks whether a higher one lies there. Main thread.
#include <boost/json/object.hpp>

#include "backup/offsite/offsite.h"
#include "cli/backup.h"

namespace verbund::cli {

/// This machine as production of a pair, as its node says.
struct OwnTerm {
  Term term;
  std::string proof, secret;
  bool heard = false;            ///< the other machine answers: what it has begun is known from itself
};
/// nullopt: no node runs here that takes writes, or it is in no pair. Errors: kIo, kNotFound (the pair's secret).
Result<std::optional<OwnTerm>> own_term(const Globals& globals, const OfficeAtHand& at_hand);

/// Before a production that waits is opened by a person's word, in a term above all that it has seen: nobody would find out any more that another one had begun. A place that is not reached
/// is told on standard error, and not waited for. Errors: kPairRefused as below.
Status may_open(const Globals& globals, const boost::json::object& state);

/// Leaves the proof where it is not. Errors: kPairRefused (a higher term was begun: this machine's node was told and takes no more writes), those of Remote.
Status meet_terms(const Globals& globals, const OwnTerm& own, const backup::OffSiteTask& task);

/// At every place, unless there is nothing to learn: the other machine answers, and the proof lies there. Errors: kPairRefused as above; a place that is not reached is tried again next time.
Status meet_terms_everywhere(const Globals& globals, const OfficeAtHand& at_hand, backup::Progress& progress);

}  // namespace verbund::cli
