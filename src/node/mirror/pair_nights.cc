#include "node/mirror/pair_nights.h"

#include <sys/stat.h>

#include "backup/media/drives.h"
#include "backup/night/round.h"
#include "base/messages.h"
#include "node/installation.h"
#include "node/mirror/report.h"
#include "node/office_backup.h"
#include "platform/os/clock.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using backup::Ledger;
using backup::PairNights;

constexpr seconds kEvery{10};
constexpr seconds kNoteEvery{20};
static_assert(kNoteEvery * 2 < backup::kPairNoted);
constexpr std::size_t kPageBytes = 128 * 1024;
constexpr std::size_t kTold = 20;
/// Each brings a page, or says that the other one has gone on meanwhile.
constexpr int kMostSteps = 10'000;

std::unexpected<Error> wrong(std::string_view field) { return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", field)); }

Result<bool> flag_of(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (member == nullptr || !member->is_bool()) return wrong(name);
  return member->get_bool();
}

Result<std::vector<std::string>> texts_of(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (member == nullptr || !member->is_array()) return wrong(name);
  std::vector<std::string> texts;
  for (const auto& one : member->get_array()) {
    if (!one.is_string()) return wrong(name);
    texts.emplace_back(one.get_string());
  }
  return texts;
}

Result<Ledger::Place> place_of(const json::object& object) {
  const auto lines = number_of(object, "lines");
  if (!lines) return std::unexpected(lines.error());
  const auto hash = text_of(object, "hash");
  if (!hash) return std::unexpected(hash.error());
  return Ledger::Place{*lines, *hash};
}

void put(json::object& to, const Ledger::Place& place) {
  to["lines"] = std::to_string(place.lines);
  to["hash"] = place.hash;
}

json::object message_of(const OwnNights::Said& said, const Ledger& ledger) {
  json::object message{{"installation", said.installation}, {"makes", said.makes}, {"busy", said.busy}, {"told", json::value_from(said.told)}};
  put(message, ledger.place());
  return message;
}

fs::path key_file(const fs::path& directory) { return directory / "backup" / "signing.key"; }

/// Production's id and signing key: with them this machine's backup is the same office's. Whoever may copy the databases may have them (mirror/join).
Result<json::object> identity_of(const fs::path& directory) {
  if (auto made = backup::signing_key(directory); !made) return pass(made);
  auto key = os::read_file(key_file(directory), 64 * 1024);
  if (!key) return pass(key);
  return json::object{{"signing_key", *key}};
}

}  // namespace

