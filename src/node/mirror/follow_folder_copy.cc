#include "node/mirror/follow_folder_copy.h"

#include "base/messages.h"
#include "node/mirror/follow_folders.h"
#include "node/mirror/report.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

constexpr const char* kFolders = "/api/mirror/folders";
constexpr seconds kEvery{2};
/// Reading a folder's names costs production something: so many times as long as it took there is rest.
constexpr int kRest = 10;
constexpr seconds kPatience{120};
constexpr std::uint64_t kLeftFree = 1ULL << 30U;
constexpr std::chrono::days kKeptAside{7};

/// Not of this file alone: no sense in asking for the next one.
bool holds_up_all(ErrorCode code) {
  return code == ErrorCode::kNotReachable || code == ErrorCode::kTimedOut || code == ErrorCode::kUnauthenticated || code == ErrorCode::kUnavailable ||
         code == ErrorCode::kCancelled || code == ErrorCode::kDiskFull;
}

}  // namespace

FolderFetcher::FolderFetcher(PairLine line, std::filesystem::path directory, std::map<std::string, std::filesystem::path> synced, const Clock& clock, Log& log)
    : line_{std::move(line.production), std::move(line.secret), stop_.get_token()}, directory_(std::move(directory)), synced_(std::move(synced)), clock_(clock), log_(log) {}

FolderFetcher::~FolderFetcher() { stop(); }

void FolderFetcher::start() { thread_ = std::jthread([this] { run(); }); }

void FolderFetcher::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  stop_.request_stop();
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::vector<FolderState> FolderFetcher::state() const {
  const std::lock_guard guard(mutex_);
  std::vector<FolderState> states;
  for (const auto& [id, known] : known_) {
    states.push_back(known.state);
    if (known.complete) states.back().age = clock_.now() - *known.complete;
  }
  return states;
}

std::string FolderFetcher::error() const {
  const std::lock_guard guard(mutex_);
  return error_;
}

bool FolderFetcher::stopping() const {
  const std::lock_guard guard(mutex_);
  return stopping_;
}

template <typename Change>
void FolderFetcher::note(const std::string& id, Change change) {
  const std::lock_guard guard(mutex_);
  change(known_[id]);
}

void FolderFetcher::run() {
  while (true) {
    const auto begun = clock_.now();
    const auto done = round();
    std::unique_lock guard(mutex_);
    error_ = done ? std::string() : done.error().message;
    const nanoseconds rest = std::max<nanoseconds>(kEvery, std::min<nanoseconds>((clock_.now() - begun) * kRest, std::chrono::minutes{10}));
    if (changed_.wait_for(guard, done ? rest : nanoseconds{kEvery}, [this] { return stopping_; })) return;
  }
}

Status FolderFetcher::round() {
  auto body = line_.post(kFolders, "{}", kPatience);
  if (!body) return pass(body);
  auto object = object_of(*body);
  if (!object) return pass(object);
  const auto* folders = object->if_contains("folders");
  if (!folders || !folders->is_array()) return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", "folders"));
  std::map<std::string, Wanted> wanted;
  for (const auto& one : folders->as_array()) {
    const auto id = one.is_object() ? text_of(one.as_object(), "id") : Result<std::string>("");
    const auto path = one.is_object() ? text_of(one.as_object(), "path") : Result<std::string>("");
    if (!id || !path || id->find('/') != std::string::npos || !files::check_path(*id)) {
      return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", "folders"));
    }
    const auto sync = text_of(one.as_object(), "sync"), mark = text_of(one.as_object(), "mark");
    wanted[*id] = {*path, sync.value_or(""), mark.value_or("")};
  }
  {
    const std::lock_guard guard(mutex_);
    std::erase_if(known_, [&](const auto& each) { return !wanted.contains(each.first); });
  }
  for (const auto& [id, one] : wanted) {
    if (stopping()) return {};
    note(id, [&](Known& known) {
      known.state.id = id;
      known.state.path = one.path;
    });
    auto done = bring_up(id, one);
    if (done && !one.sync.empty() && own_place(one) == nullptr) {
      done = fail(ErrorCode::kNotFound, phrase("folder '{}' of devices: [sync.folders] of this machine does not name it, devices would not find it after a promotion", one.sync));
    }
    if (!done) log_.warning("mirror.folder", {{"folder", one.path}, {"error", done.error().message}});
    note(id, [&](Known& known) { known.state.error = done ? std::string() : done.error().message; });
  }
  return {};
}

