// The report's parts, in words.
#include <algorithm>

#include "backup/report/report.h"
#include "backup/report/words.h"

namespace verbund::backup {
namespace {

/// So many names of a folder are listed; the set's manifest has them all.
constexpr std::size_t kMaxNames = 200;

class Writer {
 public:
  Writer(const Report& report, Language language, Detail detail) : report_(report), language_(language), detail_(detail), harmless_(report.harmless) {
    for (const auto& folder : report.folders) harmless_.insert(harmless_.end(), {folder.application, folder.root});
    for (const auto& size : report.sizes) harmless_.push_back(size.name);
    harmless_.insert(harmless_.end(), report.services_down.begin(), report.services_down.end());
    harmless_.insert(harmless_.end(), {report.id, report.path, report.medium_expected, report.medium_found, report.next_medium});
  }

  Document document() {
    Document out;
    out.title = text("Backup report");
    out.subtitle = report_.office;
    out.language = language_ == Language::kGerman ? "de" : "en";
    out.outcome = report_.outcome;
    out.verdict = fmt::format("{} – {}", translate(language_, outcome_msgid(report_.outcome)), verdict());
    for (auto section : {what_is_wrong(), run(), media(), verification(), people(), sizes(), files(), phases()}) {
      if (!section.lines.empty() || !section.facts.empty() || !section.rows.empty()) out.sections.push_back(std::move(section));
    }
    out.footer = fmt::format("Verbund {}, {}", report_.program_version, shown::moment(report_.ended, language_));
    return out;
  }

 private:
  using Section = Document::Section;

  template <typename... Args>
  std::string text(const char* msgid, const Args&... args) const {
    return translated(language_, msgid, args...);
  }
  std::string say(const Phrase& phrase) const { return said(language_, detail_ == Detail::kNames ? phrase : harmless_phrase(phrase, harmless_)); }
  std::string or_unknown(std::string text_given) const { return text_given.empty() ? text("not known") : text_given; }

  std::string verdict() const {
    switch (report_.outcome) {
      case Report::Outcome::kOk: return text("everything is saved and proven");
      case Report::Outcome::kIncomplete: return text("there is a set, but it does not hold everything");
      case Report::Outcome::kFailed: return report_.set_exists ? text("the set could not be proven: do not rely on it") : text("there is no new set");
      case Report::Outcome::kMissed: break;
    }
    return text("no run took place in this night");
  }

  Section what_is_wrong() const {
    Section section{text("What somebody has to look at"), {}, {}, {}, false, {}};
    for (const auto& name : report_.services_down) section.lines.push_back(text("SERVICE DOWN: {} could not be started. Start it by hand, or: verbund backup recover", name));
    if (report_.failure) {
      section.lines.push_back(say(phrase_of(*report_.failure)));
      if (detail_ == Detail::kCounts) section.lines.push_back(text("Failure \"{}\"; all its words stand in the report on the server: verbund backup report show {}", wire_name(report_.failure->code), report_.id));
      if (!report_.failure->hint_phrase.msgid.empty()) section.lines.push_back(say(report_.failure->hint_phrase));
    }
    // Names stand once, in the list below.
    for (const auto& folder : report_.folders) {
      const auto count = [&](const char* msgid, const std::vector<std::string>& names) {
        if (!names.empty()) section.lines.push_back(text(msgid, folder.application, names.size()));
      };
      count(msgid("{}: {} files or folders are missing"), folder.missing);
      count(msgid("{}: {} files changed while they were read"), folder.changed);
      count(msgid("{}: {} files can't be read"), folder.unreadable);
    }
    for (const auto& reason : report_.reasons) {
      if (!names_a_file(reason)) section.lines.push_back(say(reason));
    }
    if (!report_.medium_problem.msgid.empty()) section.lines.push_back(say(report_.medium_problem));
    return section;
  }
  /// Reasons that run_copies.cc gives for single files: the lists have them.
  static bool names_a_file(const Phrase& reason) {
    static constexpr std::string_view kOfFiles[] = {"{}: missing in {}: {}", "{}: changed while it was read, in {}: {}", "{}: can't be read, in {}: {}",
                                                    "{}: and {} more in {}"};
    return std::ranges::find(kOfFiles, reason.msgid) != std::end(kOfFiles);
  }

  Section run() const {
    Section section{text("Run"), {}, {}, {}, false, {}};
    if (!report_.night.empty()) section.facts.emplace_back(text("Data of"), shown::moment(report_.night, language_));
    if (report_.outcome == Report::Outcome::kMissed) return section;
    section.facts.emplace_back(text("Begun"), shown::moment(report_.begun, language_));
    section.facts.emplace_back(text("Took"), shown::span(report_.took, language_));
    section.facts.emplace_back(text("Machine"), report_.host);
    section.facts.emplace_back(text("Set"), report_.set_exists ? report_.id : text("none"));
    if (report_.set_exists) {
      section.facts.emplace_back(text("Lies in"), report_.path);
      section.facts.emplace_back(text("Size"), with_change(report_.stored_bytes, report_.stored_before));
      section.facts.emplace_back(text("Encrypted"), report_.sealed ? text("yes") : text("no"));
    }
    if (report_.services_were_down.count() > 0) section.facts.emplace_back(text("Services were down for"), shown::span(report_.services_were_down, language_));
    return section;
  }
  std::string with_change(std::uint64_t now, std::optional<std::uint64_t> before) const {
    const auto size = shown::bytes(now, language_);
    return before ? fmt::format("{} ({})", size, shown::change(now, before, language_)) : size;
  }

