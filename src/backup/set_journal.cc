#include "backup/set_journal.h"

#include <algorithm>
#include <set>

#include <boost/json.hpp>

#include "base/ids.h"
#include "base/messages.h"
#include "backup/digest.h"
#include "backup/office.h"
#include "backup/signed_journal.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

namespace json = boost::json;
using What = SetEvent::What;

/// Several installations write into the journal of one target.
constexpr std::string_view kBeginning = "verbund-sets";
constexpr std::size_t kMaxJournalBytes = 256 * 1024 * 1024;
constexpr std::pair<What, const char*> kWords[] = {{What::kBegun, "begun"},     {What::kPublished, "published"}, {What::kVerified, "verified"},
                                                   {What::kDamaged, "damaged"}, {What::kPruned, "pruned"},       {What::kRestored, "restored"},
                                                   {What::kFailed, "failed"},       {What::kMended, "mended"}};

const char* word(What what) {
  return std::ranges::find(kWords, what, &std::pair<What, const char*>::first)->second;
}

std::string text_of(const json::object& object, const char* name) {
  const auto* member = object.if_contains(name);
  return member && member->is_string() ? std::string(member->as_string()) : std::string();
}

std::uint64_t number_of(const json::object& object, const char* name) { return parse_u64(text_of(object, name)).value_or(0); }

/// Without an installation (`up --from-set` reads before it makes one) nobody is trusted.
Result<std::vector<PublicKey>> keys_of(const std::filesystem::path& installation) {
  std::error_code error;
  if (!std::filesystem::exists(installation / "backup" / "signing.key", error)) return std::vector<PublicKey>{};
  return trusted_keys(installation);
}

Result<SignedLines> lines_of(const std::filesystem::path& path, const std::vector<PublicKey>& keys) {
  auto text = os::read_file(path, kMaxJournalBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return SignedLines{};
  if (!text) return pass(text);
  return read_signed(*text, kBeginning, keys, Strangers::kMarked, path.native());
}

/// What is whole of a damaged journal goes on in its place.
Result<SetEvent> mend(const std::filesystem::path& path, const SignedLines& lines) {
  auto aside = set_aside(path);
  if (!aside) return pass(aside);
  std::string whole;
  for (const auto& line : lines.lines) whole.append(line.text) += '\n';
  if (auto written = put_on_medium(path, whole); !written) return pass(written);
  SetEvent event;
  event.what = What::kMended;
  event.detail = fmt::format("{}; kept as {}", lines.damage->message, aside->filename().native());
  return event;
}

}  // namespace

std::string line_of(const SetEvent& event) {
  return json::serialize(json::object{{"at_us", std::to_string(event.at.time_since_epoch().count())},
                                      {"at", to_iso8601(event.at)},
                                      {"what", word(event.what)},
                                      {"installation", event.installation},
                                      {"set", event.set},
                                      {"sequence", std::to_string(event.sequence)},
                                      {"level", level_name(event.level)},
                                      {"complete", event.complete},
                                      {"sums", event.sums_hash},
                                      {"term", std::to_string(event.term)},
                                      {"detail", event.detail}});
}

std::optional<SetEvent> event_of(std::string_view line) {
  boost::system::error_code error;
  const auto value = json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  if (!object) return std::nullopt;
  SetEvent event;
  const auto what = text_of(*object, "what");
  const auto found = std::ranges::find_if(kWords, [&](const auto& row) { return what == row.second; });
  if (found == std::end(kWords)) return std::nullopt;
  event.what = found->first;
  const auto at = number_of(*object, "at_us");
  if (at > static_cast<std::uint64_t>(WallTime::max().time_since_epoch().count())) return std::nullopt;
  event.at = WallTime{microseconds{static_cast<std::int64_t>(at)}};
  event.installation = text_of(*object, "installation");
  event.set = text_of(*object, "set");
  event.sequence = number_of(*object, "sequence");
  event.level = parse_level(text_of(*object, "level")).value_or(Level::kNone);
  const auto* complete = object->if_contains("complete");
  event.complete = complete && complete->is_bool() && complete->as_bool();
  event.sums_hash = text_of(*object, "sums");
  event.term = number_of(*object, "term");
  event.detail = text_of(*object, "detail");
  return event;
}

