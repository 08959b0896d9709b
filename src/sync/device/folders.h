#pragma once
/// The device's files: folders beside its database, one for each subscription of files (docs/formats/device-database.md). Of this folder alone.
/// One thread. Killed at any point, the next sync goes on: a file is whole or not there, and its row says the hash that it is to have.
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "files/parts.h"
#include "platform/sqlite/database.h"
#include "sync/device/device.h"
#include "sync/model/folder_messages.h"
#include "sync/model/messages.h"

namespace verbund::sync::device {

/// FILE-files: in it, by the names of subscriptions, the folders.
std::filesystem::path folders_of(const std::filesystem::path& file);

/// With the sync's own calls: status 200 or 202, else the API's error.
using FolderCall = std::function<Result<DeviceAnswer>(std::string method, std::string target, std::string body)>;

class FolderRun {
 public:
  FolderRun(sqlite::Database& database, const std::filesystem::path& file, FolderCall call, const SyncEvents& events, std::stop_token stop);

  /// Brings one folder in step. `upserted`: files that came, of one that goes up those that went; `deleted`: that were removed.
  SessionReport run(const FolderName& folder);
  /// Folders that the device has and that are not among these: their files go. What was to go up stays where it is.
  Status forget_others(const std::vector<FolderName>& folders);

 private:
  Status down(const std::string& subscription, SessionReport& report);
  Status up(const std::string& subscription, SessionReport& report);
  Status hear(const std::string& subscription);
  Status note_page(const std::string& subscription, const FolderPage& page);
  Status look_after(const std::string& subscription);
  Status remove_gone(const std::string& subscription, SessionReport& report);
  Status fetch_all(const std::string& subscription, SessionReport& report);
  struct Due;
  Status fetch(const std::string& subscription, const Due& due);
  Result<bool> take_what_lies_there(const std::string& subscription, const Due& due);
  Status fill(const std::string& subscription, const FileEntry& file);
  Result<bool> copy_own(const FileEntry& file);
  Status note_here(const std::string& subscription, const FileEntry& file);
  Status forget(const std::string& subscription, SessionReport& report);
  Status hear_shape(const std::string& subscription);
  Status send(const std::string& subscription, const files::Entry& entry);
  Status send_pieces(const std::string& subscription, const files::Entry& entry, const std::string& hash, std::uint64_t from);
  Result<FolderPage> page_behind(const std::string& subscription, const FolderCursor& cursor);
  [[nodiscard]] std::filesystem::path root(const std::string& subscription) const { return folders_ / subscription; }
  [[nodiscard]] bool stopping() const { return stop_.stop_requested(); }

  sqlite::Database& database_;
  const std::filesystem::path folders_;
  files::Parts parts_;
  FolderCall call_;
  const SyncEvents& events_;
  std::stop_token stop_;
};

Result<std::vector<FolderStatus>> folder_status(sqlite::Database& database, const std::filesystem::path& file);

/// Everything of FILE-files, and what the database knows of it.
Status remove_folders(sqlite::Database& database, const std::filesystem::path& file);

}  // namespace verbund::sync::device
