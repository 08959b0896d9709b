#include "backup/folder_index.h"

#include <algorithm>
#include <cstring>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "backup/digest.h"
#include "backup/tar_fields.h"
#include "backup/tar_reader.h"
#include "base/messages.h"
#include "base/utf8.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;

constexpr std::size_t kFlushBytes = 64 * 1024;
/// Two paths, each byte as \uXXXX, and the rest.
constexpr std::size_t kMaxLineBytes = 12 * kMaxMemberPathBytes + 4096;
constexpr std::array kTypes{MemberType::kFile,        MemberType::kHardLink, MemberType::kSymbolicLink, MemberType::kCharacterDevice,
                            MemberType::kBlockDevice, MemberType::kFolder,   MemberType::kFifo};

void put_bytes(json::object& to, std::string_view key, std::string_view bytes) {
  if (is_utf8(bytes)) {
    to[key] = bytes;
    return;
  }
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  to[std::string(key) + "_hex"] = hex;
}

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const auto high = digit(hex[i]), low = digit(hex[i + 1]);
    if (!high || !low) return std::nullopt;
    bytes += static_cast<char>(*high << 4 | *low);
  }
  return bytes;
}

std::optional<std::string> text_of(const json::object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<std::string> bytes_of(const json::object& from, std::string_view key) {
  if (auto text = text_of(from, key)) return text;
  const auto hex = text_of(from, std::string(key) + "_hex");
  return hex ? from_hex(*hex) : std::nullopt;
}

std::optional<std::uint64_t> number_of(const json::object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  if (value == nullptr) return std::nullopt;
  std::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  return error ? std::nullopt : std::optional(number);
}

bool true_of(const json::object& from, std::string_view key) {
  const auto* value = from.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::optional<Timestamp> time_of(const json::object& from) {
  const auto text = text_of(from, "modified");
  const std::size_t point = text ? text->find('.') : std::string::npos;
  if (point == std::string::npos || text->size() - point != 10) return std::nullopt;
  const bool negative = text->starts_with('-');
  const auto seconds = tar::decimal(std::string_view(*text).substr(negative ? 1 : 0, point - (negative ? 1 : 0)));
  const auto nanoseconds = tar::decimal(std::string_view(*text).substr(point + 1));
  if (!seconds || *seconds > (std::uint64_t{1} << 62) || !nanoseconds) return std::nullopt;
  const auto whole = static_cast<std::int64_t>(*seconds);
  return Timestamp{negative ? -whole : whole, static_cast<std::uint32_t>(*nanoseconds)};
}

std::unexpected<Error> damaged() { return fail(ErrorCode::kDamaged, phrase("a line that can't be read")); }

}  // namespace

IndexLine index_line(const TreeMember& member) {
  IndexLine line;
  line.path = member.path;
  line.type = member.type;
  line.size = member.type == MemberType::kFile ? member.size : 0;
  line.stored = member.stored();
  line.modified = member.modified;
  line.link = member.link;
  line.sparse = member.sparse;
  return line;
}

std::string to_text(const IndexLine& line) {
  json::object out;
  put_bytes(out, "path", line.path);
  out["type"] = to_string(line.type);
  if (line.type == MemberType::kFile) out["size"] = line.size;
  if (line.sparse) out["stored"] = line.stored;
  // Seconds below zero count down, the nanoseconds always up: as the kernel has them.
  out["modified"] = fmt::format("{}.{:09}", line.modified.seconds, line.modified.nanoseconds);
  if (!line.link.empty()) put_bytes(out, "to", line.link);
  if (line.changed) out["changed"] = true;
  if (!line.sha256.empty()) out[line.sparse ? "stored_sha256" : "sha256"] = line.sha256;
  return json::serialize(out);
}

Result<IndexLine> parse_index_line(std::string_view text) {
  std::error_code error;
  const json::value value = json::parse(text, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr) return damaged();
  const auto path = bytes_of(*object, "path");
  const auto type = text_of(*object, "type");
  const auto modified = time_of(*object);
  const auto known = std::ranges::find_if(kTypes, [&](MemberType each) { return type && to_string(each) == *type; });
  if (!path || !is_member_path(*path) || known == kTypes.end() || !modified) return damaged();
  IndexLine line;
  line.path = *path;
  line.type = *known;
  line.modified = *modified;
  line.changed = true_of(*object, "changed");
  if (object->contains("to") || object->contains("to_hex")) {
    const auto link = bytes_of(*object, "to");
    if (!link) return damaged();
    line.link = *link;
  }
  if (line.type != MemberType::kFile) return line;
  const auto size = number_of(*object, "size");
  line.sparse = object->contains("stored");
  const auto stored = line.sparse ? number_of(*object, "stored") : size;
  const auto sha256 = text_of(*object, line.sparse ? "stored_sha256" : "sha256");
  if (!size || !stored || (!sha256 && !line.changed) || (sha256 && !is_sha256_hex(*sha256))) return damaged();
  line.size = *size;
  line.stored = *stored;
  line.sha256 = sha256.value_or("");
  return line;
}

Status IndexWriter::add(const IndexLine& line) {
  ++lines_;
  if (sink_ == nullptr) return {};
  buffer_ += to_text(line);
  buffer_ += '\n';
  return buffer_.size() < kFlushBytes ? Status{} : flush();
}

Status IndexWriter::finish() {
  if (sink_ == nullptr) return {};
  buffer_ += fmt::format("{{\"end\":true,\"members\":{}}}\n", lines_);
  return flush();
}

Status IndexWriter::flush() {
  auto written = sink_->write(buffer_);
  buffer_.clear();
  return written;
}

IndexReader::IndexReader(Source& source) : source_(&source), buffer_(kMaxLineBytes) {}

/// Up to the newline; nothing: the source has ended.
Result<std::optional<std::string_view>> IndexReader::line() {
  while (true) {
    const std::string_view rest(buffer_.data() + begin_, end_ - begin_);
    if (const std::size_t end = rest.find('\n'); end != std::string_view::npos) {
      begin_ += end + 1;
      return rest.substr(0, end);
    }
    std::memmove(buffer_.data(), rest.data(), rest.size());
    begin_ = 0;
    end_ = rest.size();
    if (end_ == buffer_.size()) return damaged();
    auto got = source_->read(std::span(buffer_).subspan(end_));
    if (!got) return pass(got);
    if (*got == 0 && end_ > 0) return damaged();
    if (*got == 0) return std::optional<std::string_view>();
    end_ += *got;
  }
}

Result<std::optional<IndexLine>> IndexReader::next() {
  const auto where = [&] { return phrase("index, line {}", lines_ + 1); };
  auto text = line();
  if (!text) return pass(text, where());
  if (!*text) return fail(ErrorCode::kDamaged, phrase("index: it ends too early"));
  if (!(*text)->starts_with("{\"end\":")) {
    auto parsed = parse_index_line(**text);
    if (!parsed) return pass(parsed, where());
    ++lines_;
    return std::optional(std::move(*parsed));
  }
  std::error_code error;
  const json::value last = json::parse(**text, error);
  const auto members = error || !last.is_object() ? std::nullopt : number_of(last.get_object(), "members");
  if (members != lines_) return fail(ErrorCode::kDamaged, phrase("index: {} members instead of what its last line says", lines_));
  auto behind = line();
  if (!behind) return pass(behind, where());
  if (*behind) return fail(ErrorCode::kDamaged, phrase("index: something behind its end"));
  return std::optional<IndexLine>();
}

}  // namespace verbund::backup
