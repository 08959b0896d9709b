#include "importer/csv/reader.h"

#include "base/messages.h"

namespace verbund::importer::csv {

CsvReader::CsvReader(const CsvFormat& format, const CsvLimits& limits, std::function<bool(CsvRow&)> row)
    : format_(format), limits_(limits), sink_(std::move(row)) {
  row_.line = 1;
}

Status CsvReader::feed(std::string_view bytes) {
  for (const char c : bytes) {
    if (ended_) return {};
    if (auto taken = take(c); !taken) return taken;
  }
  return {};
}

Status CsvReader::finish() {
  if (ended_) return {};
  if (state_ == State::kQuoted) {
    return fail(ErrorCode::kBadInput, phrase("line {}: a quote is opened that is never closed", row_.line));
  }
  if (!any_) return {};
  if (auto checked = check_limits(); !checked) return checked;
  end_row('\n');
  return {};
}

Status CsvReader::check_limits() const {
  if (row_bytes_ <= limits_.max_row_bytes && row_.fields.size() < limits_.max_columns) return {};
  return fail(ErrorCode::kBadInput,
              phrase("line {}: the row has more than {} bytes or {} columns", row_.line, limits_.max_row_bytes, limits_.max_columns),
              phrase("a quote that is never closed looks like this; what stands before the row was read"));
}

Status CsvReader::take(char c) {
  if (state_ == State::kAfterCarriageReturn) {
    state_ = State::kFieldBegin;
    if (c == '\n') return {};  // counted with the CR
  }
  ++row_bytes_;
  if (auto checked = check_limits(); !checked) return checked;
  switch (state_) {
    case State::kFieldBegin: take_begin(c); break;
    case State::kPlain: take_plain(c); break;
    case State::kQuoteInQuoted: take_quote_in_quoted(c); break;
    default:
      if (c == '\n') ++line_;
      if (c == format_.quote) state_ = State::kQuoteInQuoted;
      else field_ += c;
  }
  return {};
}

void CsvReader::take_begin(char c) {
  if (c == format_.quote && format_.quote != '\0') {
    any_ = true;
    state_ = State::kQuoted;
    return;
  }
  state_ = State::kPlain;
  take_plain(c);
}

void CsvReader::take_plain(char c) {
  if (c == '\n' || c == '\r') return end_row(c);
  any_ = true;
  if (c == format_.delimiter) end_field();
  else field_ += c;
}

void CsvReader::take_quote_in_quoted(char c) {
  if (c == format_.quote) {
    field_ += c;
    state_ = State::kQuoted;
    return;
  }
  if (c == format_.delimiter) return end_field();
  if (c == '\n' || c == '\r') return end_row(c);
  row_.problem = msgid("text follows a closing quote");
  state_ = State::kPlain;
  field_ += c;
}

void CsvReader::end_field() {
  row_.fields.push_back(std::exchange(field_, {}));
  state_ = State::kFieldBegin;
}

void CsvReader::end_row(char c) {
  if (any_) {
    end_field();
    ended_ = !sink_(row_);
  }
  ++line_;
  row_ = {};
  row_.line = line_;
  field_.clear();
  row_bytes_ = 0;
  any_ = false;
  state_ = c == '\r' ? State::kAfterCarriageReturn : State::kFieldBegin;
}

}  // namespace verbund::importer::csv
