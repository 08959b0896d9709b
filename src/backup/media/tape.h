#pragma once
/// A tape holds one night: a single tar stream that GNU tar reads. First the label and its signature, then the ledger, then the set, whose
/// RESTORE.txt says the rest. Blocking; one thread.
#include <filesystem>
#include <string>

#include "backup/media/label.h"
#include "backup/stream.h"

namespace verbund::backup {

/// `device`: a tape drive ("/dev/nst0"; it is rewound before each of the calls), a file or a FIFO (written only).
class Tape {
 public:
  /// `work`: a directory of the installation for a few small files.
  Tape(std::filesystem::path device, std::filesystem::path work) : device_(std::move(device)), work_(std::move(work)) {}

  /// Errors: kNotFound (no label at its beginning), kMediumGone (no tape in the drive), kDamaged, kForbidden: as the function for disks.
  Result<Label> read_label(const std::vector<PublicKey>& trusted, Progress& progress) const;
  /// Over whatever is there. Errors: kMediumGone, kDiskFull (the tape's end), kProgramFailed.
  Status write_label(const Label& label, const SigningKey& key, Progress& progress) const;
  /// Label, ledger and the set, over what was there. `label`: the one that was read. Errors: as write_label.
  Status write_set(const Label& label, const SigningKey& key, const std::filesystem::path& ledger, const std::filesystem::path& set, Progress& progress) const;
  /// Reads the tape to its end and compares with the set on the disk, byte by byte. Errors: kDamaged, kMediumGone.
  Status compare(const std::filesystem::path& set, Progress& progress) const;

 private:
  [[nodiscard]] Status rewind() const;
  [[nodiscard]] Status stage(const Label& label, const SigningKey& key) const;
  Status tar(std::vector<std::string> arguments, ErrorCode otherwise, Progress& progress) const;
  std::filesystem::path device_, work_;
};

}  // namespace verbund::backup
