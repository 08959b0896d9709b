#include "backup/config.h"

#include <algorithm>
#include <set>

#include "backup/config_offsite.h"
#include "backup/config_rotation.h"
#include "base/messages.h"
#include "platform/os/read_setting.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLongestCommand = 3600;  // seconds: an office does not stand still longer for one application

/// Reads one [[application]]; `at_` is its prefix, "application.0.".
class ApplicationReader {
 public:
  ApplicationReader(os::ConfigFile& file, std::size_t index) : file_(file), at_(fmt::format("application.{}.", index)) {}

  Result<Application> read() {
    if (auto done = name(); !done) return pass(done);
    if (auto done = version(); !done) return pass(done);
    if (auto done = commands(); !done) return pass(done);
    for (std::size_t i = 0; i < file_.count(at_ + "folder"); ++i) {
      auto rule = folder(fmt::format("{}folder.{}.", at_, i));
      if (!rule) return pass(rule);
      application_.folders.push_back(std::move(*rule));
    }
    return std::move(application_);
  }

 private:
  std::unexpected<Error> refuse(const std::string& key, Phrase why, Phrase hint = {}) {
    const int line = std::max(file_.line(key), file_.line(at_ + "name"));
    return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: {}", file_.name(), line, key, why), std::move(hint));
  }

  Status text(const std::string& key, std::string& into) {
    auto value = file_.text(key, into);
    if (!value) return pass(value);
    into = std::move(*value);
    return {};
  }
  Status list(const std::string& key, std::vector<std::string>& into) {
    auto value = file_.list(key, {});
    if (!value) return pass(value);
    into = std::move(*value);
    return {};
  }
  Status limit(const std::string& key, seconds& into) {
    auto value = file_.integer(key, into.count(), 1, kLongestCommand);
    if (!value) return pass(value);
    into = seconds{*value};
    return {};
  }

