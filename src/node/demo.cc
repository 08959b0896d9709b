#include "node/demo.h"

#include <unistd.h>

#include "importer/importer.h"
#include "importer/synthetic.h"
#include "platform/os/clock.h"

namespace verbund::node {
namespace {

constexpr std::uint64_t kSyntheticPatients = 1000;
constexpr std::uint64_t kSyntheticSeed = 2026;

Result<postgres::Connection> open_as_application(const Installation& installation) {
  auto settings = installation.application_connection();
  if (!settings) return pass(settings);
  return postgres::Connection::open(*settings);
}

/// What tools/fetch-demo-data leaves: one folder per package (LICENCES.txt beside them is no record).
std::vector<std::filesystem::path> folders_of(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory()) folders.push_back(entry->path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace

Result<bool> ensure_demo_schema(const Installation& installation) {
  auto connection = open_as_application(installation);
  if (!connection) return pass(connection);
  auto tables = connection->query(
      "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
      " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')");
  if (!tables) return pass(tables);
  if (tables->text(0, 0) != "0") return false;
  auto transaction = connection->begin();
  if (!transaction) return pass(transaction);
  if (auto made = connection->execute(importer::demo_schema_sql()); !made) return pass(made, "create the demo practice");
  if (auto committed = transaction->commit(); !committed) return pass(committed);
  return true;
}

Result<std::string> load_demo_records(const Installation& installation, const std::filesystem::path& data, Language language,
                                      Log& log) {
  auto connection = open_as_application(installation);
  if (!connection) return pass(connection);
  auto present = connection->query("SELECT EXISTS (SELECT 1 FROM patient)");
  if (!present) return pass(present, "look for demo records");
  if (present->text(0, 0) == "t") return std::string();
  const auto paths = data.empty() ? std::vector<std::filesystem::path>() : folders_of(data);
  if (paths.empty()) {
    auto made = importer::import_synthetic(*connection, kSyntheticPatients, kSyntheticSeed, {});
    if (!made) return pass(made, "make synthetic patients");
    log.info("node.demo_synthetic", {{"patients", kSyntheticPatients}});
    return made->to_text(language);
  }
  const bool terminal = isatty(STDERR_FILENO);
  const auto progress = [&](const importer::ImportProgress& done) {
    if (terminal && done.bytes_total > 0) {
      fmt::print(stderr, "\r{} {:3} %  {}/{}", translate(language, "demo practice:"), done.bytes_done * 100 / done.bytes_total,
                 done.files_done, done.files_total);
    }
    return true;
  };
  auto report = importer::import_files(*connection, paths, {}, progress);
  if (terminal) fmt::print(stderr, "\n");
  if (!report) return pass(report, "import the demo practice");
  if (auto assigned = importer::assign_demo_nurses(*connection); !assigned) return pass(assigned);
  log.info("node.demo_imported", {{"files", report->files}});
  return report->to_text(language);
}

}  // namespace verbund::node
