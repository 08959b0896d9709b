#include "base/system_words.h"

#include <algorithm>
#include <array>

#include "base/messages.h"

namespace verbund {
namespace {

constexpr std::array kWords{
    msgid("Address already in use"), msgid("Broken pipe"), msgid("Cannot assign requested address"), msgid("Connection refused"),
    msgid("Connection reset by peer"), msgid("Connection timed out"), msgid("Device or resource busy"), msgid("Directory not empty"),
    msgid("Disk quota exceeded"), msgid("End of file"), msgid("File exists"), msgid("File name too long"), msgid("File too large"),
    msgid("Host not found (authoritative)"), msgid("Host not found (non-authoritative), try again later"), msgid("Input/output error"),
    msgid("Is a directory"), msgid("Network is unreachable"), msgid("No route to host"), msgid("No space left on device"),
    msgid("No such device"), msgid("No such file or directory"), msgid("Not a directory"), msgid("Operation canceled"),
    msgid("Operation not permitted"), msgid("Permission denied"), msgid("Read-only file system"), msgid("Too many open files"),
    msgid("no such file or directory")};

}  // namespace

bool is_system_word(std::string_view text) {
  return std::ranges::any_of(kWords, [&](const char* word) { return text == word; });
}

}  // namespace verbund
