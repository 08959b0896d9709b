#include "backup/media/label.h"

#include <algorithm>

#include <boost/json.hpp>

#include "backup/digest.h"
#include "backup/signed_journal.h"
#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMaxFileBytes = 16 * 1024, kMaxText = 60;
constexpr int kFormat = 1;
constexpr std::pair<MediumKind, std::string_view> kKinds[] = {{MediumKind::kDisk, "disk"}, {MediumKind::kTape, "tape"}, {MediumKind::kCloud, "cloud"}};

bool usable(std::string_view text) {
  return !text.empty() && text.size() <= kMaxText && std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }) && text.front() != ' ' &&
         text.back() != ' ';
}

bool is_id(std::string_view text) {
  return text.size() == 32 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string text_of(const json::object& object, const char* name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->as_string()) : std::string();
}

std::unexpected<Error> damaged() { return fail(ErrorCode::kDamaged, phrase("label of a medium: damaged, or not one of Verbund")); }

}  // namespace

std::string_view kind_name(MediumKind kind) { return std::ranges::find(kKinds, kind, &std::pair<MediumKind, std::string_view>::first)->second; }

Result<MediumKind> parse_kind(std::string_view text) {
  const auto* found = std::ranges::find(kKinds, text, &std::pair<MediumKind, std::string_view>::second);
  if (found != std::end(kKinds)) return found->first;
  return fail(ErrorCode::kUsage, phrase("kind of medium {}: there is none of that name", text), phrase("disk, tape, cloud"));
}

Result<Label> new_label(std::string text, MediumClass medium_class, MediumKind kind, std::string installation, WallTime now) {
  if (!usable(text)) {
    return fail(ErrorCode::kUsage, phrase("label of a medium: '{}' can't stand on a sticker", text), phrase("1 to {} bytes, for example: Monday 1", kMaxText));
  }
  return Label{os::random_hex(16), std::move(text), medium_class, kind, std::move(installation), now};
}

std::string json_of(const Label& label) {
  return json::serialize(json::object{{"format", kFormat},
                                      {"id", label.id},
                                      {"label", label.label},
                                      {"class", class_name(label.medium_class)},
                                      {"kind", kind_name(label.kind)},
                                      {"installation", label.installation},
                                      {"made", to_iso8601(label.made)}}) +
         "\n";
}

Result<Label> label_of(std::string_view text) {
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  const auto* object = error ? nullptr : value.if_object();
  if (!object) return damaged();
  const auto* format = object->if_contains("format");
  if (!format || !format->is_int64()) return damaged();
  if (format->as_int64() > kFormat) {
    return fail(ErrorCode::kUnsupported, phrase("label of a medium: format {} is of a later version", format->as_int64()), phrase("Bring Verbund up to date."));
  }
  auto medium_class = parse_class(text_of(*object, "class"));
  auto kind = parse_kind(text_of(*object, "kind"));
  const auto made = from_iso8601(text_of(*object, "made"));
  if (!medium_class || !kind || !made) return damaged();
  Label label{text_of(*object, "id"), text_of(*object, "label"), *medium_class, *kind, text_of(*object, "installation"), *made};
  if (!is_id(label.id) || !usable(label.label)) return damaged();
  return label;
}

std::string sign_label(std::string_view json, const SigningKey& key) { return key.sign(blake2b_512(json), "label of a medium of Verbund"); }

Result<Label> read_label(const fs::path& directory, const std::vector<PublicKey>& trusted) {
  auto text = os::read_file(directory / kLabelFile, kMaxFileBytes);
  if (!text) return pass(text);
  auto label = label_of(*text);
  if (!label) return pass(label, phrase("{}", (directory / kLabelFile).native()));
  auto signed_by = os::read_file(directory / kLabelSignature, kMaxFileBytes);
  if (!signed_by && signed_by.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kDamaged, phrase("{}: its signature is missing", (directory / kLabelFile).native()), phrase("Writing it was interrupted: verbund backup media label PATH --name … again."));
  }
  if (!signed_by) return pass(signed_by);
  auto signature = Signature::parse(*signed_by);
  if (signature && signature->text() != *signed_by) signature = damaged();
  if (!signature) return pass(signature, phrase("{}", (directory / kLabelSignature).native()));
  if (auto checked = signature->check(trusted, blake2b_512(*text)); !checked) return pass(checked, phrase("{}", (directory / kLabelFile).native()));
  return label;
}

Status write_label(const fs::path& directory, const Label& label, const SigningKey& key) {
  std::error_code error;
  if (fs::exists(directory / kLabelSignature, error)) {
    return fail(ErrorCode::kAlreadyExists, phrase("{}: there is a label already", (directory / kLabelFile).native()),
                phrase("verbund backup media add PATH takes up a medium that has a label of yours. Remove both files of the label to give it another one."));
  }
  const auto text = json_of(label);
  if (auto written = put_on_medium(directory / kLabelFile, text); !written) return written;
  return put_on_medium(directory / kLabelSignature, sign_label(text, key));
}

}  // namespace verbund::backup
