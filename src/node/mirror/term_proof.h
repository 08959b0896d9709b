#pragma once
/// Proof that a term of this pair was begun: what clients carry from one machine to the other, so that a production that was overtaken learns
/// of it from whoever comes to it. Pure; any thread.
///
/// "TERM.MAC": decimal, then 64 hex digits: BLAKE2b-256 of a label, the pair's secret and the term. Only the two machines of the pair can make
/// one, and only they need to check it. Never a machine on which a set of the office was restored: the pair's secret is in no set.
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace verbund::node {

[[nodiscard]] std::string prove_term(Term term, std::string_view secret);
/// The term that `proof` names, checked or not; none: it is no proof at all.
[[nodiscard]] std::optional<Term> claimed_term(std::string_view proof);
/// Nothing: it was not made with `secret`.
[[nodiscard]] std::optional<Term> proven_term(std::string_view proof, std::string_view secret);

}  // namespace verbund::node