  Status name() {
    if (auto read = text(at_ + "name", application_.name); !read) return read;
    // It becomes part of file names in the set.
    const bool usable = !application_.name.empty() && application_.name.size() <= 60 && application_.name.front() != '.' &&
                        std::ranges::all_of(application_.name, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
    if (usable) return {};
    return refuse(at_ + "name", phrase("'{}' can't name an application", application_.name),
                  phrase("1 to 60 of the characters a-z A-Z 0-9 - _ ."));
  }

  Status version() {
    if (auto read = list(at_ + "version_command", application_.version_command); !read) return read;
    std::string file;
    if (auto read = text(at_ + "version_file", file); !read) return read;
    application_.version_file = file;
    if (!file.empty() && !application_.version_command.empty()) {
      return refuse(at_ + "version_file", phrase("the version comes from a command already"), phrase("Either version_command or version_file."));
    }
    return {};
  }

  Status commands() {
    for (auto [key, into] : {std::pair{"stop", &application_.stop}, {"start", &application_.start}, {"running", &application_.running}, {"check", &application_.check}}) {
      if (auto read = list(at_ + key, *into); !read) return read;
    }
    if (application_.stop.empty() != application_.start.empty()) {
      return refuse(at_ + (application_.stop.empty() ? "start" : "stop"), phrase("'stop' and 'start' come together"),
                    phrase("What is stopped has to be started again, whatever happens."));
    }
    if (auto read = limit(at_ + "stop_seconds", application_.stop_limit); !read) return read;
    if (auto read = limit(at_ + "start_seconds", application_.start_limit); !read) return read;
    if (auto read = limit(at_ + "check_seconds", application_.check_limit); !read) return read;
    return text(at_ + "user", application_.user);
  }

  Result<FolderRule> folder(const std::string& at) {
    FolderRule rule;
    if (auto read = text(at + "root", rule.root); !read) return pass(read);
    if (!fs::path(rule.root).is_absolute() || fs::path(rule.root).lexically_normal() == "/") {
      return refuse(at + "root", phrase("'{}' is no absolute path below /", rule.root), phrase("For example /opt/practice"));
    }
    rule.root = fs::path(rule.root).lexically_normal().string();
    if (rule.root.ends_with('/')) rule.root.pop_back();
    auto optional = file_.boolean(at + "optional", false);
    if (!optional) return pass(optional);
    rule.optional = *optional;
    if (auto read = list(at + "mount_points", rule.mount_points); !read) return pass(read);
    auto ignored = file_.boolean(at + "ignore_case", false);
    if (!ignored) return pass(ignored);
    rule.lists.letter_case = *ignored ? LetterCase::kIgnored : LetterCase::kExact;
    if (auto read = entries(at, "", rule.lists); !read) return pass(read);
    for (std::size_t i = 0; i < file_.count(at + "only"); ++i) {
      const auto only = fmt::format("{}only.{}.", at, i);
      std::string versions;
      if (auto read = text(only + "versions", versions); !read) return pass(read);
      if (auto read = entries(only, versions, rule.lists); !read) return pass(read);
    }
    if (auto checked = check_lists(rule.lists); !checked) return refuse(at + "root", phrase_of(checked.error()), checked.error().hint_phrase);
    return rule;
  }

  /// The lists of one table; `versions`: the condition on the program version that they are under.
  Status entries(const std::string& at, const std::string& versions, PathLists& lists) {
    struct Key {
      const char* name;
      std::vector<ListEntry>& into;
      bool optional;
    };
    for (const Key& key : {Key{"save", lists.saved, false}, Key{"save_optional", lists.saved, true}, Key{"leave_out", lists.excluded, false},
                           Key{"restore", lists.restored, false}, Key{"restore_optional", lists.restored, true}}) {
      std::vector<std::string> patterns;
      if (auto read = list(at + key.name, patterns); !read) return read;
      for (auto& pattern : patterns) key.into.push_back({std::move(pattern), key.optional, versions});
    }
    return {};
  }

  os::ConfigFile& file_;
  std::string at_;
  Application application_;
};

Status read_recipients(os::ConfigFile& file, Config& config) {
  std::vector<std::string> lines;
  VERBUND_READ(lines, file.list("encryption.recipients", {}));
  for (const auto& line : lines) {
    auto recipient = Recipient::parse(line);
    if (!recipient) {
      return fail(ErrorCode::kBadConfig,
                  phrase("{}:{}: encryption.recipients: {}", file.name(), file.line("encryption.recipients"), verbatim(recipient.error().message)),
                  phrase("The line that `verbund backup key export` prints."));
    }
    config.recipients.push_back(std::move(*recipient));
  }
  if (config.encrypt != Encrypt::kNever && config.recipients.empty()) {
    return fail(ErrorCode::kBadConfig, phrase("{}:{}: encryption.when: there are no recipients", file.name(), file.line("encryption.when")),
                phrase("Without somebody's key nobody could ever open the set: encryption.recipients = [\"…\"]"));
  }
  return {};
}

Status read_encryption(os::ConfigFile& file, Config& config) {
  std::string when;
  VERBUND_READ(when, file.choice("encryption.when", "never", {"never", "leaving", "always"}));
  config.encrypt = when == "always" ? Encrypt::kAlways : when == "leaving" ? Encrypt::kLeaving : Encrypt::kNever;
  std::vector<std::string> leaving;
  VERBUND_READ(leaving, file.list("encryption.leaving", {}));
  for (const auto& path : leaving) config.leaving.emplace_back(fs::path(path).lexically_normal());
  return read_recipients(file, config);
}

Status read_absolute(os::ConfigFile& file, const std::string& key, const std::string& text, fs::path& into) {
  into = fs::path(text).lexically_normal();
  if (into.empty() || into.is_absolute()) return {};
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: {} = {}: not an absolute path", file.name(), file.line(key), key, text), phrase("For example /media/backup"));
}

Status read_media(os::ConfigFile& file, MediaConfig& media) {
  std::vector<std::string> places;
  VERBUND_READ(places, file.list("media.places", {}));
  for (const auto& text : places) {
    if (auto read = read_absolute(file, "media.places", text, media.places.emplace_back()); !read) return read;
  }
  VERBUND_READ(media.hot_swap, file.boolean("media.hot_swap", false));
  std::string tape;
  VERBUND_READ(tape, file.text("media.tape", ""));
  return read_absolute(file, "media.tape", tape, media.tape);
}

Status read_databases(os::ConfigFile& file, Config& config) {
  VERBUND_READ(config.source, file.boolean("databases.source", config.source));
  VERBUND_READ(config.mid_tier, file.boolean("databases.mid_tier", config.mid_tier));
  VERBUND_READ(config.versions, file.boolean("databases.versions", config.versions));
  VERBUND_READ(config.other_databases, file.list("databases.others", {}));
  VERBUND_READ(config.superuser, file.text("databases.superuser_connection", ""));
  std::string programs;
  VERBUND_READ(programs, file.text("databases.programs", ""));
  config.programs = programs;
  return {};
}

}  // namespace

