#pragma once
/// Writes JSON by appending to a string: no tree, no allocation of its own. Private to protocol. Any thread.
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/codec.h"
#include "protocol/names.h"

namespace verbund::protocol {

void append_decimal(std::string& out, std::uint64_t number);
/// "2026-11-22T03:04:05.123456Z" in quotes; the same text as to_iso8601, without fmt's chrono formatting, which costs
/// more than the rest of a LOCK together.
void append_time(std::string& out, WallTime time);
void append_key(std::string& out, const RecordKey& key);

/// One object, field by field; closes itself. Names are literals of ours and need no escaping.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  ~ObjectWriter() { out_ += '}'; }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  /// Writes the name; the caller appends the value.
  std::string& field(std::string_view name) {
    if (!first_) {
      out_ += ',';
    }
    first_ = false;
    out_ += '"';
    out_ += name;
    out_ += "\":";
    return out_;
  }
  void text(std::string_view name, std::string_view value) { append_json_string(field(name), value); }
  void text_if_any(std::string_view name, std::string_view value) {
    if (!value.empty()) {
      text(name, value);
    }
  }
  void flag(std::string_view name, bool value) { field(name) += value ? "true" : "false"; }
  void number(std::string_view name, std::uint64_t value) { append_decimal(field(name), value); }
  void span(std::string_view name, milliseconds value) {
    number(name, value.count() < 0 ? 0 : static_cast<std::uint64_t>(value.count()));
  }
  /// A 64-bit number: a string in JSON.
  void decimal(std::string_view name, std::uint64_t value) {
    std::string& out = field(name);
    out += '"';
    append_decimal(out, value);
    out += '"';
  }
  void key(std::string_view name, const RecordKey& value) { append_key(field(name), value); }
  void time(std::string_view name, WallTime value) { append_time(field(name), value); }
  template <typename E>
  void word(std::string_view name, E value) {
    std::string& out = field(name);
    out += '"';
    out += word_of(value);
    out += '"';
  }
  /// A list; `append(out, item)` writes one item.
  template <typename List, typename Append>
  void list(std::string_view name, const List& items, Append&& append) {
    std::string& out = field(name);
    out += '[';
    bool first = true;
    for (const auto& item : items) {
      if (!first) {
        out += ',';
      }
      first = false;
      append(out, item);
    }
    out += ']';
  }
  void keys(std::string_view name, const std::vector<RecordKey>& items) { list(name, items, append_key); }
  void texts(std::string_view name, const std::vector<std::string>& items) {
    list(name, items, [](std::string& out, const std::string& item) { append_json_string(out, item); });
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void append_json(std::string& out, const Cursor& cursor);
void append_json(std::string& out, const Watch& watch);
template <typename View>
void append_view(std::string& out, const View& view) {
  append_json(out, view);
}

}  // namespace verbund::protocol
