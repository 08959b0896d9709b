/// verbund backup key new, export, import, sheet, signer, trust: who may open encrypted sets, and whose sets are believed.
#include <iostream>

#include "cli/backup.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string file, name, office, key;
  bool html = false;
};

Status refuse_existing(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  return fail(ErrorCode::kAlreadyExists, phrase("write {}: it is there already", file.string()), phrase("A key that is overwritten opens no set any more."));
}

void print_recipient(const Globals& globals, const backup::Recipient& recipient) {
  if (globals.json) {
    fmt::print("{{\"recipient\":{}}}\n", json_string(recipient.text()));
    return;
  }
  fmt::print("{}\n", recipient.text());
}

int make(const Globals& globals, const Options& options) {
  if (auto free = refuse_existing(options.file); !free) return report(globals, free.error());
  const os::SystemClock clock;
  const auto key = backup::RecipientKey::generate(options.name, clock.wall());
  if (auto saved = key.save(options.file); !saved) return report(globals, saved.error());
  print_recipient(globals, key.recipient());
  if (!globals.json) {
    fmt::print(stderr, "{}\n", translated(globals.language, "Put this line into config/backup.toml, [encryption] recipients. Print the sheet and lock it away: verbund backup key sheet {}",
                                          options.file));
  }
  return 0;
}

int show_public(const Globals& globals, const Options& options) {
  auto key = backup::RecipientKey::load(options.file);
  if (!key) return report(globals, key.error());
  print_recipient(globals, key->recipient());
  return 0;
}

/// The sheet's groups, typed or scanned, to the end of standard input.
int import(const Globals& globals, const Options& options) {
  if (auto free = refuse_existing(options.file); !free) return report(globals, free.error());
  if (!globals.json) fmt::print(stderr, "{}\n", translated(globals.language, "Type the groups of the recovery sheet, then an empty line:"));
  std::string text, line;
  while (std::getline(std::cin, line) && !line.empty()) text += line + " ";
  auto key = backup::RecipientKey::from_recovery_text(text);
  if (!key) return report(globals, key.error());
  if (auto saved = key->save(options.file); !saved) return report(globals, saved.error());
  print_recipient(globals, key->recipient());
  return 0;
}

int sheet(const Globals& globals, const Options& options) {
  auto key = backup::RecipientKey::load(options.file);
  if (!key) return report(globals, key.error());
  backup::SheetWords words;
  words.office = options.office;
  // Without an installation at hand the sheet is made all the same.
  if (const auto dir = node::Installation::find(globals.dir.empty() ? std::nullopt : std::optional(globals.dir)); node::Installation::exists(dir)) {
    auto signer = backup::signing_key(dir);
    if (!signer) return report(globals, signer.error());
    words.signer = signer->public_key();
  }
  fmt::print("{}", options.html ? backup::recovery_sheet_html(*key, words) : backup::recovery_sheet_text(*key, words));
  return 0;
}

int signer(const Globals& globals) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto key = backup::signing_key(at_hand->office.directory);
  if (!key) return report(globals, key.error());
  fmt::print("{}", globals.json ? fmt::format("{{\"signer\":{}}}\n", json_string(key->public_key().text())) : key->public_key().file_text());
  return 0;
}

int trust(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  std::string text = options.key;
  if (std::error_code error; fs::exists(options.key, error)) {
    auto read = os::read_file(options.key, 4096);
    if (!read) return report(globals, read.error());
    text = std::move(*read);
  }
  auto key = backup::PublicKey::parse(text);
  if (!key) return report(globals, key.error());
  const auto folder = at_hand->office.directory / "backup" / "trusted";
  if (auto made = os::make_directories(folder, 0700); !made) return report(globals, made.error());
  if (auto written = os::write_file_atomically(folder / (key->id_text() + ".pub"), key->file_text()); !written) return report(globals, written.error());
  if (!globals.json) fmt::print("{}\n", translated(globals.language, "sets signed by {} are believed from now on", key->id_text()));
  return 0;
}

}  // namespace

void add_backup_key(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* keys = backup.add_subcommand("key", text("keys: who may open encrypted sets, whose sets are believed"));
  keys->require_subcommand(1);
  const auto add = [&](const char* name, std::string what, int (*task)(const Globals&, const Options&)) {
    auto* command = keys->add_subcommand(name, std::move(what));
    command->callback([&globals, run, options, task] { run([&globals, options, task] { return task(globals, *options); }); });
    return command;
  };
  auto* made = add("new", text("make a key for somebody who may open encrypted sets; prints the public line"), make);
  made->add_option("file", options->file, text("where the private key goes (0600); keep it outside the office"))->required();
  made->add_option("--name", options->name, text("whose key it is"))->required();
  auto* shown = add("export", text("print the public line of a private key"), show_public);
  auto* typed = add("import", text("make the private key from the groups of its recovery sheet, read from standard input"), import);
  auto* printed = add("sheet", text("the recovery sheet: the private key on one page to print and lock away"), sheet);
  for (auto* command : {shown, typed, printed}) command->add_option("file", options->file, text("file of the private key"))->required();
  printed->add_flag("--html", options->html, text("as a page for the browser, which prints on one A4 page"));
  printed->add_option("--office", options->office, text("whose sets they are, for the sheet"));
  add("signer", text("print the public key that this installation signs its sets with"), [](const Globals& g, const Options&) { return signer(g); });
  auto* believed = add("trust", text("believe sets of another installation"), trust);
  believed->add_option("key", options->key, text("its public key, or a file that holds it"))->required();
}

}  // namespace verbund::cli
