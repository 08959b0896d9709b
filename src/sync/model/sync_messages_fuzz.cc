#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sync/model/folder_messages.h"
#include "sync/model/messages.h"

// The JSON of the five calls from anybody: a message, kBadMessage or kTooLarge. What is accepted is the same after it was written and read.
namespace {

using namespace verbund;
using namespace verbund::sync;

template <typename Message>
void try_as(std::string_view text, Result<Message> (*decode)(std::string_view)) {
  const auto message = decode(text);
  if (!message) {
    const auto code = message.error().code;
    if (code != ErrorCode::kBadMessage && code != ErrorCode::kTooLarge) std::abort();
    if (message.error().message.empty()) std::abort();
    return;
  }
  const auto written = encode(*message);
  const auto again = decode(written);
  if (!again || encode(*again) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_as(text, &decode_enrol_request);
  try_as(text, &decode_enrol_reply);
  try_as(text, &decode_sync_request);
  try_as(text, &decode_sync_reply);
  try_as(text, &decode_ack_request);
  try_as(text, &decode_folder_cursor);
  try_as(text, &decode_folder_page);
  try_as(text, &decode_file_entry);
  try_as(text, &decode_file_taken);
  return 0;
}
