#include "cli/offsite_terms.h"

#include <boost/json.hpp>

#include "backup/offsite/marks.h"
#include "base/messages.h"
#include "cli/mirror.h"
#include "node/mirror/role.h"
#include "node/mirror/term_proof.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

/// Of which term this machine has left its proof there, so that it need not ask while the other machine answers.
fs::path left_file(const OfficeAtHand& at_hand, const std::string& site) { return at_hand.office.directory / "backup" / "offsite" / (site + ".term"); }

bool left_before(const OfficeAtHand& at_hand, const std::string& site, const OwnTerm& own) {
  const auto text = os::read_file(left_file(at_hand, site), 1024);
  return text && *text == own.proof + "\n";
}

Result<OwnTerm> term_in(const json::object& state, const OfficeAtHand& at_hand) {
  const auto term = parse_u64(at(state, "pair.term"));
  if (!term) return std::unexpected(term.error());
  auto secret = at_hand.installation.secret(node::kPairSecret);
  if (!secret) return pass(secret);
  return OwnTerm{Term{*term}, node::prove_term(Term{*term}, *secret), *secret, at(state, "pair.peer.alive") == "true"};
}

/// Errors: kPairRefused (a higher term lies there; the node was told), those of the node.
Status refuse_higher(const Globals& globals, const OwnTerm& own, const std::vector<std::string>& marks, const std::string& site) {
  for (const auto& mark : marks) {
    const auto claimed = node::claimed_term(mark);
    if (!claimed || *claimed <= own.term || !node::proven_term(mark, own.secret)) continue;
    if (auto told = ask_pair(globals, {{"do", "term"}, {"proof", mark}}); !told) return std::unexpected(told.error());
    return fail(ErrorCode::kPairRefused, phrase("off-site {}: the proof of term {} lies there, and this machine is of term {}: another one is production", site, claimed->value, own.term.value),
                phrase("This machine takes no writes. When the other one works again, `verbund mirror rejoin` here."));
  }
  return {};
}

}  // namespace

Result<std::optional<OwnTerm>> own_term(const Globals& globals, const OfficeAtHand& at_hand) {
  const auto state = mirror_state(globals);
  // Without a node nobody works here, and nobody is to be told.
  if (!state || at(*state, "role") != "production" || at(*state, "pair.open") != "true") return std::optional<OwnTerm>();
  auto own = term_in(*state, at_hand);
  if (!own) return pass(own);
  return std::optional(std::move(*own));
}

Status meet_terms(const Globals& globals, const OwnTerm& own, const backup::OffSiteTask& task) {
  const auto marks = backup::marks_at(task);
  if (!marks) return std::unexpected(marks.error());
  if (auto refused = refuse_higher(globals, own, *marks, task.remote.site().name); !refused) return refused;
  if (std::ranges::find(*marks, own.proof) != marks->end()) return {};
  return backup::leave_mark(task, own.proof);
}

Status meet_terms_everywhere(const Globals& globals, const OfficeAtHand& at_hand, backup::Progress& progress) {
  if (at_hand.office.config.off_sites.empty()) return {};
  const auto own = own_term(globals, at_hand);
  if (!own) return std::unexpected(own.error());
  if (!*own) return {};
  const os::SystemClock clock;
  for (const auto& site : at_hand.office.config.off_sites) {
    if ((*own)->heard && left_before(at_hand, site.name, **own)) continue;
    auto remote = backup::Remote::open(site, at_hand.office.directory);
    auto met = remote ? meet_terms(globals, **own, {at_hand.office, *remote, progress, clock}) : Status(std::unexpected(remote.error()));
    if (!met && met.error().code == ErrorCode::kPairRefused) return met;
    if (!met) {
      at_hand.log->warning("offsite.terms", {{"site", site.name}, {"error", met.error().message}});
      continue;
    }
    const auto file = left_file(at_hand, site.name);
    if (auto made = os::make_directories(file.parent_path(), 0700); !made) return made;
    if (auto noted = os::write_file_atomically(file, (*own)->proof + "\n", 0600); !noted) return noted;
  }
  return {};
}

Status may_open(const Globals& globals, const json::object& state) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return pass(at_hand);
  if (at_hand->office.config.off_sites.empty()) return {};
  const auto own = term_in(state, *at_hand);
  if (!own) return std::unexpected(own.error());
  const os::SystemClock clock;
  ProgressLine progress(globals, &interrupted_flag());
  for (const auto& site : at_hand->office.config.off_sites) {
    const auto marks = [&]() -> Result<std::vector<std::string>> {
      auto remote = backup::Remote::open(site, at_hand->office.directory);
      if (!remote) return pass(remote);
      return backup::marks_at({at_hand->office, *remote, progress, clock});
    }();
    if (!marks) {
      fmt::print(stderr, "{}\n", translated(globals.language, "off-site {}: whether another term has begun is not known there: {}", site.name, message_in(globals.language, marks.error())));
      continue;
    }
    if (auto refused = refuse_higher(globals, *own, *marks, site.name); !refused) return refused;
  }
  return {};
}

}  // namespace verbund::cli
