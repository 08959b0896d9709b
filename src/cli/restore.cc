/// verbund restore, restoreSIQ, restoreSIQVersions: a database out of such a file, beside and exchanged (S11, S12).
#include <ctime>

#include <boost/json.hpp>

#include "backup/digest.h"
#include "backup/dump_file.h"
#include "base/messages.h"
#include "cli/adoption.h"
#include "cli/archives.h"
#include "cli/progress.h"
#include "history/erasure_list.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

/// Migrations and erasures of a large versions database take their time.
constexpr seconds kNodePatience{600};

struct Options {
  ArchiveOptions archive;
  std::string file, owner;
  int jobs = 2;
  bool siq = false, yes = false, drop_first = false, drop_old = false, dry_run = false;
};

/// The file is what dump has written, when its hash lies beside. Whether it does.
Result<bool> check_hash(const fs::path& archive) {
  auto expected = os::read_file(archive.string() + ".sha256", 4096);
  if (!expected && expected.error().code == ErrorCode::kNotFound) return false;
  if (!expected) return pass(expected);
  auto source = backup::FileSource::open(archive);
  if (!source) return pass(source);
  backup::Sha256 hash;
  std::vector<char> buffer(1024 * 1024);
  for (;;) {
    auto got = (*source)->read(buffer);
    if (!got) return pass(got);
    if (*got == 0) break;
    hash.update({buffer.data(), *got});
  }
  if (expected->substr(0, expected->find(' ')) == hash.hex()) return true;
  return fail(ErrorCode::kDamaged, phrase("check {}: it is not what was dumped, its SHA-256 is another one", archive.string()), phrase("take another backup"));
}

/// Those of the source don't fit into the versions, nor the other way round.
Status check_kind(const Options& options, const ArchiveScene& scene, const backup::ArchiveFacts& facts) {
  const bool versions = facts.database == node::Installation::kVersions;
  if (versions == options.archive.versions) return {};
  return fail(ErrorCode::kUsage, phrase("restore {}: {} is a dump of database {}", scene.database, options.file, facts.database),
              versions ? phrase("restoreSIQVersions, or --versions, restores the versions database") : Phrase{});
}

/// Records that were erased since the dump was made: their contents are back in the database.
std::vector<std::string> erased_since(const node::Installation& installation, const std::string& created) {
  std::tm parts{};
  if (::strptime(created.c_str(), "%Y-%m-%d %H:%M:%S", &parts) == nullptr) return {};
  parts.tm_isdst = -1;
  const WallTime then{seconds{std::mktime(&parts)}};
  std::vector<std::string> records;
  auto all = history::read_erasures(history::erasures_file(installation.directory()));
  if (!all) return {};
  for (const auto& erasure : *all) {
    if (erasure.at >= then) records.push_back(erasure.record);
  }
  return records;
}

/// An older versions database does not have the latest erasures: the list must stand in the installation's file before it comes.
Status keep_erasures(const ArchiveScene& scene) {
  auto settings = scene.superuser;
  settings.database = scene.database;
  auto connection = postgres::Connection::open(settings);
  if (!connection && connection.error().code == ErrorCode::kNotFound) return {};
  if (!connection) return pass(connection);
  auto noted = history::note_erasures(history::erasures_file(scene.installation.directory()), *connection);
  return noted ? Status{} : pass(noted, "keep the list of erasures");
}

Status tell_node(const Globals& globals, const Options& options) {
  const auto body = json::serialize(json::object{{"database", options.archive.versions ? "versions" : "source"}});
  auto told = rest_call(globals, "POST", "/api/databases/restored", body, {}, kNodePatience);
  if (told) return {};
  told.error().advise(phrase("restart the node: it does at its start what is missing now"));
  return pass(told, "tell the node that runs");
}

backup::RestoreOptions restore_options(const Globals& globals, const Options& options, const ArchiveScene& scene) {
  backup::RestoreOptions wanted;
  wanted.database = scene.database;
  wanted.owner = options.owner;
  wanted.drop_first = options.drop_first;
  wanted.keep_old = !options.drop_old;
  wanted.jobs = options.jobs;
  wanted.check_only = options.dry_run;
  if (!options.archive.versions) wanted.own_slot = scene.installation.settings().feed_slot;
  if (options.archive.versions) wanted.before_swap = [&scene] { return keep_erasures(scene); };
  if (scene.server.node_runs()) {
    if (!wanted.before_swap) wanted.before_swap = [] { return Status{}; };
    wanted.after_swap = [&globals, &options] { return tell_node(globals, options); };
  }
  return wanted;
}

