#include "sync/device/kept_json.h"

#include <boost/json/parse.hpp>
#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::sync::device {

Result<boost::json::value> read_kept(std::string_view text, std::string_view what) {
  boost::system::error_code failed;
  auto value = boost::json::parse(text, failed);
  if (!failed) return value;
  return fail(ErrorCode::kDamaged, phrase("the device's database: {} can't be read: {}", what, failed.message()), phrase("Enrol the device again with a new file."));
}

Result<TableLayout> read_kept_layout(std::string_view text, std::string_view subscription) {
  auto value = read_kept(text, fmt::format("the layout of {}", subscription));
  if (!value) return pass(value);
  return read_layout(*value);
}

}  // namespace verbund::sync::device
