#include "node/mirror/follow_shipping.h"

#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "base/messages.h"
#include "mirror/shipping.h"
#include "node/mirror/report.h"
#include "platform/os/descriptor.h"
#include "platform/os/file.h"
#include "platform/postgres/live_settings.h"
#include "platform/postgres/log_segments.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr seconds kEvery{1};
/// A piece over a slow line.
constexpr seconds kPatience{120};
/// PostgreSQL asks again twice a second by itself; so long it has time to find production's again before files are fetched.
constexpr seconds kStreamsWithin{5};
constexpr std::uint64_t kMostBytes = 64ULL << 20U;

std::string joined(const fs::path& folder, const std::string& name) { return (folder / name).string(); }

/// A crash may leave anything of the last piece: the packed file's own check sum tells.
Status append(const fs::path& path, std::string_view bytes) {
  const auto failed = [&] { return fail(errno == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIo, phrase("write {}: {}", path.string(), verbatim(std::strerror(errno)))); };
  const os::Descriptor file(os::uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600); }));
  if (!file) return failed();
  while (!bytes.empty()) {
    const auto written = os::uninterrupted([&] { return ::write(file.number(), bytes.data(), bytes.size()); });
    if (written < 0) return failed();
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fdatasync(file.number()) == 0 ? Status{} : failed();
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

LogFetcher::LogFetcher(LogFetcherSettings settings, const Clock& clock, Log& log) : settings_(std::move(settings)), clock_(clock), log_(log) {}

LogFetcher::~LogFetcher() { stop(); }

void LogFetcher::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  stop_.request_stop();  // a request to a machine that is gone holds nobody up
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status LogFetcher::start() {
  if (auto made = postgres::make_server_directory(incoming()); !made) return made;
  thread_ = std::jthread([this] { run(); });
  return {};
}

void LogFetcher::heard(const FollowMode& mode, const mirror::Received& received) {
  const std::lock_guard guard(mutex_);
  mode_ = mode;
  received_ = received;
}

std::string LogFetcher::error() const {
  const std::lock_guard guard(mutex_);
  return error_;
}

bool LogFetcher::stopping() const {
  const std::lock_guard guard(mutex_);
  return stopping_;
}

mirror::Received LogFetcher::with_files(mirror::Received received) const {
  for (auto name = postgres::segment_name(received.timeline, received.received); is_there(incoming() / name); name = postgres::next_segment(name)) {
    received.received = Lsn{postgres::segment_start(name).value + postgres::kSegmentBytes};
  }
  return received;
}

void LogFetcher::run() {
  while (true) {
    const auto done = round();
    std::unique_lock guard(mutex_);
    const std::string now = done ? std::string() : done.error().message;
    if (now != error_ && !done && !stopping_) log_.warning("mirror.log_not_fetched", {{"reason", now}});
    error_ = now;
    if (changed_.wait_for(guard, kEvery, [this] { return stopping_; })) return;
  }
}

Result<postgres::Connection*> LogFetcher::connection() {
  if (!connection_ || !connection_->healthy()) {
    connection_.reset();
    auto opened = postgres::Connection::open(settings_.database, seconds{3});
    if (!opened) return pass(opened);
    connection_ = std::move(*opened);
  }
  return &*connection_;
}

Status LogFetcher::round() {
  FollowMode mode;
  std::optional<mirror::Received> received;
  {
    const std::lock_guard guard(mutex_);
    mode = mode_;
    received = std::exchange(received_, std::nullopt);
  }
  if (!received) return {};  // production has said nothing since
  if (auto applied = apply(mode); !applied) return applied;
  if (received->streaming) alone_since_.reset();
  else if (!alone_since_) alone_since_ = clock_.now();
  const bool files = mode.periodic() || (alone_since_ && clock_.now() - *alone_since_ >= kStreamsWithin);
  if (files) {
    if (auto fetched = fetch_all(received->timeline, with_files(*received).received); !fetched) return fetched;
  }
  return forget_old();
}

/// Without primary_conninfo PostgreSQL asks for files alone. Beside its data, so that it lasts over restarts and goes with nothing else.
Status LogFetcher::apply(const FollowMode& mode) {
  if (applied_ && applied_->periodic() == mode.periodic()) return {};
  std::map<std::string, std::string> wanted;
  if (mode.periodic()) wanted = {{"primary_conninfo", ""}, {"wal_retrieve_retry_interval", "2s"}};
  auto found = postgres::read_live_settings(settings_.server);
  if (!found) return pass(found);
  if (*found != wanted) {
    if (auto written = postgres::write_live_settings(settings_.server, wanted); !written) return written;
    auto open = connection();
    if (!open) return pass(open);
    auto told = (*open)->query("SELECT pg_reload_conf()");
    if (!told) return pass(told);
    log_.info("mirror.follow", {{"interval_s", mode.interval.count()}});
  }
  applied_ = mode;
  return {};
}

Result<std::string> LogFetcher::get(const std::string& path, const std::map<std::string, std::string>& query) {
  net::HttpRequest request;
  request.method = "GET";
  request.path = path;
  request.query = query;
  request.headers["authorization"] = "Bearer " + settings_.secret;
  auto response = line_.request(request, kPatience, stop_.get_token());
  if (!response) return pass(response);
  if (response->status == 200) return std::move(response->body);
  auto object = object_of(response->body);
  const auto* error = object ? object->if_contains("error") : nullptr;
  const auto why = error && error->is_object() ? text_of(error->as_object(), "message") : Result<std::string>(fmt::format("HTTP {}", response->status));
  return fail(ErrorCode::kUnavailable, phrase("fetch log from production: {}", verbatim(why.value_or(""))));
}

Status LogFetcher::fetch_all(std::uint32_t timeline, Lsn from) {
  auto body = get("/api/mirror/log", {});
  if (!body) return pass(body);
  auto object = object_of(*body);
  if (!object) return pass(object);
  const auto* segments = object->if_contains("segments");
  if (!segments || !segments->is_array()) return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", "segments"));
  std::string next = postgres::segment_name(timeline, from);
  for (const auto& one : segments->as_array()) {
    if (!one.is_object()) continue;
    const auto name = text_of(one.as_object(), "name");
    const auto bytes = number_of(one.as_object(), "bytes");
    if (!name || !bytes || !postgres::is_segment_name(*name) || *bytes > kMostBytes) {
      return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", "segments"));
    }
    if (*name < next) continue;
    if (*name > next) {
      return fail(ErrorCode::kNotFound, phrase("fetch log from production: {} is needed, and {} is the oldest that is kept", next, *name),
                  phrase("This machine needs a new copy: `verbund mirror rejoin --anew` here."));
    }
    if (stopping()) return {};
    if (auto fetched = fetch(*name, *bytes); !fetched) return fetched;
    next = postgres::next_segment(next);
  }
  return {};
}

/// Piece by piece into a part that survives whatever interrupts it.
Status LogFetcher::fetch(const std::string& name, std::uint64_t bytes) {
  const fs::path part = joined(incoming(), name + ".part");
  std::string packed;
  if (auto begun = os::read_file(part, kMostBytes); begun && begun->size() <= bytes) packed = std::move(*begun);
  while (packed.size() < bytes) {
    if (stopping()) return fail(ErrorCode::kCancelled, phrase("fetch log from production: this node stops"));
    auto piece = get("/api/mirror/log/" + name, {{"offset", std::to_string(packed.size())}});
    if (!piece) return pass(piece);
    if (piece->empty() || packed.size() + piece->size() > bytes) {
      return fail(ErrorCode::kBadMessage, phrase("fetch log from production: {} is not as long as was said", name));
    }
    packed += *piece;
    if (packed.size() == bytes) break;
    if (auto written = append(part, *piece); !written) return written;
  }
  auto content = mirror::unpack_segment(packed, name);
  std::error_code ignored;
  fs::remove(part, ignored);  // wrong, or used up: either way it is fetched from its beginning next time
  if (!content) return pass(content);
  if (auto put = postgres::put_for_server(incoming() / name, *content); !put) return put;
  log_.info("mirror.log_fetched", {{"file", name}, {"bytes", bytes}});
  return {};
}

/// PostgreSQL keeps what it has taken until its next restartpoint; what lies before the last one nobody asks for again.
Status LogFetcher::forget_old() {
  std::error_code error;
  if (fs::is_empty(incoming(), error) || error) return {};
  auto open = connection();
  if (!open) return pass(open);
  auto rows = (*open)->query("SELECT redo_lsn FROM pg_control_checkpoint()");
  if (!rows) return pass(rows);
  const auto redo = parse_lsn(rows->text(0, 0));
  if (!redo) return std::unexpected(redo.error());
  std::vector<fs::path> old;
  for (fs::directory_iterator at(incoming(), error), end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().string().substr(0, 24);
    if (postgres::is_segment_name(name) && postgres::segment_start(name).value + postgres::kSegmentBytes <= redo->value) old.push_back(at->path());
  }
  for (const auto& path : old) {
    fs::remove(path, error);
    if (error) return fail(ErrorCode::kIo, phrase("remove {}: {}", path.string(), error.message()));
  }
  return {};
}

}  // namespace verbund::node
