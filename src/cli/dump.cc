/// verbund dump, dumpSIQ, dumpSIQVersions: one database into one file that pg_restore reads (S10, S12).
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include <boost/json.hpp>

#include "backup/config.h"
#include "backup/digest.h"
#include "backup/dump_file.h"
#include "base/messages.h"
#include "cli/archives.h"
#include "cli/progress.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

struct Options {
  ArchiveOptions archive;
  std::string directory;
  bool siq = false;            ///< under one of the four names: -d is mandatory
  bool must_be_mounted = false, dry_run = false;
};

struct Dumped {
  fs::path file;
  std::uint64_t bytes = 0;
  std::string sha256, host;
};

std::string this_machine() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  name.resize(name.find('\0'));
  return name;
}

std::chrono::year_month_day today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return std::chrono::year(local.tm_year + 1900) / (local.tm_mon + 1) / local.tm_mday;
}

std::optional<dev_t> file_system_of(const fs::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_dev;
}

/// config/backup.toml knows the medium, too.
Result<bool> must_be_mounted(const Options& options, const node::Installation& installation) {
  if (options.must_be_mounted) return true;
  auto config = backup::load_config(installation.directory());
  if (!config) return pass(config);
  if (!config->target_is_mount || config->target.empty()) return false;
  const auto way = fs::absolute(options.directory).lexically_normal().lexically_relative(config->target.lexically_normal());
  return !way.empty() && *way.begin() != "..";
}

Status check_target(const Globals& globals, const Options& options, const node::Installation& installation) {
  std::error_code error;
  if (!fs::is_directory(options.directory, error)) {
    return fail(ErrorCode::kNotFound, phrase("dump into {}: there is no such directory", options.directory), phrase("make it, or mount the medium"));
  }
  const auto medium = must_be_mounted(options, installation);
  if (!medium) return std::unexpected(medium.error());
  const bool same = file_system_of(options.directory) == file_system_of(installation.directory());
  if (same && *medium) {
    return fail(ErrorCode::kMediumGone, phrase("dump into {}: no medium is mounted there", options.directory), phrase("put the medium of the day in, and mount it"));
  }
  if (same) warn(globals, phrase("{} lies on the same file system as the database: a backup belongs on another medium", options.directory));
  return {};
}

/// Every byte on its way is counted into the hash that lies beside.
class HashedFile final : public backup::Sink {
 public:
  explicit HashedFile(backup::DumpFile& file) : file_(file) {}
  Status write(std::string_view bytes) override {
    hash_.update(bytes);
    return file_.write(bytes);
  }
  Status finish() override { return file_.finish(); }
  std::string hex() { return hash_.hex(); }

 private:
  backup::DumpFile& file_;
  backup::Sha256 hash_;
};

/// Somebody may take the name between the look and the deed: then the next one.
Result<fs::path> publish(backup::DumpFile& file, const fs::path& directory, const ArchiveScene& scene) {
  std::error_code error;
  for (;;) {
    const auto name = backup::dump_file_name(today(), scene.database, scene.superuser.host, this_machine(),
                                             [&](const std::string& taken) { return fs::exists(directory / taken, error); });
    auto named = file.publish(directory / name);
    if (named) return directory / name;
    if (named.error().code != ErrorCode::kAlreadyExists) return pass(named);
  }
}

/// In sha256sum's form. Without it the archive is as good, only less well proven.
Status write_hash(const fs::path& archive, const std::string& hex) {
  auto file = backup::DumpFile::create(archive.parent_path());
  if (!file) return pass(file);
  if (auto written = (*file)->write(fmt::format("{}  {}\n", hex, archive.filename().string())); !written) return written;
  if (auto finished = (*file)->finish(); !finished) return finished;
  return (*file)->publish(archive.string() + ".sha256");
}

Result<Dumped> dump_into(const Globals& globals, const Options& options, const ArchiveScene& scene, TerminalProgress& progress) {
  const auto directory = fs::absolute(options.directory).lexically_normal();
  auto file = backup::DumpFile::create(directory);
  if (!file) return pass(file);
  auto database = scene.superuser;
  database.database = scene.database;
  HashedFile hashed(**file);
  auto entry = backup::dump_database(scene.programs, database, {.compressed = true, .hash_tables = false, .use_snapshot = {}}, hashed, progress);
  if (!entry) return pass(entry);
  if (auto finished = hashed.finish(); !finished) return pass(finished);
  auto source = backup::FileSource::open((*file)->path());
  if (!source) return pass(source);
  if (auto whole = backup::check_archive(scene.programs, **source, progress); !whole) return pass(whole, "read the dump back");
  const auto bytes = (*file)->bytes();
  auto path = publish(**file, directory, scene);
  if (!path) return pass(path);
  Dumped dumped{std::move(*path), bytes, hashed.hex(), database.shown()};
  if (auto beside = write_hash(dumped.file, dumped.sha256); !beside) warn(globals, phrase("no hash lies beside the dump: {}", beside.error().message));
  return dumped;
}

int dump(const Globals& globals, const Options& options) {
  if (options.siq && options.archive.programs.empty()) return report(globals, make_error(ErrorCode::kUsage, phrase("{} is required", "-d")));
  const auto begun = std::chrono::steady_clock::now();
  TerminalProgress progress(globals);
  auto scene = archive_scene(globals, options.archive, "verbund dump");
  if (!scene) return report(globals, std::move(scene.error()).in("dump"));
  if (auto target = check_target(globals, options, scene->installation); !target) return report(globals, target.error());
  if (options.dry_run) {
    fmt::print("{}\n", translated(globals.language, "would dump {} into {}", scene->database, options.directory));
    return 0;
  }
  auto dumped = dump_into(globals, options, *scene, progress);
  if (!dumped) return report(globals, dumped.error());
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (globals.json) {
    fmt::print("{}\n", json::serialize(json::object{{"dumped", {{"file", dumped->file.string()}, {"database", scene->database}, {"bytes", std::to_string(dumped->bytes)},
                                                                {"sha256", dumped->sha256}, {"seconds", took}}}}));
  } else {
    fmt::print("{}\n", translated(globals.language, "{}: {}, read back whole, {} s", dumped->file.string(), shown_bytes(dumped->bytes), fmt::format("{:.1f}", took)));
  }
  return 0;
}

}  // namespace

void add_dump(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("dump", text("write the database, or the versions database, into a file that pg_restore reads"));
  auto options = std::make_shared<Options>();
  command->add_flag("--siq", options->siq)->group("");
  command->add_flag("--versions", options->archive.versions, text("the versions database"));
  command->add_option("-d,--programs", options->archive.programs, text("directory of pg_dump; default: the newest"));
  command->add_option("-b,--directory", options->directory, text("directory that the file is written into"))->required();
  command->add_flag("--must-be-mounted", options->must_be_mounted, text("refuse a directory on the installation's own file system: an unmounted medium"));
  command->add_flag("--dry-run", options->dry_run, text("only say what would be done"));
  command->callback([&globals, run, options] { run([&globals, options] { return dump(globals, *options); }); });
}

}  // namespace verbund::cli
