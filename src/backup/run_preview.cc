// --dry-run: what run_office would do.
#include "backup/office.h"
#include "backup/run_copies.h"
#include "backup/services.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

class Quiet final : public Progress {
 public:
  void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
};

Status add_databases(const Office& office, RunPreview& preview) {
  for (const auto& database : office.databases) {
    auto connection = postgres::Connection::open(database.settings);
    if (!connection) return pass(connection, phrase("database {}", database.settings.database));
    auto rows = connection->query("SELECT pg_database_size(current_database())");
    if (!rows) return pass(rows, phrase("database {}", database.settings.database));
    preview.databases.push_back({database.settings.database, parse_u64(rows->text(0, 0)).value_or(0)});
  }
  return {};
}

void add_folder(const Application& application, const std::string& version, const FolderRule& rule, RunPreview& preview) {
  Quiet quiet;
  auto measured = measure_folder(folder_options(application, version, rule), quiet);
  RunPreview::Folder folder{application.name, version, rule.root, measured && !measured->root_missing, 0, 0};
  if (!measured) {
    preview.problems.push_back(phrase("{}: {} is not saved: {}", application.name, rule.root, phrase_of(measured.error())));
  } else {
    folder.files = measured->counts.files;
    folder.bytes = measured->counts.bytes;
    for (const auto& name : measured->findings.missing.names) preview.problems.push_back(phrase("{}: missing in {}: {}", application.name, rule.root, name));
    for (const auto& name : measured->findings.unreadable.names) preview.problems.push_back(phrase("{}: can't be read, in {}: {}", application.name, rule.root, name));
  }
  preview.folders.push_back(std::move(folder));
}

}  // namespace

Result<RunPreview> preview_run(const Office& office, const RunOptions& options, const Clock& clock) {
  RunPreview preview;
  auto target = check_target(office, options.target);
  if (!target) return pass(target);
  preview.target = std::move(*target);
  auto free = os::free_bytes(preview.target);
  if (!free) return pass(free);
  preview.free_bytes = *free;
  preview.verify = options.verify.value_or(office.config.verify);
  preview.encrypted = encrypts(office.config, preview.target);
  if (auto added = add_databases(office, preview); !added) return pass(added);
  for (const auto& application : applications_of(office)) {
    if (!application.stop.empty()) preview.stops.push_back(application.name);
    auto version = program_version(application, clock);
    if (!version) preview.problems.push_back(phrase("{}: its version is not known: {}", application.name, phrase_of(version.error())));
    for (const auto& rule : application.folders) add_folder(application, version.value_or(""), rule, preview);
  }
  return preview;
}

}  // namespace verbund::backup
