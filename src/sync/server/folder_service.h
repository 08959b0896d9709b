#pragma once
/// Files of devices: what a folder has for a user, pieces of its files, and files that devices bring (docs/protocol/devices.md, "Files"; D3, D12).
/// Threads: any; calls block.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "files/parts.h"
#include "sync/model/folder_messages.h"
#include "sync/model/transport.h"
#include "sync/server/bound.h"
#include "sync/server/folder_index.h"

namespace verbund::sync::server {

struct FolderSurroundings {
  postgres::Pool& mid_tier;
  Directory& directory;
  /// A subscription of rows as this device has it. Errors: kForbidden (it has none of that name), those of bind.
  std::function<Result<Bound>(const DeviceIdentity&, const std::string& subscription)> bound;
  const Clock& clock;
  Log& log;
  milliseconds reading;  ///< of new files, within one call; then the device asks again
};

class FolderService {
 public:
  FolderService(Folders folders, FolderSurroundings surroundings);

  /// POST files/SUBSCRIPTION; GET, PUT files/SUBSCRIPTION/HASH/OFFSET; POST files/SUBSCRIPTION/offer. `path`: parts below /api/device/.
  /// Errors: kNotFound (no such resource or file), kForbidden (no subscription of this device), kTooLarge (over its limits), kDiskFull, those of FolderIndex::look.
  Result<DeviceAnswer> handle(const DeviceCall& call, const std::vector<std::string>& path, const DeviceIdentity& device);
  /// What lies half way and has not grown for so long, and what is known of files that are gone.
  Result<std::uint64_t> tidy(postgres::Connection& mid_tier, std::chrono::days days);

 private:
  struct View;
  Result<View> view(const std::string& subscription, const DeviceIdentity& device);
  Result<std::string> shape_of(postgres::Connection& mid_tier, const View& view) const;
  Result<DeviceAnswer> list(postgres::Connection& mid_tier, const View& view, const std::string& body);
  Result<DeviceAnswer> piece(postgres::Connection& mid_tier, const View& view, const std::string& hash, std::uint64_t offset);
  Result<DeviceAnswer> offer(postgres::Connection& mid_tier, const View& view, const std::string& body, const DeviceIdentity& device);
  Result<DeviceAnswer> take(const View& view, const std::string& hash, std::uint64_t offset, const std::string& bytes, const DeviceIdentity& device);
  Status may_take(postgres::Connection& mid_tier, const View& view, const FileEntry& file) const;
  Status within_limits(postgres::Connection& mid_tier, const View& view) const;

  FolderSurroundings surroundings_;
  FolderIndex index_;
};

}  // namespace verbund::sync::server
