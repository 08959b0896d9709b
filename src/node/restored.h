#pragma once
/// What a node must not find as it was after databases have come back from a set: numbers that were given since. Blocking; one thread.
#include "base/ids.h"
#include "base/result.h"
#include "node/installation.h"

namespace verbund::node {

/// After source, mid-tier or both were restored, the server running, before a node starts: the feed begins a new history and
/// compares all (equal rows keep their version); csns and fencing tokens go on in a term above every earlier one that is known here, in
/// the mid-tier and `above`; session ids are skipped. Returns the term. Errors: those of the database, kIo.
Result<Term> begin_after_restore(const Installation& installation, const postgres::ConnectionSettings& superuser, Term above, const std::string& set);

}  // namespace verbund::node
