#include "cli/archives.h"

#include <unistd.h>

#include <cstring>

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;

struct Name {
  std::string_view called;
  std::vector<std::string> words;
};

const std::vector<Name>& names() {
  static const std::vector<Name> all = {{"dumpsiq", {"dump", "--siq"}},
                                        {"dumpsiqversions", {"dump", "--siq", "--versions"}},
                                        {"restoresiq", {"restore", "--siq"}},
                                        {"restoresiqversions", {"restore", "--siq", "--versions"}}};
  return all;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Beyond one letter CLI11 wants two dashes.
std::string long_name(const std::string& word) {
  if (word == "-db" || word == "-sudb") return "--system-database";
  if (word == "-su") return "--superuser";
  if (word == "-sup") return "--superuser-password";
  return word;
}

/// Whoever lists processes sees it no longer; until now he could, which is why it is warned of.
void blank(char* word) { std::memset(word, 'x', std::strlen(word)); }

Result<postgres::ConnectionSettings> superuser_of(const Globals& globals, const node::Installation& installation, const ArchiveOptions& options) {
  auto settings = node::CommandServer::connection(installation, options.system_database.empty() ? "postgres" : options.system_database);
  if (!settings) return settings;
  if (!options.superuser.empty() && options.superuser != settings->user) {
    settings->user = options.superuser;
    settings->password.clear();
  }
  if (!options.password.empty()) {
    settings->password = options.password;
  } else if (!globals.password_file.empty() || (settings->password.empty() && !options.superuser.empty() && isatty(STDIN_FILENO) != 0)) {
    auto password = read_password(globals, msgid("database password"));
    if (!password) return pass(password);
    settings->password = std::move(*password);
  }
  return settings;
}

}  // namespace

void warn(const Globals& globals, const Phrase& words) {
  if (globals.json) return;
  fmt::print(stderr, "verbund: {}: {}\n", translate(globals.language, "warning"), said(globals.language, words));
}

std::vector<std::string> command_words(int argc, char** argv) {
  std::vector<std::string> words;
  bool ours = false;
  const auto take_name = [&](const char* word) {
    auto called = lower(fs::path(word).filename().string());
    if (called.ends_with(".exe")) called.resize(called.size() - 4);
    for (const Name& name : names()) {
      if (name.called != called) continue;
      words = name.words;
      return true;
    }
    return false;
  };
  if (argc > 0) ours = take_name(argv[0]);
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    // Where there are no links (Windows), the name comes as the first word.
    if (i == 1 && !ours && take_name(argv[i])) {
      ours = true;
      continue;
    }
    if (word == "--") {  // somebody else's
      words.insert(words.end(), argv + i, argv + argc);
      break;
    }
    ours = ours || word == "dump" || word == "restore";
    words.push_back(ours ? long_name(word) : word);
    if (ours && (word == "-p" || word == "-sup" || word == "--superuser-password") && i + 1 < argc) {
      words.emplace_back(argv[++i]);
      blank(argv[i]);
    }
  }
  return words;
}

Result<ArchiveScene> archive_scene(const Globals& globals, const ArchiveOptions& options, std::string_view command) {
  auto installation = node::Installation::load(node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir)));
  if (!installation) return pass(installation);
  auto programs = backup::Programs::find(options.programs.empty() ? std::nullopt : std::optional(fs::path(options.programs)));
  if (!programs) return pass(programs);
  if (!options.password.empty()) warn(globals, phrase("-p: whoever lists processes could read the password; --password-file keeps it secret"));
  auto superuser = superuser_of(globals, *installation, options);
  if (!superuser) return pass(superuser);
  std::string database = node::Installation::kVersions;
  if (options.kept() == Kept::kSource) {
    auto source = installation->connection();
    if (!source) return pass(source);
    database = source->database.empty() ? source->user : source->database;
  }
  auto server = node::CommandServer::open(*installation, command);
  if (!server) return pass(server);
  return ArchiveScene{std::move(*installation), std::move(*programs), std::move(*server), std::move(database), std::move(*superuser)};
}

}  // namespace verbund::cli
