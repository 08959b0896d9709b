#include "backup/restore_text.h"

#include <algorithm>

namespace verbund::backup {
namespace {

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string parts_of(const Member& member) {
  if (member.parts.size() == 1) return member.parts.front();
  const std::string& first = member.parts.front();
  return first.substr(0, first.size() - 3) + "[0-9]*";
}

std::string rebuild_line(const Member& member) {
  return fmt::format("    cat {}{} | zstd -dc > \"$OUT\"/{}\n", parts_of(member), member.sealed ? " | age -d -i \"$KEY\"" : "", member.name);
}

/// The commands of the step that makes plain files again: the same in both languages.
std::string rebuild_lines(const Manifest& manifest) {
  std::string out = "    set -o pipefail\n    OUT=/var/tmp/restored\n";
  if (!manifest.recipients.empty()) out += "    KEY=/root/key.txt\n";
  std::vector<std::string> directories;
  for (const Member& member : manifest.members) {
    const std::size_t slash = member.name.rfind('/');
    if (slash != std::string::npos) directories.push_back(member.name.substr(0, slash));
  }
  std::ranges::sort(directories);
  directories.erase(std::ranges::unique(directories).begin(), directories.end());
  out += "    mkdir -p -m 700 \"$OUT\"\n";
  for (const std::string& name : directories) out += fmt::format("    mkdir -p \"$OUT\"/{}\n", name);
  for (const Member& member : manifest.members) out += rebuild_line(member);
  return out;
}

/// The files are root's, whom PostgreSQL's superuser is not: they come through standard input.
std::string database_lines(const Manifest& manifest) {
  std::string out;
  for (const Member& member : manifest.members) {
    if (member.content == Content::kGlobals) out += fmt::format("    runuser -u postgres -- psql -X -d postgres < \"$OUT\"/{}\n", member.name);
  }
  for (const DatabaseEntry& database : manifest.databases) {
    out += fmt::format("    runuser -u postgres -- pg_restore --create --exit-on-error -d postgres < \"$OUT\"/{}\n", database.member);
  }
  return out.empty() ? "    -\n" : out;
}

std::string database_list(const Manifest& manifest) {
  std::string out;
  for (const DatabaseEntry& database : manifest.databases) {
    out += fmt::format("   - {}: {} (PostgreSQL {}, owner {}, {}, {})\n", database.member, shell_quoted(database.name), database.server_version / 10'000,
                       shell_quoted(database.owner), database.encoding, database.locale);
  }
  return out;
}

std::string folder_lines(const Manifest& manifest) {
  std::string out;
  for (const FolderEntry& folder : manifest.folders) {
    const std::string into = "/var/tmp/restored/" + folder.member + ".d";
    out += fmt::format("    mkdir -p {0}\n    LC_ALL=C tar -x -p --acls --xattrs --xattrs-include='*' --numeric-owner -f \"$OUT\"/{1} -C {0}\n", into, folder.member);
  }
  return out.empty() ? "    -\n" : out;
}

constexpr std::string_view kGermanHead = R"(Dies ist eine Sicherung von Verbund. Alles darin sind gebräuchliche Formate: Man braucht Verbund nicht,
um sie zurückzuholen. Um vier Stellen eingerückte Zeilen sind Befehle für ein Linux-Terminal (bash), als
root, in diesem Verzeichnis, der Reihe nach. English: see below.

0. Programme (Debian 12):
    apt install coreutils zstd minisign age tar postgresql postgresql-client

1. Ist alles unversehrt? Jede Zeile muss „OK“ sagen:
    sha256sum -c SHA256SUMS
   Ist es von uns? Der öffentliche Schlüssel muss der bekannte sein (er steht auf dem
   Wiederherstellungsblatt), sonst beweist die Unterschrift nichts:
)";

constexpr std::string_view kGermanSealed = R"(
2. Diese Sicherung ist verschlüsselt. Einer dieser Empfänger kann sie öffnen:
{}   Den geheimen Schlüssel (Wiederherstellungsblatt, die Zeile AGE-SECRET-KEY-1…) als einzige Zeile in
   die Datei /root/key.txt schreiben, dann:
    chmod 600 /root/key.txt
   Das ganze Verzeichnis der Sicherung (mit Datenbanken, Ordnern, Prüfsummen) steht nach Schritt 3 in
   der Datei {}.
)";

