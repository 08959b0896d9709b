#pragma once
/// The event of a transaction as the journal keeps it (docs/formats/journal.md), JSON. Pure.
#include "feed/feed.h"

namespace verbund::feed {

/// {"r":[[op,type,id,was|null,[tables]]],"b":[[type,count]],"t":[types]}; empty parts are left out.
std::string event_text(const TransactionEvent& event);
/// Fills records, bulk and truncated. Errors: kInternal (the journal holds what it never should).
Status read_event_text(std::string_view text, TransactionEvent& event);

/// Content of a 'verbund.changed' message: [{"key":"letter/99","op":"insert"}].
std::string announcement_text(std::span<const RecordEvent> records);
/// Anybody may write such a message. Errors: kBadMessage.
Result<std::vector<std::pair<RecordEvent::Op, RecordKey>>> read_announcement(std::string_view text);

}  // namespace verbund::feed