  Section media() const {
    Section section{text("Medium"), {}, {}, {}, false, {}};
    if (!report_.medium_expected.empty()) section.facts.emplace_back(text("Expected"), report_.medium_expected);
    section.facts.emplace_back(text("Written to"), report_.medium_found.empty() ? text("no medium with a label") : report_.medium_found);
    if (!report_.next_medium.empty() || !report_.next_at.empty()) {
      const auto when = report_.next_at.empty() ? std::string() : shown::moment(report_.next_at, language_);
      section.facts.emplace_back(text("Next"), report_.next_medium.empty() ? when : when.empty() ? report_.next_medium : fmt::format("{} ({})", report_.next_medium, when));
    }
    section.facts.emplace_back(text("Last copy outside the house"),
                               report_.off_site_at.empty() ? text("none")
                                                           : shown::moment(report_.off_site_at, language_) + (report_.off_site_target.empty() ? "" : ", " + report_.off_site_target));
    section.facts.emplace_back(text("Last drill"), report_.drill_at.empty() ? text("none") : shown::moment(report_.drill_at, language_));
    return section;
  }

  std::string level_text(Level level) const {
    switch (level) {
      case Level::kNone: return text("not proven");
      case Level::kExitCodes: return text("L0, written without an error");
      case Level::kHashes: return text("L1, hashes and signature are right");
      case Level::kReadable: return text("L2, every archive can be read");
      case Level::kFromMedium: return text("L3, read back from the medium");
      case Level::kRestored: return text("L4, restored for a trial, every table the same");
      case Level::kElsewhere: break;
    }
    return text("L5, restored on another system");
  }
  Section verification() const {
    Section section{text("Proof"), {}, {}, {}, false, {}};
    if (!report_.set_exists) return section;
    section.facts.emplace_back(text("Reached"), level_text(report_.reached));
    if (report_.wanted > report_.reached) section.facts.emplace_back(text("Wanted"), level_text(report_.wanted));
    if (!report_.not_higher.msgid.empty()) section.facts.emplace_back(text("Why not higher"), say(report_.not_higher));
    return section;
  }

  Section people() const {
    Section section{text("People"), {}, {}, {}, false, {}};
    if (report_.responsible.empty() && report_.deputy.empty()) {
      section.lines.push_back(text("Nobody is named as responsible: verbund backup duty set"));
      return section;
    }
    section.facts.emplace_back(text("Responsible"), or_unknown(report_.responsible));
    section.facts.emplace_back(text("Deputy"), or_unknown(report_.deputy));
    return section;
  }

  Section sizes() const {
    Section section{text("Contents"), {}, {}, {text("What"), text("Files"), text("Bytes"), text("Against last run")}, true, {}};
    for (const auto& size : report_.sizes) {
      const auto name = size.database ? text("database {}", size.name) : size.name;
      section.rows.push_back({name, size.database ? "" : std::to_string(size.files), shown::bytes(size.bytes, language_), shown::change(size.bytes, size.before, language_)});
    }
    return section;
  }

  Section files() const {
    Section section{text("Missing and changed files"), {}, {}, {text("Application"), text("What"), text("Name")}, false, {}};
    if (detail_ == Detail::kCounts) {
      if (!report_.folders.empty()) section.lines.push_back(text("Their names stand in the report on the server: verbund backup report show {}", report_.id));
      return section;
    }
    for (const auto& folder : report_.folders) {
      add_names(section, folder, text("missing"), folder.missing);
      add_names(section, folder, text("changed"), folder.changed);
      add_names(section, folder, text("unreadable"), folder.unreadable);
    }
    return section;
  }
  void add_names(Section& section, const Report::Folder& folder, const std::string& what, const std::vector<std::string>& names) const {
    for (std::size_t i = 0; i < std::min(names.size(), kMaxNames); ++i) section.rows.push_back({folder.application, what, folder.root + "/" + names[i]});
    if (names.size() > kMaxNames) section.rows.push_back({folder.application, what, text("and {} more", names.size() - kMaxNames)});
  }

  Section phases() const {
    Section section{text("Phases"), {}, {}, {text("What"), text("Begun"), text("Took")}, true, {}};
    for (const auto& phase : report_.phases) section.rows.push_back({say(phase.what), shown::clock(phase.begun), shown::span(phase.took, language_)});
    return section;
  }

  const Report& report_;
  Language language_;
  Detail detail_;
  std::vector<std::string> harmless_;
};

}  // namespace

std::string_view outcome_name(Report::Outcome outcome) {
  static constexpr std::string_view kNames[] = {"ok", "incomplete", "failed", "missed"};
  return kNames[static_cast<std::size_t>(outcome)];
}

const char* outcome_msgid(Report::Outcome outcome) {
  static constexpr const char* kTexts[] = {msgid("OK"), msgid("INCOMPLETE"), msgid("FAILED"), msgid("MISSED")};
  return kTexts[static_cast<std::size_t>(outcome)];
}

std::string subject_of(const Report& report, Language language) {
  const auto when = report.night.empty() ? shown::day(report.begun, language) : shown::moment(report.night, language);
  const auto medium = report.medium_found.empty() ? translated(language, "no medium") : report.medium_found;
  std::string out = fmt::format("{}: {}, {}, {}", translate(language, outcome_msgid(report.outcome)), report.office, when, medium);
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

Document document_of(const Report& report, Language language, Detail detail) { return Writer(report, language, detail).document(); }

}  // namespace verbund::backup
