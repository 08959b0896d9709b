#include "backup/offsite/journal.h"

#include <unistd.h>

#include <algorithm>

#include <boost/json.hpp>

#include "base/ids.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;
using What = OffSiteEvent::What;

constexpr std::size_t kMaxJournalBytes = 256 * 1024 * 1024;
constexpr std::pair<What, std::string_view> kWords[] = {{What::kBegun, "begun"},       {What::kSent, "sent"},       {What::kCopied, "copied"},
                                                        {What::kVerified, "verified"}, {What::kDamaged, "damaged"}, {What::kProbed, "probed"}};

std::string text_of(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->get_string()) : std::string();
}

void take(OffSiteCopy& copy, const OffSiteEvent& event) {
  switch (event.what) {
    case What::kBegun:
      if (copy.sums != event.sums || copy.place != event.place) copy = {};
      copy.place = event.place;
      copy.sums = event.sums;
      copy.original = event.original;
      copy.sequence = event.sequence;
      break;
    case What::kSent: copy.sent[event.file] = event.hash; break;
    case What::kCopied: copy.copied = true; break;
    case What::kVerified:
      copy.verified = event.at;
      copy.damaged = false;
      // One that another installation has sent, or whose journal was lost.
      if (copy.place.empty()) copy.place = event.place;
      if (copy.sums.empty()) copy.sums = event.sums;
      copy.sequence = event.sequence;
      copy.copied = true;
      break;
    case What::kDamaged:
      copy.verified.reset();
      copy.damaged = true;
      copy.copied = false;
      if (copy.place.empty()) copy.place = event.place;
      event.file.empty() ? copy.sent.clear() : static_cast<void>(copy.sent.erase(event.file));
      break;
    case What::kProbed: break;
  }
}

}  // namespace

std::string line_of(const OffSiteEvent& event) {
  const auto word = std::ranges::find(kWords, event.what, &std::pair<What, std::string_view>::first)->second;
  json::object object{{"at", to_iso8601(event.at)}, {"what", word}};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) object[name] = value;
  };
  add("set", event.set);
  if (event.sequence > 0) object["sequence"] = std::to_string(event.sequence);
  add("place", event.place);
  add("sums", event.sums);
  add("original", event.original);
  add("file", event.file);
  add("hash", event.hash);
  add("detail", event.detail);
  return json::serialize(object);
}

std::optional<OffSiteEvent> off_site_event_of(std::string_view line) {
  boost::system::error_code error;
  const auto value = json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  if (!object) return std::nullopt;
  const auto what = text_of(*object, "what");
  const auto found = std::ranges::find(kWords, what, &std::pair<What, std::string_view>::second);
  const auto at = from_iso8601(text_of(*object, "at"));
  if (found == std::end(kWords) || !at) return std::nullopt;
  OffSiteEvent event;
  event.at = *at;
  event.what = found->first;
  event.set = text_of(*object, "set");
  event.sequence = parse_u64(text_of(*object, "sequence")).value_or(0);
  event.place = text_of(*object, "place");
  event.sums = text_of(*object, "sums");
  event.original = text_of(*object, "original");
  event.file = text_of(*object, "file");
  event.hash = text_of(*object, "hash");
  event.detail = text_of(*object, "detail");
  return event;
}

std::map<std::string, OffSiteCopy> copies_of(const std::vector<OffSiteEvent>& events) {
  std::map<std::string, OffSiteCopy> copies;
  for (const auto& event : events) {
    if (!event.set.empty()) take(copies[event.set], event);
  }
  return copies;
}

OffSiteSummary summary_of(const std::vector<OffSiteEvent>& events) {
  OffSiteSummary summary;
  std::uint64_t newest = 0;
  for (const auto& [id, copy] : copies_of(events)) {
    if (copy.damaged) summary.damaged.push_back(id);
    if (!copy.verified) continue;
    ++summary.verified;
    if (summary.newest_verified && copy.sequence < newest) continue;
    newest = copy.sequence;
    summary.newest = id;
    summary.newest_verified = copy.verified;
  }
  for (const auto& event : events) {
    if (event.what != What::kProbed) continue;
    summary.probed = event.at;
    summary.may_overwrite = event.detail.find("overwrite") != std::string::npos;
    summary.may_delete = event.detail.find("delete") != std::string::npos;
  }
  return summary;
}

OffSiteJournal::OffSiteJournal(const std::filesystem::path& installation, const std::string& site)
    : file_(installation / "backup" / "offsite" / (site + ".jsonl")) {}

Result<os::FileLock> OffSiteJournal::lock() const {
  if (auto made = os::make_directories(file_.parent_path(), 0700); !made) return pass(made);
  auto path = file_;
  return os::FileLock::acquire(path.replace_extension(".lock"), fmt::format("verbund backup offsite copy, process {}", ::getpid()));
}

Status OffSiteJournal::append(const OffSiteEvent& event) const {
  if (auto made = os::make_directories(file_.parent_path(), 0700); !made) return made;
  auto file = os::AppendFile::open(file_);
  if (!file) return pass(file, "off-site journal");
  auto written = file->append(line_of(event));
  return written ? Status{} : pass(written, "off-site journal");
}

Result<std::vector<OffSiteEvent>> OffSiteJournal::read() const {
  std::vector<OffSiteEvent> events;
  auto text = os::read_file(file_, kMaxJournalBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return events;
  if (!text) return pass(text, "off-site journal");
  std::string_view rest = *text;
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    if (auto event = off_site_event_of(rest.substr(0, end))) events.push_back(std::move(*event));
    rest.remove_prefix(end + 1);
  }
  return events;
}

}  // namespace verbund::backup
