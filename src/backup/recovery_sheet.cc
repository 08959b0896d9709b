// The page to print. Both languages stand on it: whoever needs it may read only one of them.
#include "backup/keys.h"

namespace verbund::backup {
namespace {

constexpr std::size_t kGroupsPerLine = 5;

/// Five groups a line, each line with the number of its first group.
std::string numbered_groups(const std::string& text) {
  std::string out;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size(); ++number) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (number % kGroupsPerLine == 0) out += fmt::format("{}    {:>2}:", number == 0 ? "" : "\n", number + 1);
    out += "   " + text.substr(at, end - at);
    at = end + 1;
  }
  return out + "\n";
}

std::string signer_line(const SheetWords& words, std::string_view label) {
  return words.signer ? fmt::format("{}{} ({})\n", label, words.signer->text(), words.signer->id_text()) : std::string();
}

constexpr std::string_view kGerman = R"(
Wer dieses Blatt hat, kann alle verschlüsselten Sicherungen öffnen, die für
diesen Schlüssel gemacht sind. Getrennt von den Sicherungen verschließen.
Verlorenes Blatt: neuen Schlüssel erzeugen, alten Empfänger streichen.

Benutzen mit Verbund:  verbund backup key import   (Gruppen eintippen; die
letzte Stelle jeder Gruppe ist ihre Prüfstelle; Groß- und Kleinschreibung
und Leerzeichen sind gleichgültig; ein Tippfehler wird mit seiner Gruppe
gemeldet; es gibt kein O und kein I, nur die Null und das L).
Benutzen ohne Verbund: die Zeile AGE-SECRET-KEY-1… als einzige Zeile in eine
Datei schluessel.txt schreiben, dann der RESTORE.txt der Sicherung folgen:
  age -d -i schluessel.txt DATEI.age > DATEI
)";

constexpr std::string_view kEnglish = R"(
Whoever has this sheet can open all encrypted backup sets that were made for
this key. Lock it away, apart from the sets. If it is lost: make a new key,
strike the old recipient off.

With Verbund:     verbund backup key import   (type the groups; the last place
of each is its check letter; case and blanks don't matter; a typing error is
reported with its group; there is no O and no I, only zero and L).
Without Verbund:  write the line AGE-SECRET-KEY-1… as the only line into a
file key.txt, then follow RESTORE.txt of the backup set:
  age -d -i key.txt FILE.age > FILE
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else out += c;
  }
  return out;
}

}  // namespace

std::string recovery_sheet_text(const RecipientKey& key, const SheetWords& words) {
  const Recipient recipient = key.recipient();
  std::string out = "WIEDERHERSTELLUNGSBLATT / RECOVERY SHEET                             Verbund\n\n";
  out += fmt::format("Sicherungen von / sets of:    {}\n", words.office);
  out += fmt::format("Schlüssel von / key of:       {}\n", recipient.name);
  out += fmt::format("seit / since:                 {}\n", key.since());
  out += fmt::format("Empfänger / recipient:\n    {}\n", recipient.age());
  out += signer_line(words, "Unterschrieben mit / signed with:\n    ");
  out += "\nGEHEIMER SCHLÜSSEL / SECRET KEY\n\n";
  out += numbered_groups(key.recovery_text());
  out += fmt::format("\n    {}\n", key.age_text());
  out += kGerman;
  out += kEnglish;
  out += "\nUnterschrift / signature: ______________________   Ort / kept at: ______________________\n";
  return out;
}

std::string recovery_sheet_html(const RecipientKey& key, const SheetWords& words) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"de\"><head><meta charset=\"utf-8\"><title>Verbund: Wiederherstellungsblatt / recovery sheet</title>\n"
      "<style>@page {{ size: A4; margin: 18mm 15mm }} body {{ margin: 0 }}\n"
      "pre {{ font: 9.5pt/1.35 monospace; white-space: pre-wrap; overflow-wrap: anywhere }}</style></head>\n<body><pre>{}</pre></body></html>\n",
      escaped(recovery_sheet_text(key, words)));
}

}  // namespace verbund::backup
