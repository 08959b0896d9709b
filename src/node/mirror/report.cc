#include "node/mirror/report.h"

#include "base/messages.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

std::string decimal(std::uint64_t number) { return std::to_string(number); }
std::int64_t milli(nanoseconds span) { return std::chrono::duration_cast<milliseconds>(span).count(); }
json::value maybe(const std::optional<std::uint64_t>& number) { return number ? json::value(decimal(*number)) : json::value(nullptr); }

std::unexpected<Error> bad(std::string_view name) { return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", name)); }

Result<Lsn> lsn_of(const json::object& object, std::string_view name) {
  auto text = text_of(object, name);
  if (!text) return pass(text);
  auto lsn = parse_lsn(*text);
  return lsn ? lsn : Result<Lsn>(bad(name));
}

Result<bool> flag_of(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (!member || !member->is_bool()) return bad(name);
  return member->as_bool();
}

}  // namespace

Result<json::object> object_of(std::string_view text) {
  boost::system::error_code error;
  auto value = json::parse(text, error);
  if (error || !value.is_object()) return fail(ErrorCode::kBadMessage, phrase("read the pair's message: it is no JSON object"));
  return std::move(value.as_object());
}

Result<std::string> text_of(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (!member || !member->is_string()) return bad(name);
  return std::string(member->as_string());
}

Result<std::uint64_t> number_of(const json::object& object, std::string_view name) {
  auto text = text_of(object, name);
  if (!text) return pass(text);
  auto number = parse_u64(*text);
  return number ? number : Result<std::uint64_t>(bad(name));
}

json::value to_json(const std::optional<mirror::Behind>& behind) {
  if (!behind) return nullptr;
  return json::object{{"bytes", decimal(behind->bytes)}, {"commits", maybe(behind->commits)}, {"span_ms", milli(behind->span)},
                      {"age_ms", milli(behind->age)}};
}

json::object to_json(const mirror::LossReport& loss) {
  return {{"kind", to_string(loss.kind)}, {"term", decimal(loss.term.value)}, {"received", to_string(loss.received)}, {"end", to_string(loss.end)},
          {"bytes", decimal(loss.bytes)}, {"commits", maybe(loss.commits)}, {"span_ms", milli(loss.span)},
          {"waited_ms", loss.waited ? json::value(milli(*loss.waited)) : json::value(nullptr)}};
}

json::value to_json(const std::optional<mirror::SlotSafety>& slot) {
  if (!slot) return nullptr;
  return json::object{{"active", slot->active}, {"lost", slot->lost}, {"kept_bytes", decimal(slot->kept_bytes)}, {"safe_bytes", maybe(slot->safe_bytes)}};
}

json::object to_json(const mirror::Beat& beat) {
  return {{"position", to_string(beat.position)}, {"finished", decimal(beat.finished)}, {"begun", decimal(beat.begun)}};
}

json::object to_json(const mirror::Received& received) {
  return {{"received", to_string(received.received)}, {"replayed", to_string(received.replayed)}, {"timeline", decimal(received.timeline)},
          {"streaming", received.streaming}, {"in_recovery", received.in_recovery}};
}

Result<mirror::Beat> beat_from(const json::object& object) {
  const auto position = lsn_of(object, "position");
  if (!position) return std::unexpected(position.error());
  const auto finished = number_of(object, "finished");
  if (!finished) return std::unexpected(finished.error());
  const auto begun = number_of(object, "begun");
  if (!begun) return std::unexpected(begun.error());
  return mirror::Beat{*position, *finished, *begun};
}

Result<mirror::Received> received_from(const json::object& object) {
  const auto received = lsn_of(object, "received");
  if (!received) return std::unexpected(received.error());
  const auto replayed = lsn_of(object, "replayed");
  if (!replayed) return std::unexpected(replayed.error());
  const auto timeline = number_of(object, "timeline");
  if (!timeline) return std::unexpected(timeline.error());
  const auto streaming = flag_of(object, "streaming");
  if (!streaming) return std::unexpected(streaming.error());
  const auto in_recovery = flag_of(object, "in_recovery");
  if (!in_recovery) return std::unexpected(in_recovery.error());
  return mirror::Received{*received, *replayed, static_cast<std::uint32_t>(*timeline), *streaming, *in_recovery};
}

Result<std::optional<mirror::SlotSafety>> slot_from(const json::object& object) {
  const auto* member = object.if_contains("slot");
  if (!member || !member->is_object()) return std::optional<mirror::SlotSafety>();
  const auto& from = member->as_object();
  const auto active = flag_of(from, "active");
  if (!active) return std::unexpected(active.error());
  const auto lost = flag_of(from, "lost");
  if (!lost) return std::unexpected(lost.error());
  const auto kept = number_of(from, "kept_bytes");
  if (!kept) return std::unexpected(kept.error());
  mirror::SlotSafety slot{.active = *active, .lost = *lost, .kept_bytes = *kept, .from = {}, .safe_bytes = {}};
  if (const auto* safe = from.if_contains("safe_bytes"); safe && safe->is_string()) {
    const auto bytes = number_of(from, "safe_bytes");
    if (!bytes) return std::unexpected(bytes.error());
    slot.safe_bytes = *bytes;
  }
  return std::optional(slot);
}

}  // namespace verbund::node
