#include "importer/xdt/reader.h"

#include <algorithm>

#include "base/messages.h"
#include "importer/xdt/fields.h"

namespace verbund::importer::xdt {
namespace {

/// Three digits of length, four of the field's number.
constexpr std::size_t kPrefixBytes = 7;
constexpr std::size_t kLineEndBytes = 2;
constexpr char kEndMark = '\x1a';  // Ctrl-Z: DOS wrote it behind the last line
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::optional<std::size_t> number_of(std::string_view digits) {
  if (digits.empty() || digits.size() > 9) return std::nullopt;
  std::size_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::size_t>(c - '0');
  }
  return value;
}

std::string_view without_blanks_at_end(std::string_view text) {
  const auto last = text.find_last_not_of(' ');
  return last == std::string_view::npos ? std::string_view{} : text.substr(0, last + 1);
}

struct Mandatory {
  std::string_view type;
  std::vector<int> fields;
};
/// GDT 2.1 chapter 3 (6301 and 6310), BDT 2/94 (6100, 6200).
const std::vector<Mandatory>& mandatory_fields() {
  static const std::vector<Mandatory> kFields{{"6301", {kPatientNumber, kFamilyName, kGivenName, kBirthDate}},
                                              {"6302", {kPatientNumber}},
                                              {"6310", {kPatientNumber}},
                                              {"6311", {kPatientNumber}},
                                              {"6100", {kPatientNumber, kFamilyName, kGivenName, kBirthDate}},
                                              {"6200", {kPatientNumber, kDay}}};
  return kFields;
}

bool of_a_test(int id) {
  return id == kTestName || id == kResult || id == kNormalText || id == kNormalLow || id == kNormalHigh;
}

}  // namespace

const XdtField* XdtRecord::find(int id) const {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) { return field.id == id; });
  return found == fields.end() ? nullptr : &*found;
}

std::string_view XdtRecord::text(int id) const {
  const auto* field = find(id);
  return field == nullptr ? std::string_view{} : trimmed(field->text);
}

XdtReader::XdtReader(const XdtOptions& options, std::function<bool(XdtRecord&)> record,
                     std::function<void(Tolerated, std::uint64_t)> tolerated)
    : options_(options), record_sink_(std::move(record)), tolerated_(std::move(tolerated)) {}

Status XdtReader::deviate(Tolerated what, std::uint64_t line, Phrase said) {
  if (options_.strictness == Strictness::kStrict) {
    auto error = fail(ErrorCode::kBadInput, std::move(said), phrase("import it with --lenient if the device is known to write so"));
    return std::unexpected(std::move(error.error()));
  }
  if (tolerated_) tolerated_(what, line);
  return {};
}

Status XdtReader::feed(std::string_view bytes) {
  while (!bytes.empty() && !ended_) {
    const auto end = bytes.find('\n');
    const auto part = bytes.substr(0, end);
    if (line_.size() + part.size() > options_.limits.max_line_bytes) {
      return fail(ErrorCode::kBadInput, phrase("line {}: longer than {} bytes, which no GDT or BDT file has", number_ + 1,
                                               options_.limits.max_line_bytes));
    }
    line_ += part;
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    const auto taken = take_line(line_, true);
    line_.clear();
    if (!taken) return taken;
  }
  return {};
}

Status XdtReader::finish() {
  if (ended_) return {};
  if (!line_.empty()) {
    const auto last = std::exchange(line_, {});
    if (auto taken = take_line(last, false); !taken || ended_) return taken;
  }
  if (!record_) return fail(ErrorCode::kBadInput, phrase("the file holds no record"));
  return finish_record();
}

Status XdtReader::take_line(std::string_view line, bool closed) {
  ++number_;
  if (number_ == 1 && line.starts_with(kByteOrderMark)) {
    if (auto done = deviate(Tolerated::kByteOrderMark, 1, phrase("line 1: begins with a UTF-8 byte order mark")); !done) return done;
    line.remove_prefix(kByteOrderMark.size());
    if (!options_.charset) options_.charset = Charset::kUtf8;
  }
  if (line.size() == 1 && line[0] == kEndMark && !closed) {
    return {};
  }
  const bool carriage_return = line.ends_with('\r');
  if (carriage_return) line.remove_suffix(1);
  if (line.find_first_not_of(" \t") == std::string_view::npos) {
    return deviate(Tolerated::kBlankLine, number_, phrase("line {}: is empty", number_));
  }
  if (!closed || !carriage_return) {
    auto done = deviate(Tolerated::kLineEnd, number_, phrase("line {}: does not end with CR LF", number_));
    if (!done) return done;
  }
  return take_field(line, line.size() + kLineEndBytes);
}

Status XdtReader::take_field(std::string_view line, std::size_t bytes) {
  const auto id = line.size() < kPrefixBytes ? std::nullopt : number_of(line.substr(3, 4));
  const bool readable = id && number_of(line.substr(0, 3));
  if (!readable && (!record_ || options_.strictness == Strictness::kStrict)) {
    return fail(ErrorCode::kBadInput, phrase("line {}: does not begin with a length of three digits and a field of four", number_));
  }
  if (!readable) {
    record_->damaged = true;
    return {};
  }
  if (auto checked = check_length(line); !checked) return checked;
  if (static_cast<int>(*id) == kRecordType) {
    if (auto done = finish_record(); !done || ended_) return done;
    record_.emplace();
    record_->line = number_;
    record_->type = std::string(trimmed(line.substr(kPrefixBytes)));
    record_bytes_ = 0;
  } else if (!record_) {
    return fail(ErrorCode::kBadInput, phrase("line {}: field {} stands before the first record (field 8000)", number_, *id));
  }
  return append(static_cast<int>(*id), line.substr(kPrefixBytes), bytes);
}