std::string OwnNights::files_now() const {
  std::string seen;
  for (const auto* file : {"config/backup.toml", "config/verbund.toml", "backup/ledger.jsonl", "backup/ledger.head", "backup/installation", "backup/signing.key", "backup/nights.missed"}) {
    struct stat status{};
    if (::stat((directory_ / file).c_str(), &status) == 0) seen += fmt::format("{} {} {}.{}\n", file, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  }
  return seen;
}

Result<OwnNights::Said> OwnNights::look() {
  auto seen = files_now();
  if (seen != seen_ || !ledger_) {
    seen_.clear();
    auto installation = Installation::load(directory_);
    if (!installation) return pass(installation);
    auto office = office_of(*installation);
    if (!office) return pass(office);
    auto of = backup::media_office(*office);
    if (!of) return pass(of);
    auto ledger = Ledger::open(directory_, of->trusted);
    if (!ledger) return pass(ledger);
    auto told = backup::told_nights(directory_, kTold);
    if (!told) return pass(told);
    said_.installation = of->installation;
    said_.makes = office->config.scheduler != backup::Scheduler::kOff && backup::backup_configured(office->config, ledger->book());
    said_.told = std::move(*told);
    ledger_ = std::move(*ledger);
    seen_ = std::move(seen);
  }
  said_.busy = os::FileLock::held(directory_ / "backup" / "run.lock");
  return said_;
}

void PairNote::write(const std::optional<PairNights>& pair) {
  const auto now = clock_.now();
  if (at_ && pair == last_ && now - *at_ < kNoteEvery) return;
  if (auto written = backup::write_pair_nights(directory_, pair, clock_.wall()); !written) {
    if (at_) log_.error("pair.nights_not_noted", {{"error", written.error().message}});
    at_.reset();
    return;
  }
  at_ = now;
  last_ = pair;
}

void NightsSource::begin(const std::optional<std::string>& mirror) {
  const std::lock_guard guard(mutex_);
  // Until it has had time to speak it is believed to be there.
  note_.write(mirror ? std::optional(PairNights{PairNights::Part::kProduction, *mirror, true, true, false, false}) : std::nullopt);
}

Result<std::string> NightsSource::answer(const std::string& mirror, const json::object& asked) {
  const std::lock_guard guard(mutex_);
  auto own = own_.look();
  if (!own) return pass(own);
  const auto installation = text_of(asked, "installation");
  if (!installation) return std::unexpected(installation.error());
  const auto makes = flag_of(asked, "makes"), busy = flag_of(asked, "busy"), apart = flag_of(asked, "apart");
  if (!makes) return std::unexpected(makes.error());
  if (!busy) return std::unexpected(busy.error());
  if (!apart) return std::unexpected(apart.error());
  const auto told = texts_of(asked, "told");
  if (!told) return std::unexpected(told.error());
  note_.write(PairNights{PairNights::Part::kProduction, mirror, true, *makes, *busy, *apart});
  if (auto noted = backup::note_told_elsewhere(own_.directory(), *told); !noted) return pass(noted);
  auto message = message_of(*own, own_.ledger());
  message["known"] = false;
  message["texts"] = json::array();
  if (*installation != own->installation) {
    if (asked.contains("identity")) {
      auto identity = identity_of(own_.directory());
      if (!identity) return pass(identity);
      message["identity"] = std::move(*identity);
    }
    return json::serialize(message);
  }
  auto theirs = place_of(asked);
  if (!theirs) return pass(theirs);
  if (const auto* give = asked.if_contains("give"); give != nullptr) {
    if (!give->is_object()) return wrong("give");
    const auto at = place_of(give->get_object());
    if (!at) return std::unexpected(at.error());
    const auto texts = texts_of(give->get_object(), "texts");
    if (!texts) return std::unexpected(texts.error());
    if (auto extended = own_.ledger().extend(*at, *texts); !extended) return pass(extended);
    put(message, own_.ledger().place());
  }
  const auto* from = asked.if_contains("from");
  const auto first = from == nullptr ? Result<std::uint64_t>(theirs->lines) : number_of(asked, "from");
  if (!first) return std::unexpected(first.error());
  const bool known = own_.ledger().has(*theirs);
  message["known"] = known;
  if (known || from != nullptr) message["texts"] = json::value_from(own_.ledger().lines_behind(*first, kPageBytes));
  return json::serialize(message);
}

NightsExchange::NightsExchange(fs::path directory, Ask ask, std::function<std::string()> production, std::function<bool()> follows, const Clock& clock, Log& log)
    : own_(directory, clock), note_(std::move(directory), clock, log), ask_(std::move(ask)), production_(std::move(production)), follows_(std::move(follows)), log_(log) {}

NightsExchange::~NightsExchange() { stop(); }

void NightsExchange::start() {
  // What was noted before the start may not hold: whoever makes the nights waits until this machine follows.
  pair_.part = PairNights::Part::kNone;
  pair_.other = production_();
  note_.write(pair_);
  thread_ = std::jthread([this] { run(); });
}

void NightsExchange::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void NightsExchange::run() {
  while (true) {
    const auto done = round();
    const std::string error = done ? std::string() : done.error().message;
    if (error != error_ && !error.empty()) log_.warning("pair.nights", {{"error", error}});
    error_ = error;
    std::unique_lock guard(mutex_);
    if (changed_.wait_for(guard, kEvery, [this] { return stopping_; })) return;
  }
}

Status NightsExchange::round() {
  pair_.part = follows_() ? PairNights::Part::kMirror : PairNights::Part::kNone;
  pair_.other = production_();
  pair_.heard = false;
  const auto done = exchange();
  note_.write(pair_);
  return done;
}

Result<json::object> NightsExchange::ask(const OwnNights::Said& own, json::object more) {
  auto message = message_of(own, own_.ledger());
  message["apart"] = pair_.apart;
  for (auto& member : more) message[member.key()] = std::move(member.value());
  auto body = ask_(json::serialize(message));
  if (!body) return pass(body);
  auto answer = object_of(*body);
  if (!answer) return pass(answer);
  const auto makes = flag_of(*answer, "makes"), busy = flag_of(*answer, "busy");
  if (!makes) return std::unexpected(makes.error());
  if (!busy) return std::unexpected(busy.error());
  const auto told = texts_of(*answer, "told");
  if (!told) return std::unexpected(told.error());
  pair_.heard = true;
  pair_.makes = *makes;
  pair_.busy = *busy;
  if (auto noted = backup::note_told_elsewhere(own_.directory(), *told); !noted) return pass(noted);
  return answer;
}

Status NightsExchange::exchange() {
  for (int step = 0; step < kMostSteps; ++step) {
    {
      const std::lock_guard guard(mutex_);
      if (stopping_) return {};
    }
    auto own = own_.look();
    if (!own) return pass(own);
    auto answer = ask(*own, {});
    if (!answer) return pass(answer);
    const auto installation = text_of(*answer, "installation");
    if (!installation) return std::unexpected(installation.error());
    if (*installation != own->installation) {
      const bool apart = !own_.ledger().entries().empty();
      if (apart && !pair_.apart) log_.warning("pair.nights_apart", {{"installation", own->installation}, {"production", *installation}});
      const bool told = apart == pair_.apart;
      pair_.apart = apart;
      if (apart && told) return {};
      if (apart) continue;  // production is to know
      if (own->busy) return {};  // a run under way signs with the old key, and enters itself at its end
      if (auto adopted = adopt(*own); !adopted) return adopted;
      continue;
    }
    pair_.apart = false;
    const auto known = flag_of(*answer, "known");
    if (!known) return std::unexpected(known.error());
    if (!*known) {
      if (auto together = come_together(*own); !together && together.error().code != ErrorCode::kInUse) return together;
      own_.look_anew();
      continue;
    }
    const auto texts = texts_of(*answer, "texts");
    if (!texts) return std::unexpected(texts.error());
    if (texts->empty()) return {};
    auto extended = own_.ledger().extend(own_.ledger().place(), *texts);
    own_.look_anew();
    if (!extended && extended.error().code != ErrorCode::kInUse) return extended;
  }
  return fail(ErrorCode::kTimedOut, phrase("bring the two backup ledgers together: no end after {} steps", kMostSteps));
}

/// An empty ledger is nobody's yet.
Status NightsExchange::adopt(const OwnNights::Said& own) {
  auto answer = ask(own, {{"identity", true}});
  if (!answer) return pass(answer);
  const auto installation = text_of(*answer, "installation");
  if (!installation) return std::unexpected(installation.error());
  const auto* identity = answer->if_contains("identity");
  if (identity == nullptr || !identity->is_object()) return wrong("identity");
  const auto text = text_of(identity->get_object(), "signing_key");
  if (!text) return std::unexpected(text.error());
  auto key = backup::SigningKey::parse(*text);
  if (!key) return pass(key);
  const auto folder = own_.directory() / "backup";
  // The id last: whoever is killed before it begins again.
  if (auto saved = key->save(key_file(own_.directory())); !saved) return saved;
  if (auto written = os::write_file_atomically(folder / "signing.pub", key->public_key().text()); !written) return written;
  std::error_code failed;
  fs::remove(folder / "ledger.head", failed);  // of no lines
  if (auto written = os::write_file_atomically(folder / "installation", *installation + "\n"); !written) return written;
  own_.look_anew();
  log_.info("pair.nights_joined", {{"installation", *installation}});
  return {};
}

/// Production does not know where this ledger ends: it is behind, or both have gone on.
Status NightsExchange::come_together(const OwnNights::Said& own) {
  auto answer = ask(own, {});
  if (!answer) return pass(answer);
  const auto theirs = place_of(*answer);
  if (!theirs) return std::unexpected(theirs.error());
  if (own_.ledger().has(*theirs)) {
    json::object give{{"texts", json::value_from(own_.ledger().lines_behind(theirs->lines, kPageBytes))}};
    put(give, *theirs);
    auto given = ask(own, {{"give", std::move(give)}});
    return given ? Status{} : pass(given);
  }
  std::vector<std::string> all;
  while (all.size() < theirs->lines) {
    auto page = ask(own, {{"from", std::to_string(all.size())}});
    if (!page) return pass(page);
    const auto texts = texts_of(*page, "texts");
    if (!texts) return std::unexpected(texts.error());
    if (texts->empty()) return wrong("texts");
    all.insert(all.end(), texts->begin(), texts->end());
  }
  auto key = backup::signing_key(own_.directory());
  if (!key) return pass(key);
  auto done = own_.ledger().go_on_from(all, *key);
  if (!done) return pass(done);
  log_.warning("pair.ledgers_joined", {{"said", done->said.english()}});
  return {};
}

}  // namespace verbund::node
