#include "node/mirror/term_proof.h"

#include <fmt/format.h>

#include "platform/os/random.h"

namespace verbund::node {

std::string prove_term(Term term, std::string_view secret) {
  // The secret has a fixed length and no line break: nothing else gives the same text.
  return fmt::format("{}.{}", term.value, os::blake2b_hex(fmt::format("verbund term 1\n{}\n{}\n", secret, term.value)));
}

std::optional<Term> claimed_term(std::string_view proof) {
  const auto dot = proof.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto number = parse_u64(proof.substr(0, dot));
  if (!number || *number == 0) return std::nullopt;
  return Term{*number};
}

std::optional<Term> proven_term(std::string_view proof, std::string_view secret) {
  const auto term = claimed_term(proof);
  if (!term || secret.empty() || !os::equal_secrets(proof, prove_term(*term, secret))) return std::nullopt;
  return term;
}

}  // namespace verbund::node
