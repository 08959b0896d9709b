// Any bytes as one pgoutput message: a decoded message or kBadStream, and every view inside the buffer.
#include <cstdlib>
#include <cstring>

#include "feed/event_text.h"
#include "feed/pgoutput.h"

namespace {

using namespace verbund::feed::pgoutput;

void inside(std::string_view whole, std::string_view part) {
  if (part.empty()) return;
  if (part.data() < whole.data() || part.data() + part.size() > whole.data() + whole.size()) std::abort();
}

void check(std::string_view whole, const Tuple& tuple) {
  for (const Value& value : tuple) inside(whole, value.text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view data(reinterpret_cast<const char*>(bytes), size);
  const auto message = decode(data);
  if (!message) return message.error().code == verbund::ErrorCode::kBadStream ? 0 : (std::abort(), 0);
  if (const auto* insert = std::get_if<Insert>(&*message)) check(data, insert->row);
  if (const auto* update = std::get_if<Update>(&*message)) {
    check(data, update->row);
    check(data, update->old);
  }
  if (const auto* gone = std::get_if<Delete>(&*message)) check(data, gone->old);
  if (const auto* text = std::get_if<LogicalMessage>(&*message)) {
    inside(data, text->content);
    (void)verbund::feed::read_announcement(text->content);
  }
  return 0;
}
