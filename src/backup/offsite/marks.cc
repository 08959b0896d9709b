#include "backup/offsite/marks.h"

#include "backup/offsite/pieces.h"
#include "base/messages.h"
#include "platform/os/file.h"

namespace verbund::backup {
namespace {

constexpr const char* kMarks = "verbund-terms";

}  // namespace

Result<std::vector<std::string>> marks_at(const OffSiteTask& task) {
  auto there = task.remote.sizes(kMarks, task.progress);
  if (!there) return pass(there);
  std::vector<std::string> names;
  names.reserve(there->size());
  for (const auto& [name, bytes] : *there) names.push_back(name);
  return names;
}

Status leave_mark(const OffSiteTask& task, const std::string& name) {
  auto work = Workspace::make(task.office, task.remote.site().name);
  if (!work) return pass(work);
  const auto file = work->path() / "mark";
  if (auto written = os::write_file_atomically(file, name + "\n", 0600); !written) return written;
  return task.remote.put(file, fmt::format("{}/{}", kMarks, name), [](std::uint64_t) {}, task.progress);
}

}  // namespace verbund::backup
