#include "base/result.h"

#include <fmt/args.h>
#include <fmt/format.h>

namespace verbund {
namespace {

struct Row {
  ErrorCode code;
  std::string_view wire;
  int exit_code;
  int http_status;
};

constexpr Row kRows[] = {
#define VERBUND_ERROR(name, wire, number, exit_code, http_status) {ErrorCode::name, wire, exit_code, http_status},
#include "base/error_codes.inc"
#undef VERBUND_ERROR
};

const Row& row_of(ErrorCode code) {
  for (const Row& row : kRows) {
    if (row.code == code) return row;
  }
  return kRows[0];
}

}  // namespace

std::string_view wire_name(ErrorCode code) { return row_of(code).wire; }
int exit_code(ErrorCode code) { return row_of(code).exit_code; }
int http_status(ErrorCode code) { return row_of(code).http_status; }

ErrorCode code_from_wire(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.wire == name) return row.code;
  }
  return ErrorCode::kInternal;
}

std::string Phrase::english() const {
  if (values.empty()) return msgid;
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const Phrase& value : values) store.push_back(value.english());
  return fmt::vformat(msgid, store);
}

Error make_error(ErrorCode code, Phrase message, Phrase hint) {
  Error error{code, message.english(), hint.english(), {}, std::move(hint)};
  error.message_parts.push_back(std::move(message));
  return error;
}

Error Error::in(Phrase operation) && {
  // What was said without parts is one: the text itself may be in the catalog.
  if (message_parts.empty()) message_parts.push_back({message});
  message.insert(0, operation.english() + ": ");
  message_parts.insert(message_parts.begin(), std::move(operation));
  return std::move(*this);
}

Error Error::in(std::string_view operation) && { return std::move(*this).in(Phrase{std::string(operation)}); }

void Error::advise(Phrase advice) {
  hint = advice.english();
  hint_phrase = std::move(advice);
}

}  // namespace verbund