constexpr std::string_view kGermanOpen = "\n2. Diese Sicherung ist nicht verschlüsselt.\n";
constexpr std::string_view kEnglishOpen = "\n2. This set is not encrypted.\n";

constexpr std::string_view kGermanSteps = R"(
3. Die Dateien wiederherstellen (genug Platz in /var/tmp, oder OUT ändern):
{0}
4. Datenbanken, auf einem leeren Server der genannten oder einer neueren Fassung, der läuft. Meldungen,
   dass es eine Rolle schon gibt oder ein Verzeichnis nicht betreten werden kann, sind harmlos:
{1}{2}
5. Ordner der Anwendungen. In ein leeres Verzeichnis auspacken und nur das Benötigte an seinen Ort
   bringen; vorher die Dienste anhalten und Vorhandenes umbenennen, nie hineinmischen:
{3}
   Die Anwendung muss dieselbe Programmfassung haben wie hier:
{4}
6. Danach löschen: /var/tmp/restored (enthält Kennwort-Prüfwerte und Patientendaten){5}.
)";

constexpr std::string_view kEnglishHead = R"(This is a backup set of Verbund. Everything in it is of a common format: Verbund is not needed to bring
it back. Lines indented by four are commands for a Linux terminal (bash), as root, in this directory, in
their order.

0. Programs (Debian 12):
    apt install coreutils zstd minisign age tar postgresql postgresql-client

1. Is everything whole? Every line must say "OK":
    sha256sum -c SHA256SUMS
   Is it ours? The public key must be the known one (it stands on the recovery sheet), or the signature
   proves nothing:
)";

constexpr std::string_view kEnglishSealed = R"(
2. This set is encrypted. One of these recipients can open it:
{}   Write the secret key (recovery sheet, the line AGE-SECRET-KEY-1…) as the only line into the file
   /root/key.txt, then:
    chmod 600 /root/key.txt
   After step 3 the whole manifest (databases, folders, hashes) is in the file {}.
)";

constexpr std::string_view kEnglishSteps = R"(
3. Make the files again (enough space in /var/tmp, or change OUT):
{0}
4. Databases, on an empty server of the version named here or a newer one, which runs. Messages that a role
   exists already, or that a directory can't be entered, are harmless:
{1}{2}
5. Folders of the applications. Unpack into an empty directory and move only what is needed to its place;
   before that stop the services and rename what is there, never mix:
{3}
   The application must be of the same version as here:
{4}
6. Delete afterwards: /var/tmp/restored (password verifiers and patients' data are in it){5}.
)";

struct Words {
  std::string_view head, sealed, open, steps, and_the_key;
};

std::string in_one_language(const Manifest& manifest, const PublicKey& signer, const Words& words) {
  std::string out(words.head);
  out += fmt::format("    minisign -Vm SHA256SUMS -p signing-key.pub\n   {}  ({})\n", signer.text(), signer.id_text());
  const bool sealed = !manifest.recipients.empty();
  std::string recipients;
  for (const std::string& recipient : manifest.recipients) recipients += fmt::format("   - {}\n", recipient);
  out += sealed ? fmt::format(fmt::runtime(words.sealed), recipients, manifest.details) : std::string(words.open);
  std::string versions;
  for (const FolderEntry& folder : manifest.folders) {
    versions += fmt::format("   - {}: {} {}\n", folder.member, folder.application, folder.version.empty() ? "(?)" : folder.version);
  }
  return out + fmt::format(fmt::runtime(words.steps), rebuild_lines(manifest), database_list(manifest), database_lines(manifest), folder_lines(manifest),
                           versions, sealed ? words.and_the_key : "");
}

}  // namespace

std::string restore_text(const Manifest& manifest, const PublicKey& signer) {
  std::string out = fmt::format("Sicherung / backup set {}, {}\n", manifest.id, to_iso8601(manifest.begun));
  if (!manifest.complete) out += "UNVOLLSTÄNDIG / INCOMPLETE: manifest.json, \"reasons\"\n";
  out += "\n=== Deutsch ===\n\n" + in_one_language(manifest, signer, {kGermanHead, kGermanSealed, kGermanOpen, kGermanSteps, " und /root/key.txt"});
  return out + "\n=== English ===\n\n" + in_one_language(manifest, signer, {kEnglishHead, kEnglishSealed, kEnglishOpen, kEnglishSteps, " and /root/key.txt"});
}

}  // namespace verbund::backup
