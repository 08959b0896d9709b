#pragma once
// Typed access to the fields of a message that came from the other side. Of sync alone.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/result.h"

namespace verbund::sync {

/// The first thing that is wrong is kept; what is read after it is empty.
class Fields {
 public:
  /// Errors of `error`: kBadMessage.
  static Fields parse(std::string_view text, std::string_view what);
  Fields(const boost::json::value& value, std::string_view what);

  std::string text(std::string_view name);
  std::string optional_text(std::string_view name);
  std::uint64_t number(std::string_view name);  ///< a string of digits, or a JSON number
  std::uint64_t optional_number(std::string_view name);
  std::uint32_t small(std::string_view name);
  bool flag(std::string_view name);  ///< absent: false
  std::vector<std::string> texts(std::string_view name, std::size_t most);
  /// Absent: none.
  void each(std::string_view name, std::size_t most, const std::function<void(Fields&)>& take);
  const boost::json::value* child(std::string_view name);
  void wrong(std::string_view name, std::string_view why);

  [[nodiscard]] const Status& status() const { return status_; }
  /// The other's error, if this has none.
  void take_error(const Status& other);

 private:
  const boost::json::value* find(std::string_view name);

  boost::json::value own_;
  const boost::json::object* object_ = nullptr;
  std::string what_;
  Status status_;
};

}  // namespace verbund::sync