Result<files::Listing> FolderFetcher::list(const std::string& id) {
  files::Listing listing;
  std::string after;
  while (true) {
    auto body = line_.post(kFolders, json::serialize(json::object{{"folder", id}, {"after", after}}), kPatience);
    if (!body) return pass(body);
    auto object = object_of(*body);
    if (!object) return pass(object);
    const auto* entries = object->if_contains("entries");
    const auto* done = object->if_contains("done");
    const auto skipped = number_of(*object, "skipped_total");
    if (!entries || !entries->is_array() || !done || !done->is_bool() || !skipped) {
      return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", "entries"));
    }
    for (const auto& one : entries->as_array()) {
      auto entry = one.is_object() ? entry_from(one.as_object()) : Result<files::Entry>(fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", "entries")));
      if (!entry) return pass(entry);
      listing.entries.push_back(std::move(*entry));
    }
    listing.skipped_total = *skipped;
    if (const auto* names = object->if_contains("skipped"); names && names->is_array() && after.empty()) {
      for (const auto& name : names->as_array()) listing.skipped.emplace_back(name.is_string() ? std::string(name.as_string()) : "");
    }
    if (done->as_bool() || listing.entries.empty() || listing.entries.back().path == after) return listing;
    if (listing.entries.size() > files::kMaxEntries) return fail(ErrorCode::kTooLarge, phrase("list a folder: it has more than {} entries", files::kMaxEntries));
    after = listing.entries.back().path;
  }
}

const std::filesystem::path* FolderFetcher::own_place(const Wanted& wanted) const {
  const auto own = synced_.find(wanted.sync);
  return wanted.sync.empty() || own == synced_.end() ? nullptr : &own->second;
}

files::Copy& FolderFetcher::copy_of(const std::string& id, const Wanted& wanted) {
  const auto known = copies_.find(id);
  if (known != copies_.end()) return known->second;
  const auto* own = own_place(wanted);
  return copies_.emplace(id, own != nullptr ? files::Copy::in_place(*own) : files::Copy(directory_ / "folders" / id)).first->second;
}

Status FolderFetcher::bring_up(const std::string& id, const Wanted& wanted) {
  const auto begun = clock_.now();
  // One disk of the house that both machines see: a copy onto itself would take away what has just come.
  if (const auto* own = own_place(wanted); own != nullptr && !wanted.mark.empty() && os::read_file(*own / files::kOwnFolder / "mark") == wanted.mark) {
    note(id, [&](Known& known) { known.complete = begun; });
    return {};
  }
  auto listing = list(id);
  if (!listing) return pass(listing);
  auto& copy = copy_of(id, wanted);
  auto missing = copy.prepare(*listing, clock_);
  if (!missing) return pass(missing);
  note(id, [&](Known& known) {
    auto& state = known.state;
    state.entries = listing->entries.size();
    state.skipped = listing->skipped_total;
    state.skipped_names = listing->skipped;
    state.behind_files = missing->size();
    state.behind_bytes = 0;
    for (const auto& entry : *missing) state.behind_bytes += entry.bytes;
  });
  if (auto forgotten = copy.forget_old(*missing, kKeptAside, clock_); !forgotten) return forgotten;
  Status first_failure;
  bool all = true;
  for (const auto& entry : *missing) {
    if (stopping()) return {};
    const auto fetched = fetch(id, copy, entry);
    if (!fetched) {
      if (holds_up_all(fetched.error().code)) return fetched;
      all = false;
      // It has changed or gone since it was listed: the next round has it. Another one that can't be read keeps none of the others back.
      if (fetched.error().code != ErrorCode::kNotFound && first_failure) first_failure = fetched;
      continue;
    }
    note(id, [&](Known& known) {
      --known.state.behind_files;
      known.state.behind_bytes -= entry.bytes;
    });
  }
  if (all) note(id, [&](Known& known) { known.complete = begun; });
  return first_failure;
}

Status FolderFetcher::fetch(const std::string& id, files::Copy& copy, const files::Entry& entry) {
  // The same disk has this machine's PostgreSQL: its log comes first.
  const auto room = os::free_bytes(copy.tree());
  if (!room) return std::unexpected(room.error());
  if (*room < kLeftFree + entry.bytes) {
    return fail(ErrorCode::kDiskFull, phrase("copy {}: {} MB are needed, {} MB are free, and {} MB are left to PostgreSQL", entry.path, entry.bytes >> 20U, *room >> 20U, kLeftFree >> 20U));
  }
  for (std::uint64_t at = copy.begun(entry); at < entry.bytes;) {
    if (stopping()) return fail(ErrorCode::kCancelled, phrase("copy {}: this node stops", entry.path));
    auto piece = line_.post(kFolders, json::serialize(json::object{{"folder", id}, {"entry", to_json(entry)}, {"offset", std::to_string(at)}}), kPatience);
    if (!piece) return pass(piece);
    if (piece->empty() || at + piece->size() > entry.bytes) return fail(ErrorCode::kBadMessage, phrase("copy {}: what has come is not as long as was said", entry.path));
    if (auto added = copy.append(entry, *piece); !added) return added;
    at += piece->size();
  }
  return copy.finish(entry);
}

}  // namespace verbund::node
