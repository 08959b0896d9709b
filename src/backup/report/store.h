#pragma once
/// Reports on disk: DIR/backup/reports/ID.{txt,html,pdf,json} (0700), and which of them nobody has seen yet. One thread; several processes.
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backup/report/report.h"
#include "platform/mail/smtp.h"

namespace verbund::backup {

/// What a list of reports and the next run want of one.
struct StoredReport {
  std::string id, outcome, begun, night, medium;
  std::map<std::string, std::uint64_t> sizes;  ///< by Report::Size::name
  std::uint64_t stored_bytes = 0;
  bool unseen = false;                         ///< not good, and nobody has been shown it
};
/// nullopt: no report.
std::optional<StoredReport> stored_report_of(std::string_view json);

class ReportStore {
 public:
  /// The oldest ones go beyond it.
  static constexpr std::size_t kKept = 1'000;
  /// Of one form of a report, when it is read.
  static constexpr std::size_t kMaxBytes = 64 * 1024 * 1024;

  explicit ReportStore(const std::filesystem::path& installation) : directory_(installation / "backup" / "reports") {}

  /// All four forms; not good: unseen. Errors: kIo, kDiskFull, kInternal.
  Status put(const Report& report, Language language) const;
  /// The same three forms for people beside a set, as verbund-report-ID.…; names of files stand in them unless the set is sealed.
  /// Those of sets that are no longer there are removed.
  static Status put_beside(const std::filesystem::path& target, const Report& report, Language language);

  /// The mail of a report, to be sent once more: ID.mail and ID.mail.pdf.
  Status put_mail(const std::string& id, const mail::Mail& mail) const;
  [[nodiscard]] Result<mail::Mail> mail(const std::string& id) const;

  /// Oldest first. Errors: kIo.
  [[nodiscard]] Result<std::vector<StoredReport>> list() const;
  /// `id` empty: the newest. Errors: kNotFound.
  [[nodiscard]] Result<StoredReport> find(const std::string& id) const;
  /// The newest that knows sizes, for the next run to compare with.
  [[nodiscard]] std::optional<StoredReport> last_with_sizes() const;
  /// "txt", "html", "pdf" or "json".
  [[nodiscard]] std::filesystem::path file(const std::string& id, const char* form) const { return directory_ / (id + "." + form); }
  [[nodiscard]] std::vector<std::string> unseen() const;
  /// Somebody has seen it.
  void seen(const std::string& id) const;

 private:
  Status prune() const;
  std::filesystem::path directory_;
};

}  // namespace verbund::backup
