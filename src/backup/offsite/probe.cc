// Whether the account may overwrite or delete what it has sent.
#include <unistd.h>

#include "backup/offsite/pieces.h"
#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::backup {
namespace {

/// One name for all probes: where nothing can be deleted, one small file stays.
constexpr const char* kProbeName = "verbund-probe.txt";
constexpr std::size_t kMaxProbeBytes = 4096;

class Probing {
 public:
  Probing(const OffSiteTask& task, std::filesystem::path file) : task_(task), file_(std::move(file)) {}

  Result<ProbeReport> run() {
    // What counts is what is there afterwards, not what the remote answers.
    auto before = there();
    if (!before) return pass(before);
    if (!*before) {
      if (auto written = write(); !written) return pass(written);
      before = there();
      if (!before) return pass(before);
      if (!*before) return fail(ErrorCode::kForbidden, phrase("off-site {}: a small file was sent, and isn't there", task_.remote.shown()));
    }
    ProbeReport report;
    if (auto tried = attempt([&] { return write(); }); !tried) return pass(tried);
    auto after = there();
    if (!after) return pass(after);
    report.may_overwrite = *after != *before;
    if (auto tried = attempt([&] { return task_.remote.remove(kProbeName, task_.progress); }); !tried) return pass(tried);
    after = there();
    if (!after) return pass(after);
    report.may_delete = !*after;
    return report;
  }

 private:
  Result<std::optional<std::string>> there() const {
    auto text = task_.remote.text(kProbeName, kMaxProbeBytes, task_.progress);
    if (text) return std::optional(std::move(*text));
    if (text.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
    return pass(text);
  }

  Status write() const {
    const auto text = fmt::format("Verbund asks whether this account may overwrite or delete. Number {}\n", os::random_hex(16));
    if (auto written = os::write_file_atomically(file_, text, 0600); !written) return written;
    return task_.remote.put(file_, kProbeName, [](std::uint64_t) {}, task_.progress);
  }

  /// A refusal is what we hope for; not to reach it would look like one.
  template <typename Try>
  static Status attempt(Try what) {
    Status done = what();
    if (done || (done.error().code != ErrorCode::kNotReachable && done.error().code != ErrorCode::kCancelled)) return {};
    return done;
  }

  const OffSiteTask& task_;
  const std::filesystem::path file_;
};

}  // namespace

Result<ProbeReport> probe_off_site(const OffSiteTask& task) {
  auto work = Workspace::make(task.office, task.remote.site().name);
  if (!work) return pass(work);
  auto report = Probing(task, work->path() / "probe").run();
  if (!report) return report;
  OffSiteEvent event;
  event.what = OffSiteEvent::What::kProbed;
  if (report->may_overwrite) event.detail = "overwrite";
  if (report->may_delete) event.detail += event.detail.empty() ? "delete" : " delete";
  if (event.detail.empty()) event.detail = "protected";
  if (auto noted = note(task, std::move(event)); !noted) return pass(noted);
  return report;
}

}  // namespace verbund::backup
