#pragma once
/// Outcomes that a caller can meet are values: Result<T>. A broken invariant asserts instead.
///
/// Codes come from schema/errors.yaml, each once; the table behind them (number, exit code, HTTP status) is generated.
/// Message: operation, object, cause. The hint says what to do and is shown on a line of its own.
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace verbund {

enum class ErrorCode : int {
#define VERBUND_ERROR(name, wire, number, exit_code, http_status) name = number,
#include "base/error_codes.inc"
#undef VERBUND_ERROR
};

/// The wire name ("held"), as in schema/errors.yaml and on the protocol.
std::string_view wire_name(ErrorCode code);
/// The code with that wire name; kInternal when unknown (a newer peer may know more codes).
ErrorCode code_from_wire(std::string_view name);
/// Exit code of the command line (DESIGN §5).
int exit_code(ErrorCode code);
int http_status(ErrorCode code);

/// A text for people that can still be said in either language: an English msgid with bare `{}`, and what stands there.
/// Made by `phrase` (base/messages.h).
struct Phrase {
  std::string msgid;
  std::vector<Phrase> values = {};  ///< none: msgid is said as it stands, braces and all
  bool verbatim = false;            ///< a name, a number, a text of somebody else: no msgid, the same in every language

  [[nodiscard]] std::string english() const;
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  ///< operation, object, cause; in English
  std::string hint;     ///< what to do; empty: nothing to say
  std::vector<Phrase> message_parts = {};  ///< what `message` is made of, joined by ": "; empty: only English has it
  Phrase hint_phrase = {};                 ///< what `hint` is made of; msgid empty: only English has it

  /// The same error seen from further up: "outer: inner".
  [[nodiscard]] Error in(Phrase operation) &&;
  [[nodiscard]] Error in(std::string_view operation) &&;
  /// Replaces the hint.
  void advise(Phrase hint);
};

/// An error that can be said in the reader's language (base/messages.h, message_in).
Error make_error(ErrorCode code, Phrase message, Phrase hint = {});

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(hint)});
}

/// What reaches people is made with this one.
inline std::unexpected<Error> fail(ErrorCode code, Phrase message, Phrase hint = {}) {
  return std::unexpected(make_error(code, std::move(message), std::move(hint)));
}

/// Hands an error on: `if (!x) return pass(x);`
template <typename T>
std::unexpected<Error> pass(Result<T>& result) {
  return std::unexpected(std::move(result.error()));
}
template <typename T>
std::unexpected<Error> pass(Result<T>&& result) {
  return std::unexpected(std::move(result.error()));
}
/// The same seen from further up: "operation: …". `operation` is a msgid (xgettext reads it) or a phrase.
template <typename T>
std::unexpected<Error> pass(Result<T>& result, std::string_view operation) {
  return std::unexpected(std::move(result.error()).in(operation));
}
template <typename T>
std::unexpected<Error> pass(Result<T>& result, Phrase operation) {
  return std::unexpected(std::move(result.error()).in(std::move(operation)));
}

}  // namespace verbund
