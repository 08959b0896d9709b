#pragma once
/// Blocks of a session on their way into the database: fetched ahead by a thread, kept in a file beside the database until the session is applied, so that what was
/// fetched before a break is not fetched again.
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/result.h"

namespace verbund::sync::device {

/// Beside the device's database.
inline std::filesystem::path inbox_file(const std::filesystem::path& database) { return database.string() + "-verbund-inbox"; }

class Inbox {
 public:
  /// Block `number`; nothing: it is not ready, ask again. Blocks.
  using Fetch = std::function<Result<std::optional<std::string>>(std::uint32_t number, std::stop_token stop)>;

  /// `session`: what the file's blocks must be of; those of another are thrown away.
  Inbox(std::filesystem::path file, std::string session, Fetch fetch, std::stop_token stop);
  ~Inbox();  ///< ends the thread; the file stays
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// The next block in order; after the last one nothing. Errors: those of `fetch`; kCancelled.
  Result<std::optional<std::string>> next();
  /// The session is applied.
  void forget();

 private:
  void run(const std::stop_token& own);
  enum class Kept { kWhole, kPart, kEnded };
  Kept read_kept(std::uint32_t& number, const std::stop_token& own);
  /// False: it ends.
  bool wait_for_room(const std::stop_token& own);
  bool keep(const std::string& block);
  void hand_over(Result<std::optional<std::string>> block);

  std::filesystem::path path_;
  std::string session_;
  Fetch fetch_;
  std::stop_token stop_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Result<std::optional<std::string>>> ready_;  // mutex_
  std::jthread fetching_;                                 // last: it uses the others
};

}  // namespace verbund::sync::device
