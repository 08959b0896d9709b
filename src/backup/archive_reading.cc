#include "backup/archive_reading.h"

#include "platform/os/priority.h"

namespace verbund::backup {

/// The restore beside it has a bar of its own.
class ArchiveReading::Quiet final : public Progress {
 public:
  Quiet(const Progress& behind, std::stop_token stop) : behind_(behind), stop_(std::move(stop)) {}
  void moved(std::string_view /*what*/, std::uint64_t /*done*/, std::uint64_t /*total*/) override {}
  [[nodiscard]] bool cancelled() const override { return stop_.stop_requested() || behind_.cancelled(); }

 private:
  const Progress& behind_;
  std::stop_token stop_;
};

ArchiveReading::ArchiveReading(const Programs& programs, const std::filesystem::path& archive, const Progress& progress)
    : thread_([this, &programs, &archive, &progress](std::stop_token stop) {
        os::give_way();  // the restore is what somebody waits for
        Quiet quiet(progress, std::move(stop));
        outcome_.emplace(read_whole_archive(programs, archive, quiet));
        ended_ = true;
      }) {}

ArchiveReading::~ArchiveReading() = default;

const Result<std::uint64_t>& ArchiveReading::wait() {
  if (thread_.joinable()) thread_.join();
  return *outcome_;
}

}  // namespace verbund::backup