void print(const Globals& globals, const Options& options, const ArchiveScene& scene, const backup::RestoreResult& result,
           const std::vector<std::string>& erased) {
  if (globals.json) {
    json::array warnings(result.warnings.begin(), result.warnings.end()), records(erased.begin(), erased.end());
    fmt::print("{}\n", json::serialize(json::object{{options.dry_run ? "checked" : "restored",
                                                     {{"database", scene.database}, {"file", options.file}, {"old_database", result.old_database},
                                                      {"warnings", warnings}, {"erased_since", records}}}}));
    return;
  }
  for (const auto& warning : result.warnings) warn(globals, verbatim(warning));
  if (options.dry_run) {
    fmt::print("{}\n", translated(globals.language, "{} can be restored from {}; nothing was changed", scene.database, options.file));
    return;
  }
  fmt::print("{}\n", translated(globals.language, "{} is restored from {}", scene.database, options.file));
  if (!result.old_database.empty()) {
    fmt::print("{}\n", translated(globals.language, "the database of before is kept as {}; drop it when it is not needed any more", result.old_database));
  }
  if (!erased.empty()) {
    warn(globals, phrase("{} records were erased after this dump was made: delete and erase them once more: {}", erased.size(), fmt::format("{}", fmt::join(erased, ", "))));
  }
}

Status agree(const Globals& globals, const Options& options, const ArchiveScene& scene, const backup::ArchiveFacts& facts) {
  if (options.yes || options.dry_run) return {};
  fmt::print(stderr, "{}\n", translated(globals.language, "{} holds database {} as of {}, of PostgreSQL {}.", options.file, facts.database, facts.created,
                                        facts.server_version / 10000));
  fmt::print(stderr, "{}\n", translated(globals.language, "It replaces database {} on {}; who is connected there is disconnected.", scene.database,
                                        scene.superuser.shown()));
  const char* question = options.drop_first ? msgid("The database of now is dropped first. Restore? [y/N]")
                         : options.drop_old ? msgid("The database of now is dropped afterwards. Restore? [y/N]")
                                            : msgid("The database of now is kept under another name. Restore? [y/N]");
  if (agreed(translate(globals.language, question))) return {};
  return fail(ErrorCode::kCancelled, phrase("restore {}: nobody has agreed", scene.database), phrase("say --yes, or answer y at a terminal"));
}

Result<backup::RestoreResult> restore_from(const Globals& globals, const Options& options, const ArchiveScene& scene, const backup::ArchiveFacts& facts) {
  TerminalProgress progress(globals);
  auto hashed = check_hash(options.file);
  if (!hashed) return pass(hashed);
  auto done = backup::restore_database(scene.programs, scene.superuser, options.file, restore_options(globals, options, scene), progress);
  if (done && !*hashed && !facts.compressed) {
    done->warnings.push_back(phrase("no hash lies beside an archive that is not compressed: a changed byte in it could not be seen").english());
  }
  return done;
}

int restore(const Globals& globals, Options options) {
  if (options.siq && options.archive.programs.empty()) return report(globals, make_error(ErrorCode::kUsage, phrase("{} is required", "-d")));
  options.file = fs::absolute(options.file).lexically_normal();
  auto scene = archive_scene(globals, options.archive, "verbund restore");
  if (!scene) return report(globals, std::move(scene.error()).in("restore"));
  auto facts = backup::archive_facts(scene->programs, options.file);
  if (!facts) return report(globals, facts.error());
  if (auto fits = check_kind(options, *scene, *facts); !fits) return report(globals, fits.error());
  if (auto agreed_to = agree(globals, options, *scene, *facts); !agreed_to) return report(globals, agreed_to.error());
  auto result = restore_from(globals, options, *scene, *facts);
  if (!result) return report(globals, result.error());
  print(globals, options, *scene, *result, options.archive.versions ? std::vector<std::string>{} : erased_since(scene->installation, facts->created));
  return 0;
}

}  // namespace

void add_restore(CLI::App& app, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto* command = app.add_subcommand("restore", text("replace the database, or the versions database, by what a file holds"));
  auto options = std::make_shared<Options>();
  command->add_flag("--siq", options->siq)->group("");
  command->add_flag("--versions", options->archive.versions, text("the versions database"));
  command->add_option("-d,--programs", options->archive.programs, text("directory of pg_restore; default: the newest"));
  command->add_option("-f,--file", options->file, text("the file that dump has written"))->required();
  command->add_option("-u,--superuser", options->archive.superuser, text("role that may replace the database; default: the installation's"));
  command->add_option("-p,--superuser-password", options->archive.password, text("its password; --password-file is safer, - reads standard input"));
  command->add_option("--system-database", options->archive.system_database, text("database to connect to meanwhile; default: postgres"));
  command->add_option("--owner", options->owner, text("owner of the database; default: as in the archive"));
  command->add_option("--jobs", options->jobs, text("how many tables at once"))->check(in_range(globals, 1, 64))->capture_default_str();
  command->add_flag("--drop-first", options->drop_first, text("drop the present database before, when there is no room for both"));
  command->add_flag("--drop-old", options->drop_old, text("drop the present database after the exchange, instead of keeping it"));
  command->add_flag("--yes", options->yes, text("don't ask"));
  command->add_flag("--dry-run", options->dry_run, text("only check whether it could be done"));
  command->callback([&globals, run, options] { run([&globals, options] { return restore(globals, *options); }); });
}

}  // namespace verbund::cli
