#include "records/key_text.h"

#include "base/messages.h"

namespace verbund::records {

std::string join_key(const std::vector<std::string>& parts) {
  std::string id;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) id += ',';
    for (const char c : parts[i]) {
      if (c == ',' || c == '\\') id += '\\';
      id += c;
    }
  }
  return id;
}

Result<std::vector<std::string>> split_key(std::string_view id) {
  std::vector<std::string> parts(1);
  for (std::size_t at = 0; at < id.size(); ++at) {
    if (id[at] == ',') {
      parts.emplace_back();
      continue;
    }
    if (id[at] == '\\') {
      ++at;
      if (at == id.size() || (id[at] != ',' && id[at] != '\\')) {
        return fail(ErrorCode::kBadKey, phrase("read a record id: '\\' stands before neither ',' nor '\\'"));
      }
    }
    parts.back() += id[at];
  }
  return parts;
}

}  // namespace verbund::records
