#include "node/mirror/pair_message.h"

#include "base/messages.h"
#include "node/mirror/report.h"

namespace verbund::node {
namespace {

namespace json = boost::json;
using mirror::PairStatus;

constexpr std::size_t kMaxNameBytes = 200;
constexpr std::uint64_t kMaxTerm = 0xffff;  // 16 bits of a fencing token
constexpr mirror::Stage kStages[] = {mirror::Stage::kServing, mirror::Stage::kHandedOver, mirror::Stage::kFenced,
                                     mirror::Stage::kFollowing, mirror::Stage::kPromoting, mirror::Stage::kRejoining};
constexpr std::string_view kWishes[] = {"none", "hand_over", "withdraw"};

std::unexpected<Error> bad(std::string_view name) { return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", name)); }

/// Reads fields one after another and keeps the first that is wrong.
class Fields {
 public:
  explicit Fields(const json::object& object) : object_(object) {}

  void number(std::string_view name, std::uint64_t& into, std::uint64_t most = UINT64_MAX) {
    const auto value = number_of(object_, name);
    if (!value || *value > most) return refuse(name);
    into = *value;
  }
  template <typename T>
  void small(std::string_view name, T& into) {
    std::uint64_t value = 0;
    number(name, value, std::numeric_limits<T>::max());
    into = static_cast<T>(value);
  }
  void term(std::string_view name, Term& into) { number(name, into.value, kMaxTerm); }
  void flag(std::string_view name, bool& into) {
    const auto* member = object_.if_contains(name);
    if (member == nullptr || !member->is_bool()) return refuse(name);
    into = member->as_bool();
  }
  void text(std::string_view name, std::string& into) {
    auto value = text_of(object_, name);
    if (!value || value->size() > kMaxNameBytes) return refuse(name);
    into = std::move(*value);
  }
  void beat(std::string_view name, mirror::Beat& into) {
    const auto* member = object_.if_contains(name);
    if (member == nullptr || !member->is_object()) return refuse(name);
    const auto value = beat_from(member->as_object());
    if (!value) return refuse(name);
    into = *value;
  }
  void stage(mirror::Stage& into) {
    const auto value = text_of(object_, "stage");
    for (const auto stage : kStages) {
      if (value && *value == to_string(stage)) return void(into = stage);
    }
    refuse("stage");
  }
  void wish(mirror::Wish& into) {
    const auto value = text_of(object_, "wish");
    for (std::size_t i = 0; i < std::size(kWishes); ++i) {
      if (value && *value == kWishes[i]) return void(into = static_cast<mirror::Wish>(i));
    }
    refuse("wish");
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  void refuse(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
  }
  const json::object& object_;
  std::string wrong_;
};

std::string decimal(std::uint64_t number) { return std::to_string(number); }

}  // namespace

std::string to_text(const PairMessage& message) {
  const PairStatus& status = message.status;
  json::object object{
      {"name", message.name}, {"version", message.version}, {"port", decimal(message.port)}, {"database_port", decimal(message.database_port)},
      {"timeline", decimal(message.timeline)}, {"member", decimal(status.member)}, {"boots", decimal(status.boots)}, {"sequence", decimal(status.sequence)},
      {"heard_boots", decimal(status.heard_boots)}, {"heard_sequence", decimal(status.heard_sequence)}, {"stage", to_string(status.stage)},
      {"term", decimal(status.term.value)}, {"seen", decimal(status.seen.value)}, {"offered", decimal(status.offered.value)}, {"declined", decimal(status.declined.value)},
      {"open", status.open}, {"asks", status.asks}, {"following", status.following}, {"beat", to_json(status.beat)}, {"ready_for", to_json(status.ready_for)},
      {"wish", kWishes[static_cast<std::size_t>(status.wish)]}, {"wish_term", decimal(status.wish_term.value)},
      {"lease_ms", decimal(static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(status.lease).count()))}};
  if (message.witness) object["witness"] = to_json(*message.witness);
  return json::serialize(object);
}

Result<PairMessage> parse_pair_message(std::string_view text) {
  auto object = object_of(text);
  if (!object) return pass(object);
  PairMessage message;
  PairStatus& status = message.status;
  Fields fields(*object);
  fields.text("name", message.name);
  fields.text("version", message.version);
  fields.small("port", message.port);
  fields.small("database_port", message.database_port);
  fields.small("timeline", message.timeline);
  fields.number("member", status.member, 3);
  fields.number("boots", status.boots);
  fields.number("sequence", status.sequence);
  fields.number("heard_boots", status.heard_boots);
  fields.number("heard_sequence", status.heard_sequence);
  fields.stage(status.stage);
  fields.term("term", status.term);
  fields.term("seen", status.seen);
  fields.term("offered", status.offered);
  fields.term("declined", status.declined);
  fields.flag("open", status.open);
  fields.flag("asks", status.asks);
  fields.flag("following", status.following);
  fields.beat("beat", status.beat);
  fields.beat("ready_for", status.ready_for);
  fields.wish(status.wish);
  fields.term("wish_term", status.wish_term);
  if (object->contains("lease_ms")) {  // older programs have no witness
    std::uint64_t lease = 0;
    fields.number("lease_ms", lease, 86'400'000);
    status.lease = milliseconds{static_cast<std::int64_t>(lease)};
  }
  if (!fields.wrong().empty()) return bad(fields.wrong());
  if (const auto* witness = object->if_contains("witness")) {
    const auto place = witness->is_object() ? witness_place_from(witness->as_object()) : Result<WitnessPlace>(bad("witness"));
    if (!place) return std::unexpected(place.error());
    message.witness = *place;
  }
  return message;
}

}  // namespace verbund::node
