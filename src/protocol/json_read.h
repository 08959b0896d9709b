#pragma once
/// Reads JSON of a stranger: a parsed document on a stack buffer and typed access to its fields. Private to protocol.
///
/// Reading goes on after a complaint with a harmless value; the first complaint is kept and decides. So decoders are
/// a plain list of fields. One thread per document.
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value.hpp>

#include "base/messages.h"
#include "protocol/names.h"

namespace verbund::protocol {

/// A parsed message. Small ones stay within the object itself.
class Document {
 public:
  /// Errors: kBadUtf8, kTooDeep, kBadMessage (no JSON, no object).
  Status parse(std::string_view text, std::size_t max_nesting);
  /// After parse.
  [[nodiscard]] const boost::json::object& root() const { return value_->get_object(); }

 private:
  static constexpr std::size_t kBufferBytes = 8192;
  alignas(std::max_align_t) std::array<unsigned char, kBufferBytes> buffer_;
  boost::json::monotonic_resource memory_{buffer_.data(), buffer_.size()};
  std::optional<boost::json::value> value_;  // after memory_, which it lives in
};

/// Where a field stands, for complaints: "reclaim[3].key".
struct Place {
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  const Place* parent = nullptr;
  std::string_view name;
  std::size_t index = kNone;
};

/// The first complaint about a message.
struct Findings {
  Phrase operation;  ///< "lock"
  std::optional<Error> error;
  void complain(ErrorCode code, const Place& place, Phrase must);
};

enum class Presence { kOptional, kRequired };
enum class Controls { kNone, kLines, kAny };  ///< kLines: line feed, carriage return and tab

struct TextRule {
  std::size_t max_bytes = std::numeric_limits<std::size_t>::max();
  Presence presence = Presence::kOptional;
  Controls controls = Controls::kNone;
};

struct ListRule {
  std::size_t max = std::numeric_limits<std::size_t>::max();
  Presence presence = Presence::kOptional;  ///< required: present and with at least one element
  ErrorCode too_many = ErrorCode::kTooLarge;
};

/// One object of a document. A field that is null counts as absent. Borrowed for the call.
class Fields {
 public:
  Fields(const boost::json::object& object, Findings& findings, const Place* place = nullptr)
      : object_(object), findings_(findings), place_(place) {}

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  /// Empty when absent.
  [[nodiscard]] std::string text(std::string_view name, const TextRule& rule = {}) const;
  [[nodiscard]] bool flag(std::string_view name, bool absent) const;
  [[nodiscard]] std::uint64_t number(std::string_view name, std::uint64_t max, std::uint64_t absent = 0) const;
  [[nodiscard]] milliseconds span(std::string_view name, milliseconds max, milliseconds absent = milliseconds{0}) const;
  /// A 64-bit number in a string; 0 when absent.
  [[nodiscard]] std::uint64_t decimal(std::string_view name, Presence presence = Presence::kOptional) const;
  [[nodiscard]] std::optional<Lsn> lsn(std::string_view name) const;
  [[nodiscard]] RecordKey key(std::string_view name) const;
  [[nodiscard]] WallTime time(std::string_view name) const;
  /// A member of an enumeration; `absent` without the field, a complaint without both.
  template <typename E>
  [[nodiscard]] E word(std::string_view name, std::optional<E> absent = std::nullopt) const;

  /// read(Fields) when the object is there.
  template <typename Read>
  bool object(std::string_view name, Read&& read) const;
  /// read(Fields) for each element.
  template <typename Read>
  void objects(std::string_view name, const ListRule& rule, Read&& read) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view name, const ListRule& rule, const TextRule& each) const;
  [[nodiscard]] std::vector<RecordKey> keys(std::string_view name, const ListRule& rule) const;

  [[nodiscard]] const boost::json::value* find(std::string_view name) const;
  void complain(ErrorCode code, std::string_view name, Phrase must) const {
    findings_.complain(code, {place_, name}, std::move(must));
  }

 private:
  [[nodiscard]] const boost::json::array* list(std::string_view name, const ListRule& rule) const;
  [[nodiscard]] std::string checked_text(const boost::json::value& value, const Place& place,
                                         const TextRule& rule) const;
  [[nodiscard]] RecordKey checked_key(const boost::json::value& value, const Place& place) const;

  const boost::json::object& object_;
  Findings& findings_;
  const Place* place_;
};

template <typename E>
E Fields::word(std::string_view name, std::optional<E> absent) const {
  const auto* value = find(name);
  if (value == nullptr && absent) {
    return *absent;
  }
  if (value != nullptr && value->is_string()) {
    const auto& word = value->get_string();
    if (const auto known = value_of<E>({word.data(), word.size()})) {
      return *known;
    }
  }
  complain(ErrorCode::kBadMessage, name, phrase("must be one of {}", all_words<E>()));
  return kWords<E>.front().value;
}

template <typename Read>
bool Fields::object(std::string_view name, Read&& read) const {
  const auto* value = find(name);
  if (value == nullptr) {
    return false;
  }
  const Place place{place_, name};
  if (!value->is_object()) {
    findings_.complain(ErrorCode::kBadMessage, place, phrase("must be an object"));
    return false;
  }
  read(Fields(value->get_object(), findings_, &place));
  return true;
}

template <typename Read>
void Fields::objects(std::string_view name, const ListRule& rule, Read&& read) const {
  const auto* values = list(name, rule);
  if (values == nullptr) {
    return;
  }
  for (std::size_t i = 0; i < values->size() && !findings_.error; ++i) {
    const Place place{place_, name, i};
    if ((*values)[i].is_object()) {
      read(Fields((*values)[i].get_object(), findings_, &place));
    } else {
      findings_.complain(ErrorCode::kBadMessage, place, phrase("must be an object"));
    }
  }
}

}  // namespace verbund::protocol
