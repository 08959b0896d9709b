#pragma once
/// Bytes of a GDT or BDT file -> records. Pure; memory is bounded by XdtLimits, whatever the file holds.
/// docs/formats/gdt.md says what strict refuses and lenient tolerates.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "importer/charset.h"
#include "importer/reasons.h"

namespace verbund::importer::xdt {

enum class Strictness { kStrict, kLenient };

struct XdtLimits {
  std::size_t max_line_bytes = 64 * 1024;  ///< the three digits in front allow 999; longer ones are met, though
  std::size_t max_record_fields = 200'000;
  std::size_t max_record_bytes = 16 * 1024 * 1024;
};

struct XdtOptions {
  Strictness strictness = Strictness::kStrict;
  std::optional<Charset> charset;  ///< in place of what the file says
  XdtLimits limits;
};

struct XdtField {
  std::uint64_t line = 0;  ///< from 1
  int id = 0;
  std::string text;  ///< UTF-8, as it stands
};

struct XdtRecord {
  std::string type;  ///< content of field 8000: "6310"
  std::uint64_t line = 0;
  std::vector<XdtField> fields;  ///< 8000 first
  /// A line of it could not be read: nothing of it may be used. (Lenient only.)
  bool damaged = false;

  [[nodiscard]] bool is_gdt() const { return type.starts_with("63"); }
  /// The first field of that number, without blanks around it; nullptr when absent.
  [[nodiscard]] const XdtField* find(int id) const;
  /// Its text without blanks around it; empty when absent.
  [[nodiscard]] std::string_view text(int id) const;
};

class XdtReader {
 public:
  /// `record` is called for each; false from it ends the reading (feed and finish then return at once, without error).
  /// `tolerated` hears of each deviation that lenient reading lets pass.
  XdtReader(const XdtOptions& options, std::function<bool(XdtRecord&)> record,
            std::function<void(Tolerated, std::uint64_t line)> tolerated);

  /// Errors: kBadInput "line N: …" with what to do as hint. After an error the reader is of no use.
  Status feed(std::string_view bytes);
  Status finish();
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  Status take_line(std::string_view line, bool closed);
  Status take_field(std::string_view line, std::size_t bytes);
  Status check_length(std::string_view line);
  Status append(int id, std::string_view content, std::size_t bytes);
  Status finish_record();
  Status check_record_length();
  Status decode_record();
  Result<Charset> charset_of_record();
  Status check_mandatory();
  Status check_order();
  Status deviate(Tolerated what, std::uint64_t line, Phrase said);

  XdtOptions options_;
  std::function<bool(XdtRecord&)> record_sink_;
  std::function<void(Tolerated, std::uint64_t)> tolerated_;
  std::string line_;
  std::uint64_t number_ = 0;
  std::optional<XdtRecord> record_;
  std::size_t record_bytes_ = 0;
  Charset charset_ = Charset::kCp437;  ///< GDT 2.1: the default
  bool ended_ = false;
};

}  // namespace verbund::importer::xdt