Status XdtReader::check_length(std::string_view line) {
  const auto stated = number_of(line.substr(0, 3)).value_or(0);
  const auto actual = line.size() + kLineEndBytes;
  if (stated == actual) return {};
  const bool blanks = without_blanks_at_end(line).size() + kLineEndBytes == stated;
  return deviate(blanks ? Tolerated::kBlanksAtEnd : Tolerated::kLineLength, number_,
                 phrase("line {}: its length is given as {}, but it has {} bytes", number_, line.substr(0, 3), actual));
}

Status XdtReader::append(int id, std::string_view content, std::size_t bytes) {
  record_bytes_ += bytes;
  if (record_->fields.size() >= options_.limits.max_record_fields || record_bytes_ > options_.limits.max_record_bytes) {
    return fail(ErrorCode::kBadInput, phrase("line {}: the record that begins at line {} is larger than {} MiB or has more than {} fields",
                                             number_, record_->line, options_.limits.max_record_bytes >> 20,
                                             options_.limits.max_record_fields));
  }
  record_->fields.push_back({number_, id, std::string(content)});
  return {};
}

Status XdtReader::finish_record() {
  if (!record_) return {};
  if (auto checked = check_record_length(); !checked) return checked;
  if (auto decoded = decode_record(); !decoded) return decoded;
  if (auto checked = check_mandatory(); !checked) return checked;
  if (auto checked = check_order(); !checked) return checked;
  ended_ = !record_sink_(*record_);
  record_.reset();
  return {};
}

Status XdtReader::check_record_length() {
  const auto* length = record_->find(kRecordLength);
  if (length == nullptr) {
    if (record_->find(kDescription35) != nullptr || record_->find(kRecordEnd) != nullptr) return {};  // GDT 3.5 has none
    return deviate(Tolerated::kNoRecordLength, record_->line,
                   phrase("line {}: the record has no length (field 8100)", record_->line));
  }
  if (&record_->fields[1] != length) {
    auto done = deviate(Tolerated::kOrder, length->line,
                        phrase("line {}: field 8100 does not follow field 8000", length->line));
    if (!done) return done;
  }
  if (number_of(trimmed(length->text)) == record_bytes_) return {};
  return deviate(Tolerated::kRecordLength, length->line,
                 phrase("line {}: the record's length is given as {}, but it has {} bytes", length->line, trimmed(length->text),
                        record_bytes_));
}

Result<Charset> XdtReader::charset_of_record() {
  if (options_.charset) return *options_.charset;
  const auto* field = record_->find(kCharset);
  // In GDT 2.1 and later 9106 is no longer in use; in BDT the header says it for all that follows.
  if (field == nullptr && !record_->is_gdt()) field = record_->find(kCharsetBdt);
  if (field == nullptr) return record_->find(kDescription35) != nullptr ? Charset::kIso8859_15 : charset_;
  const auto value = trimmed(field->text);
  Charset charset = Charset::kCp437;
  if (value == "1") charset = Charset::kIso646De;
  else if (value == "3") charset = Charset::kIso8859_1;
  else if (value == "4") charset = Charset::kIso8859_15;
  else if (value != "2") {
    auto done = deviate(Tolerated::kCharset, field->line, phrase("line {}: there is no character set {}", field->line, value));
    if (!done) return pass(done);
  }
  if (!record_->is_gdt()) charset_ = charset;
  return charset;
}

Status XdtReader::decode_record() {
  auto charset = charset_of_record();
  if (!charset) return pass(charset);
  for (auto& field : record_->fields) {
    auto decoded = decode(*charset, field.text);
    if (!decoded.clean) {
      auto done = deviate(Tolerated::kCharacter, field.line,
                          phrase("line {}: a character that the character set does not have", field.line));
      if (!done) return done;
    }
    field.text = std::move(decoded.text);
  }
  return {};
}

Status XdtReader::check_mandatory() {
  const auto need = [&](int id, bool given) {
    if (given) return Status{};
    return deviate(Tolerated::kMissingField, record_->line,
                   phrase("line {}: the record {} has no field {}", record_->line, record_->type, id));
  };
  for (const auto& [type, fields] : mandatory_fields()) {
    if (type != record_->type) continue;
    for (const int id : fields) {
      if (auto done = need(id, !record_->text(id).empty()); !done) return done;
    }
  }
  if (!record_->is_gdt()) return {};
  const bool version = record_->find(kVersion) != nullptr || record_->find(kDescription35) != nullptr;
  return need(kVersion, version);
}

/// 6310: what belongs to a test stands behind its 8410.
Status XdtReader::check_order() {
  if (record_->type != "6310") return {};
  for (const auto& field : record_->fields) {
    if (field.id == kTest) break;
    if (!of_a_test(field.id)) continue;
    return deviate(Tolerated::kOrder, field.line,
                   phrase("line {}: field {} stands before the test (field 8410) it belongs to", field.line, field.id));
  }
  return {};
}

}  // namespace verbund::importer::xdt
