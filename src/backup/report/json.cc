// report.json
#include <charconv>

#include <boost/json.hpp>

#include "backup/report/report.h"
#include "backup/report/store.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;

json::array said_in_english(const std::vector<Phrase>& phrases) {
  json::array out;
  for (const auto& phrase : phrases) out.emplace_back(phrase.english());
  return out;
}

json::array sizes_of(const Report& report) {
  json::array out;
  for (const auto& size : report.sizes) {
    json::object object{{"name", size.name}, {"database", size.database}, {"files", size.files}, {"bytes", std::to_string(size.bytes)}};
    if (size.before) object["bytes_before"] = std::to_string(*size.before);
    out.push_back(std::move(object));
  }
  return out;
}

json::array folders_of(const Report& report) {
  json::array out;
  for (const auto& folder : report.folders) {
    out.push_back(json::object{{"application", folder.application}, {"root", folder.root}, {"missing", json::value_from(folder.missing)},
                               {"changed", json::value_from(folder.changed)}, {"unreadable", json::value_from(folder.unreadable)}});
  }
  return out;
}

json::array phases_of(const Report& report) {
  json::array out;
  for (const auto& phase : report.phases) out.push_back(json::object{{"what", phase.what.english()}, {"begun", to_iso8601(phase.begun)}, {"took_ms", phase.took.count()}});
  return out;
}

std::optional<std::uint64_t> number(const json::value& value) {
  if (!value.is_string()) return std::nullopt;
  const std::string_view text = value.as_string();
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(out) : std::nullopt;
}

std::string text(const json::object& object, const char* name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->as_string()) : std::string();
}

}  // namespace

std::string json_of(const Report& report) {
  json::object out{{"format", 1}, {"id", report.id}, {"outcome", outcome_name(report.outcome)}, {"office", report.office}, {"host", report.host},
                   {"program_version", report.program_version}, {"begun", to_iso8601(report.begun)}, {"ended", to_iso8601(report.ended)}, {"night", report.night},
                   {"set", report.set_exists ? report.id : std::string()}, {"path", report.path}, {"sealed", report.sealed}, {"reasons", said_in_english(report.reasons)},
                   {"services_down", json::value_from(report.services_down)}, {"phases", phases_of(report)}, {"took_ms", report.took.count()},
                   {"services_were_down_ms", report.services_were_down.count()}, {"sizes", sizes_of(report)}, {"stored_bytes", std::to_string(report.stored_bytes)},
                   {"folders", folders_of(report)}, {"wanted", level_name(report.wanted)}, {"reached", level_name(report.reached)}, {"not_higher", report.not_higher.english()},
                   {"medium_expected", report.medium_expected}, {"medium_found", report.medium_found}, {"medium_problem", report.medium_problem.english()},
                   {"next_medium", report.next_medium}, {"next_at", report.next_at}, {"off_site_at", report.off_site_at}, {"drill_at", report.drill_at},
                   {"responsible", report.responsible}, {"deputy", report.deputy}};
  if (report.failure) out["error"] = {{"code", wire_name(report.failure->code)}, {"message", report.failure->message}};
  return json::serialize(out) + "\n";
}

std::optional<StoredReport> stored_report_of(std::string_view text_given) {
  boost::system::error_code error;
  const auto value = json::parse(text_given, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr) return std::nullopt;
  StoredReport out{text(*object, "id"), text(*object, "outcome"), text(*object, "begun"), text(*object, "night"), text(*object, "medium_found"), {}, {}, false};
  if (out.id.empty() || out.outcome.empty()) return std::nullopt;
  if (const auto* stored = object->if_contains("stored_bytes")) out.stored_bytes = number(*stored).value_or(0);
  const auto* sizes = object->if_contains("sizes");
  for (const auto& each : sizes && sizes->is_array() ? sizes->as_array() : json::array()) {
    const auto* size = each.if_object();
    if (size == nullptr || !size->contains("bytes")) continue;
    if (const auto bytes = number(size->at("bytes"))) out.sizes[text(*size, "name")] = *bytes;
  }
  return out;
}

Status ReportStore::put_mail(const std::string& id, const mail::Mail& mail) const {
  const json::object object{{"subject", mail.subject}, {"text", mail.text}, {"attachment", mail.attachments.empty() ? std::string() : mail.attachments.front().name}};
  if (!mail.attachments.empty()) {
    if (auto written = os::write_file_atomically(file(id, "mail.pdf"), mail.attachments.front().content, 0600); !written) return written;
  }
  return os::write_file_atomically(file(id, "mail"), json::serialize(object) + "\n", 0600);
}

Result<mail::Mail> ReportStore::mail(const std::string& id) const {
  auto words = os::read_file(file(id, "mail"));
  if (!words) return pass(words);
  boost::system::error_code error;
  const auto value = json::parse(*words, error);
  if (error || !value.is_object()) return fail(ErrorCode::kDamaged, phrase("backup report: {} is no mail", file(id, "mail").native()));
  mail::Mail mail;
  mail.subject = text(value.as_object(), "subject");
  mail.text = text(value.as_object(), "text");
  if (const auto name = text(value.as_object(), "attachment"); !name.empty()) {
    auto content = os::read_file(file(id, "mail.pdf"));
    if (!content) return pass(content);
    mail.attachments.push_back({name, "application/pdf", std::move(*content)});
  }
  return mail;
}

}  // namespace verbund::backup
