#include "alarm/letters.h"

#include "platform/os/clock.h"

namespace verbund::alarm {
namespace {

/// Longer ones are cut: the text has it all.
constexpr std::size_t kMaxSubject = 160;

std::string in_one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  if (text.size() <= kMaxSubject) return text;
  std::size_t end = kMaxSubject;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not within a character
  return text.substr(0, end) + "…";
}

void list(std::string& out, const std::vector<State>& states, const std::string& title, Language language) {
  if (states.empty()) return;
  out += title + "\n";
  for (const auto& state : states) {
    out += fmt::format("\n  {}\n  {}\n", said(language, state.text), translated(language, "since {}", os::local_text(state.since)));
  }
  out += "\n";
}

std::string subject_of(const Letter& letter, const Config& config) {
  const auto& first = !letter.begun.empty() ? letter.begun : !letter.lasting.empty() ? letter.lasting : letter.ended;
  const std::string text = said(config.language, first.front().text);
  const std::string what = &first == &letter.begun     ? translated(config.language, "ALARM: {}", text)
                           : &first == &letter.lasting ? translated(config.language, "ALARM, still: {}", text)
                                                       : translated(config.language, "ended: {}", text);
  const auto more = letter.begun.size() + letter.lasting.size() + letter.ended.size() - 1;
  return in_one_line(config.office + ": " + what) + (more > 0 ? fmt::format(" (+{})", more) : "");
}

}  // namespace

mail::Mail mail_of(const Letter& letter, const Config& config) {
  const auto language = config.language;
  mail::Mail mail;
  mail.subject = subject_of(letter, config);
  list(mail.text, letter.begun, translated(language, "This needs somebody:"), language);
  list(mail.text, letter.lasting, translated(language, "This still needs somebody:"), language);
  list(mail.text, letter.ended, translated(language, "This has ended:"), language);
  mail.text += translated(language, "What holds now is shown by: verbund status") + "\n";
  return mail;
}

std::string paper_of(const std::vector<State>& begun, const Config& config, WallTime now) {
  std::string out = fmt::format("{}   {}\n\n", config.office, os::local_text(now));
  list(out, begun, translated(config.language, "This needs somebody:"), config.language);
  return out;
}

}  // namespace verbund::alarm
