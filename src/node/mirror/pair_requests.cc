// What people ask of a pair, and what is shown of it.
#include "base/messages.h"
#include "node/mirror/pair_seat.h"
#include "node/mirror/report.h"

namespace verbund::node {
namespace {

namespace json = boost::json;
namespace pair = mirror::pair;

std::string decimal(std::uint64_t number) { return std::to_string(number); }

bool flag_in(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  return member != nullptr && member->is_bool() && member->as_bool();
}

Result<pair::Event> request_in(const json::object& object) {
  const auto what = text_of(object, "do");
  if (!what) return std::unexpected(what.error());
  const auto claim = flag_in(object, "peer_is_off") ? pair::Claim::kPeerIsOff : pair::Claim::kNothing;
  if (*what == "switchover") return pair::Event(pair::SwitchoverRequested{});
  if (*what == "salvaged") {
    const auto end = text_of(object, "end");
    if (!end) return std::unexpected(end.error());
    const auto position = parse_lsn(*end);
    if (!position) return std::unexpected(position.error());
    return pair::Event(pair::Salvaged{{*position, 0, 0}, claim});
  }
  if (*what == "fence") return pair::Event(pair::FenceRequested{});
  if (*what == "rejoin") return pair::Event(pair::RejoinRequested{flag_in(object, "anew")});
  if (*what == "forget_witness") return pair::Event(pair::ForgetWitnessRequested{claim});
  if (*what == "open") return pair::Event(pair::OpenRequested{claim});
  if (*what != "promote") return fail(ErrorCode::kBadMessage, phrase("field do: switchover, promote, open, fence, rejoin, salvaged, term, witness or forget_witness"));
  auto token = text_of(object, "token");
  if (!token) return pass(token);
  return pair::Event(pair::PromoteRequested{*token, claim});
}

json::value peer_json(const std::optional<Peer>& peer, const PairView& view, const std::string& version) {
  if (!peer) return nullptr;
  json::object shown{{"name", peer->name}, {"address", address_of(*peer)}, {"member", decimal(peer->member)}, {"version", version}, {"alive", view.peer_alive}, {"stage", nullptr}};
  if (!view.peer) return shown;
  shown["stage"] = to_string(view.peer->stage);
  shown["term"] = decimal(view.peer->term.value);
  shown["open"] = view.peer->open;
  shown["asks"] = view.peer->asks;
  shown["following"] = view.peer->following;
  return shown;
}

json::value in_ms(std::optional<nanoseconds> span) {
  return span ? json::value(std::to_string(std::chrono::duration_cast<milliseconds>(*span).count())) : json::value(nullptr);
}

/// Null: the pair has none, and no earlier one binds this machine.
json::value witness_json(const PairView& view, const std::optional<WitnessPlace>& place) {
  if (!view.has_witness && view.record.candidate == 0) return nullptr;
  json::object shown{{"address", place && !place->host.empty() ? fmt::format("{}:{}", place->host, place->port) : ""}, {"alive", view.witness_alive},
                     {"error", view.witness_error}, {"silent_ms", in_ms(view.witness_silent)}, {"lease_left_ms", in_ms(view.lease_left)},
                     {"candidate", decimal(view.record.candidate)}, {"automatic", view.automatic}, {"not_automatic", view.not_automatic},
                     {"holder", nullptr}, {"held_term", nullptr}, {"granted", nullptr}, {"reason", ""}};
  if (view.witness) {
    shown["holder"] = decimal(view.witness->holder);
    shown["held_term"] = decimal(view.witness->term.value);
    shown["granted"] = decimal(view.witness->granted);
    shown["reason"] = view.witness->reason;
  }
  return shown;
}

}  // namespace

Result<std::string> PairSeat::act(const std::string& user, const std::string& body) {
  if (!paired_) {
    return fail(ErrorCode::kPairRefused, phrase("this machine is in no pair"), phrase("`verbund mirror invite` lets a second machine in."));
  }
  auto object = object_of(body);
  if (!object) return pass(object);
  const auto what = text_of(*object, "do").value_or("");
  if (what == "witness") {
    log_->warning("pair.asked", {{"what", what}, {"by", user}});
    auto used = use_witness();
    return used ? Result<std::string>(R"({"accepted":true})") : pass(used);
  }
  if (what == "term") {
    // From a place outside the house. What proves nothing changes nothing, as with what clients carry.
    const auto proof = text_of(*object, "proof");
    if (!proof) return std::unexpected(proof.error());
    term_shown(*proof);
    return std::string(R"({"accepted":true})");
  }
  auto request = request_in(*object);
  if (!request) return pass(request);
  auto reply = driver_->ask(std::move(*request));
  if (!reply) return pass(reply);
  log_->warning("pair.asked", {{"what", what}, {"by", user}, {"accepted", reply->accepted}, {"reason", reply->reason}});
  if (!reply->accepted) return fail(ErrorCode::kPairRefused, phrase("{}: {}", verbatim(what), Phrase{reply->reason}));
  return std::string(R"({"accepted":true})");
}

json::value PairSeat::view_json() const {
  if (!paired_) return nullptr;
  const auto view = driver_->view();
  std::optional<Peer> other;
  std::string version;
  std::optional<WitnessPlace> witness;
  {
    const std::lock_guard guard(mutex_);
    witness = witness_;
    other = peer_;
    version = peer_version_;
  }
  const auto& record = view.record;
  json::object loss = to_json(view.loss);
  loss["token"] = token_of(view.loss);
  json::object shown{{"member", decimal(record.member)}, {"stage", to_string(record.stage)}, {"term", decimal(record.term.value)}, {"seen", decimal(record.seen.value)},
                     {"open", view.open}, {"waits_for_person", view.waits_for_person}, {"alone", record.alone}, {"peer_asks", record.peer_asks},
                     {"doing", view.doing ? json::value(to_string(*view.doing)) : json::value(nullptr)}, {"running", view.server.running},
                     {"position", to_string(view.server.beat.position)}, {"loss", loss}, {"told", view.told}, {"told_reason", view.told_reason}, {"trouble", view.trouble},
                     {"peer", peer_json(other, view, version)}};
  shown["timeline"] = decimal(server_->timeline());
  shown["witness"] = witness_json(view, witness);
  shown["given"] = record.given;
  shown["report"] = record.report ? json::value(to_json(*record.report)) : json::value(nullptr);
  return shown;
}

}  // namespace verbund::node
