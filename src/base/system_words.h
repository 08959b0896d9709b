#pragma once
/// What the system says by itself (strerror, getaddrinfo, Asio), where people read it at the end of a message.
/// Pure, any thread.
#include <string_view>

namespace verbund {

/// Whether `text` is one of those that the catalog has: the only foreign words that are translated. No name is like them.
bool is_system_word(std::string_view text);

}  // namespace verbund
