#pragma once
/// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure.
#include <string_view>

namespace verbund::net {

[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace verbund::net
