#pragma once
/// The files of a set in the order in which they travel. For this folder's units only.
#include "backup/offsite/offsite.h"
#include "backup/sums.h"

namespace verbund::backup {

struct Piece {
  std::string name, hash;
  std::uint64_t bytes = 0;
};
/// Of a set on a disk: those of SHA256SUMS, then SHA256SUMS, its signature last. Errors: kDamaged (a file is missing), kIo.
Result<std::vector<Piece>> pieces_of(const std::filesystem::path& set);

/// Signature and sums of a set on the remote, checked; the manifest, too. `scratch` is emptied and filled with the three.
struct RemoteHead {
  SetReader reader;
  std::vector<Sum> sums;
};
Result<RemoteHead> head_of(const OffSiteTask& task, const std::string& place, const std::filesystem::path& scratch);

/// Where a set lies: what the journal says, else its name. 
Result<std::string> place_of(const OffSiteTask& task, const std::string& set);

/// A directory of the installation that is gone with this object.
class Workspace {
 public:
  static Result<Workspace> make(const Office& office, const std::string& site);
  Workspace(Workspace&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Workspace& operator=(Workspace&&) = delete;
  ~Workspace();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit Workspace(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// Writes an event of this set into the site's journal.
Status note(const OffSiteTask& task, OffSiteEvent event);

}  // namespace verbund::backup