Result<Config> read_config(os::ConfigFile& file) {
  Config config;
  std::string target, level;
  VERBUND_READ(target, file.text("backup.target", ""));
  if (auto read = read_absolute(file, "backup.target", target, config.target); !read) return pass(read);
  VERBUND_READ(config.target_is_mount, file.boolean("backup.target_is_mount", false));
  VERBUND_READ(level, file.choice("backup.verify", "L4", {"L1", "L2", "L3", "L4"}));
  config.verify = parse_level(level).value_or(Level::kRestored);
  VERBUND_READ(config.zstd_level, file.integer("backup.zstd_level", config.zstd_level, 1, 19));
  VERBUND_READ(config.zstd_threads, file.integer("backup.zstd_threads", config.zstd_threads, 1, 64));
  VERBUND_READ(config.keep, file.integer("backup.keep", config.keep, 1, 10'000));
  if (auto read = read_databases(file, config); !read) return pass(read);
  if (auto read = read_encryption(file, config); !read) return pass(read);
  if (auto read = read_rotation(file, config); !read) return pass(read);
  if (auto read = read_media(file, config.media); !read) return pass(read);
  std::set<std::string> names;
  for (std::size_t i = 0; i < file.count("application"); ++i) {
    auto application = ApplicationReader(file, i).read();
    if (!application) return pass(application);
    if (!names.insert(application->name).second) {
      const auto key = fmt::format("application.{}.name", i);
      return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: '{}' is given twice", file.name(), file.line(key), key, application->name));
    }
    config.applications.push_back(std::move(*application));
  }
  if (auto read = read_off_sites(file, config.off_sites); !read) return pass(read);
  if (auto known = file.refuse_unknown(); !known) return pass(known);
  return config;
}
Result<Config> load_config(const fs::path& installation) {
  const auto path = installation / "config" / "backup.toml";
  std::error_code error;
  if (!fs::exists(path, error) && !error) {
    auto empty = os::ConfigFile::parse_toml("", path.string());
    if (!empty) return pass(empty);
    return read_config(*empty);
  }
  auto file = os::ConfigFile::read_toml(path);
  if (!file) return pass(file);
  return read_config(*file);
}

bool encrypts(const Config& config, const fs::path& target) {
  if (config.encrypt != Encrypt::kLeaving) return config.encrypt == Encrypt::kAlways;
  const auto normal = fs::absolute(target).lexically_normal();
  return std::ranges::any_of(config.leaving, [&](const fs::path& below) {
    const auto relative = normal.lexically_relative(below);
    return !relative.empty() && *relative.begin() != "..";
  });
}

std::string default_config() {
  std::string text = R"toml(# Verbund: what `verbund backup run` saves, how, and where to. Every key stands here with its default.
# Was `verbund backup run` sichert, wie und wohin. Jeder Schlüssel steht hier mit seiner Vorgabe.
# `verbund config check` reads it. More: docs/operations/backup.md, docs/de/sicherung.md, examples/backup/.

[backup]
# target = "/media/backup"       # directory that holds the sets; or `backup run --target DIR`
# target_is_mount = false        # true: refused while it lies on the installation's own file system (the medium is not mounted)
# verify = "L4"                  # how far each run proves its set: L1 hashes, L2 readable, L3 from the medium, L4 restored
# keep = 7                       # 1 … 10 000: `backup prune` never leaves fewer complete, verified sets
# zstd_level = 3                 # 1 … 19
# zstd_threads = 2               # 1 … 64

[media]
# places = ["/media/backup"]     # where exchangeable media are mounted; none: [backup] target. See `backup media label`
# hot_swap = false               # true: disks in a bay of this machine are taken out, too, though the system takes them for built-in ones
# tape = ""                      # "/dev/nst0": a drive that does not rewind by itself

[databases]
# source = true                  # the office's own
# mid_tier = true                # the feed's journal and shadow tables, logins, audit
# versions = true                # every version of every record (SIQVersions)
# others = ["billing"]           # further ones on the same server
# superuser_connection = ""      # an existing server: who may read everything, roles too; "" = the connection of verbund.toml
# programs = ""                  # directory of pg_dump and pg_restore; "" = found

[encryption]
# when = "never"                 # "leaving": targets below one of `leaving`; "always"
# leaving = ["/media/usb"]       # what lies there leaves the house
# recipients = []                # lines of `verbund backup key export`: who may open encrypted sets (responsible person, deputy)

)toml";
  text += default_rotation();
  return text + R"toml(# One per application of the house, in the order in which they are stopped; started in reverse.
# Sealed copies outside the house, through rclone (SFTP, WebDAV, S3 …): verbund backup offsite. docs/operations/backup-offsite.md
# [[offsite]]
# name = "bank"                  # for people
# remote = "bank"                # section of rclone's configuration; passwords stand there alone
# directory = "practice"         # on the remote; holds the sets
# rclone_config = ""             # "" = secrets/rclone.conf of the installation; mode 0600
# scratch = ""                   # where sealed copies are made; "" = backup/offsite/sealed of the installation
# keep = 3                       # 1 … 1000: so many sets are to be there, read back
# kib_per_second = 0             # sent at most; 0 = no limit

# One per application of the house, in the order in which they are stopped; started in reverse.
# [[application]]
# name = "practice"
# version_file = "/opt/practice/VERSION"        # or version_command = ["/opt/practice/bin/version"]
# stop = ["systemctl", "stop", "practice"]      # no shell; absolute path or name in PATH
# start = ["systemctl", "start", "practice"]
# running = ["systemctl", "is-active", "--quiet", "practice"]   # exit code 0: it runs, so it is stopped and started again
# stop_seconds = 120
# start_seconds = 120
# check = ["/opt/practice/bin/selftest"]        # `backup drill` runs it beside the restored office (docs/operations/backup-drill.md)
# check_seconds = 300
# user = ""                                     # who runs the commands; "" = who runs the backup
#   [[application.folder]]
#   root = "/opt/practice"                      # saved whole
#   optional = false                            # true: may be missing
#   ignore_case = false                         # true: a tree that lives on Windows
#   mount_points = [""]                         # must be mounted: "" the root itself, "letters" a folder below it
#   save = []                                   # [] = the whole tree
#   save_optional = []
#   leave_out = ["log/**", "tmp/**"]
#   restore = ["bin", "database"]               # what alone is restored; nothing else. A folder stands for all beneath it
#   restore_optional = ["local.ini"]            # may be missing
#     [[application.folder.only]]               # entries for some program versions
#     versions = ">= 11"                        # "7.*", "> 6, <= 7.2", "7.* | 11g"
#     restore = ["common/adm"]
)toml";
}

}  // namespace verbund::backup
