#pragma once
/// JSON as the resources write it: small, by hand, over Boost.JSON's serialiser. Any thread.
#include <string>

#include <boost/json.hpp>

#include "base/result.h"

namespace verbund::api {

/// The request's body as an object. Errors: kBadMessage.
Result<boost::json::object> read_object(std::string_view body);
/// A string member. Errors: kBadMessage (missing, or not a string).
Result<std::string> string_member(const boost::json::object& object, std::string_view name);
/// True or false. Errors: kBadMessage (missing, or neither).
Result<bool> bool_member(const boost::json::object& object, std::string_view name);
/// A whole number within the range. Errors: kBadMessage (missing, no number, out of range).
Result<std::uint64_t> number_member(const boost::json::object& object, std::string_view name, std::uint64_t low, std::uint64_t high);

}  // namespace verbund::api
