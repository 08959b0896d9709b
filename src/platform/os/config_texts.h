#pragma once
/// All keys of a configuration file with their values as text, for whoever compares files without knowing their keys.
/// Lists: "a, b". Errors: kBadConfig. Any thread.
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::os {

Result<std::map<std::string, std::string>> toml_texts(std::string_view text, const std::string& name);
Result<std::map<std::string, std::string>> properties_texts(std::string_view text, const std::string& name);

}  // namespace verbund::os
