#pragma once
/// Production's side of [mirror] folders and [sync.folders]: lists them for the mirror, page by page, and sends pieces of their files.
/// Threads: any; calls block.
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "files/tree.h"

namespace verbund::node {

/// As it goes over the line. Errors: kBadMessage.
boost::json::object to_json(const files::Entry& entry);
Result<files::Entry> entry_from(const boost::json::object& object);

/// "0-documents": how a folder is called between the two, and on the mirror's disk.
std::string folder_id(std::size_t index, const std::string& path);

class FolderSource {
 public:
  /// `synced`: [sync.folders], by their names.
  FolderSource(const std::vector<std::string>& folders, const std::map<std::string, std::filesystem::path>& synced);
  /// {}: `list`; {"folder", "after"}: `page`; {"folder", "entry", "offset"}: `piece`. Errors: those, kBadMessage.
  Result<std::string> answer(const boost::json::object& asked);
  /// {"folders": [{"id", "path"}]}, of those of devices {"sync": NAME, "mark": files::mark_of}, too
  [[nodiscard]] std::string list() const;
  /// The node ends: a listing under way is broken off (kCancelled).
  void end() { stop_.request_stop(); }
  /// The entries behind `after` ("": from the first; only then the folder is read again). {"entries", "skipped", "skipped_total", "done"}.
  /// Errors: kNotFound (no such folder), those of files::list_tree.
  Result<std::string> page(const std::string& id, const std::string& after);
  /// `entry` as listed. Errors: those of files::read_piece.
  [[nodiscard]] Result<std::string> piece(const std::string& id, const files::Entry& entry, std::uint64_t offset) const;

 private:
  [[nodiscard]] Result<std::string> path_of(const std::string& id) const;

  struct Folder {
    std::string id, path, sync;
  };
  std::vector<Folder> folders_;
  std::stop_source stop_;
  std::mutex mutex_;  // what follows
  std::map<std::string, std::shared_ptr<const files::Listing>> listed_;  // shared: a page is made while another round lists anew
};

}  // namespace verbund::node