std::map<std::string, Proof> proofs_of(const std::vector<SetEvent>& events, const std::string& installation) {
  std::map<std::string, Proof> proofs;
  for (const auto& event : events) {
    if (event.set.empty() || !event.believed || (!installation.empty() && event.installation != installation)) continue;
    Proof& proof = proofs[event.set];
    if (event.what == What::kPublished) proof.published = event.at;
    if (event.what == What::kDamaged) proof = {.level = Level::kNone, .at = event.at, .damaged = true, .published = proof.published};
    if (event.what == What::kVerified && event.level >= proof.level) {
      proof.level = event.level;
      proof.at = event.at;
      proof.damaged = false;
    }
  }
  return proofs;
}

Result<std::vector<SetEvent>> SetJournal::read_file(const std::filesystem::path& path) const {
  auto keys = keys_of(installation_);
  if (!keys) return pass(keys);
  auto lines = lines_of(path, *keys);
  if (!lines) return pass(lines);
  std::vector<SetEvent> events;
  for (const auto& line : lines->lines) {
    auto event = event_of(line.payload);
    if (!event) continue;  // a later version's
    event->believed = line.by_trusted;
    events.push_back(std::move(*event));
  }
  return events;
}

Status SetJournal::append_to(const std::filesystem::path& path, const SetEvent& event, const SigningKey& key) const {
  auto keys = keys_of(installation_);
  if (!keys) return pass(keys);
  auto lines = lines_of(path, *keys);
  if (!lines) return pass(lines);
  std::vector<std::string> payloads;
  if (lines->damage) {
    auto mended = mend(path, *lines);
    if (!mended) return pass(mended);
    mended->at = event.at;
    mended->installation = event.installation;
    payloads.push_back(line_of(*mended));
  }
  payloads.push_back(line_of(event));
  auto file = os::AppendFile::open(path);
  if (!file) return pass(file);
  auto previous = hash_behind(lines->lines, kBeginning);
  for (const auto& payload : payloads) {
    const auto line = signed_line(payload, previous, key);
    if (auto written = file->append(line); !written) return written;
    previous = sha256_hex(line);
  }
  return {};
}

Status SetJournal::append(const SetEvent& event, bool medium_may_be_away) {
  auto lock = lock_journal(installation_ / "backup" / "journal.lock");
  if (!lock) return pass(lock, "backup journal");
  auto key = signing_key(installation_);
  if (!key) return pass(key);
  if (auto written = append_to(own_file(), event, *key); !written) return pass(written, "backup journal");
  if (target_.empty()) return {};
  auto written = append_to(target_ / kTargetJournal, event, *key);
  return written || medium_may_be_away ? Status{} : pass(written, "journal beside the sets");
}

Result<std::vector<SetEvent>> SetJournal::own() const { return read_file(own_file()); }

Result<std::vector<SetEvent>> SetJournal::read() const {
  auto events = own();
  if (!events || target_.empty()) return events;
  auto others = read_file(target_ / kTargetJournal);
  if (!others) return pass(others);
  std::set<std::string> known;
  for (const auto& event : *events) known.insert(line_of(event));
  for (auto& event : *others) {
    if (known.insert(line_of(event)).second) events->push_back(std::move(event));
  }
  std::ranges::stable_sort(*events, {}, &SetEvent::at);
  return events;
}

std::uint64_t remembered_sequence(const std::vector<SetEvent>& own) {
  std::uint64_t highest = 0;
  for (const auto& event : own) highest = std::max(highest, event.sequence);
  return highest;
}

}  // namespace verbund::backup
