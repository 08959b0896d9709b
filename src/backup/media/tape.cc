#include "backup/media/tape.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mtio.h>
#include <sys/stat.h>

#include "backup/program.h"
#include "backup/signed_journal.h"
#include "base/messages.h"
#include "platform/os/descriptor.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

/// tar's own, 10 KiB: every drive takes it, and tar reads it without being told.
constexpr const char* kBlocking = "--blocking-factor=20";

std::unexpected<Error> gone(const fs::path& device, int cause) {
  return fail(ErrorCode::kMediumGone, phrase("tape {}: {}", device.native(), std::error_code(cause, std::system_category()).message()),
              phrase("Put the tape in; config/backup.toml, [media] tape names the drive."));
}

}  // namespace

Status Tape::rewind() const {
  struct stat status{};
  if (::stat(device_.c_str(), &status) != 0) return gone(device_, errno);
  if (!S_ISCHR(status.st_mode)) return {};
  const os::Descriptor drive(::open(device_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!drive) return gone(device_, errno);
  mtop rewinding{};
  rewinding.mt_op = MTREW;
  rewinding.mt_count = 1;
  if (::ioctl(drive.number(), MTIOCTOP, &rewinding) != 0) return gone(device_, errno);
  return {};
}

Status Tape::tar(std::vector<std::string> arguments, ErrorCode otherwise, Progress& progress) const {
  // A name with ':' is a file all the same, no machine.
  arguments.insert(arguments.begin() + 1, {"--force-local", kBlocking, "--file=" + device_.native()});
  auto child = os::PipedChild::start(program_command("tar", std::move(arguments)), piped(progress), clock());
  if (!child) return pass(child);
  auto outcome = child->wait();
  if (!outcome) return pass(outcome, phrase("tape {}", device_.native()));
  if (auto judged = judge("tar", *outcome, otherwise); !judged) return pass(judged, phrase("tape {}", device_.native()));
  return {};
}

Status Tape::stage(const Label& label, const SigningKey& key) const {
  if (auto made = os::make_directories(work_, 0700); !made) return made;
  const auto text = json_of(label);
  if (auto written = put_on_medium(work_ / kLabelFile, text); !written) return written;
  return put_on_medium(work_ / kLabelSignature, sign_label(text, key));
}

Result<Label> Tape::read_label(const std::vector<PublicKey>& trusted, Progress& progress) const {
  if (auto ready = rewind(); !ready) return pass(ready);
  std::error_code error;
  fs::remove(work_ / kLabelFile, error);
  fs::remove(work_ / kLabelSignature, error);
  if (auto made = os::make_directories(work_, 0700); !made) return pass(made);
  // Both stand first; `--occurrence` lets tar stop there instead of reading the whole tape.
  auto read = tar({"--extract", "--occurrence=1", "--no-same-owner", "--directory=" + work_.native(), kLabelFile, kLabelSignature}, ErrorCode::kNotFound, progress);
  if (!read && read.error().code == ErrorCode::kNotFound) return fail(ErrorCode::kNotFound, phrase("tape {}: it has no label", device_.native()));
  if (!read) return pass(read);
  return verbund::backup::read_label(work_, trusted);
}

Status Tape::write_label(const Label& label, const SigningKey& key, Progress& progress) const {
  if (auto staged = stage(label, key); !staged) return staged;
  if (auto ready = rewind(); !ready) return ready;
  return tar({"--create", "--format=pax", "--directory=" + work_.native(), kLabelFile, kLabelSignature}, ErrorCode::kProgramFailed, progress);
}

Status Tape::write_set(const Label& label, const SigningKey& key, const fs::path& ledger, const fs::path& set, Progress& progress) const {
  if (auto staged = stage(label, key); !staged) return staged;
  if (auto ready = rewind(); !ready) return ready;
  return tar({"--create", "--format=pax", "--directory=" + work_.native(), kLabelFile, kLabelSignature, "--directory=" + ledger.parent_path().native(),
              ledger.filename().native(), "--directory=" + set.parent_path().native(), set.filename().native()},
             ErrorCode::kProgramFailed, progress);
}

Status Tape::compare(const fs::path& set, Progress& progress) const {
  if (auto ready = rewind(); !ready) return ready;
  return tar({"--compare", "--directory=" + set.parent_path().native(), set.filename().native()}, ErrorCode::kDamaged, progress);
}

}  // namespace verbund::backup
