/// CLI11's own words in the user's language: the headings of --help, the refusal of a command line.
#include "cli/command.h"

namespace verbund::cli {
namespace {

/// "A: B" → "A"; CLI11 puts the option's name in front.
std::string name_in(std::string_view text) { return std::string(text.substr(0, text.find(": "))); }

/// CLI11 has no parts, only its English texts. Those that a person can meet here are taken apart, others stay as they are.
Phrase cause_of(const CLI::ParseError& error) {
  const std::string_view text = error.what();
  const auto kind = error.get_name();
  constexpr std::string_view kRequired = " is required";
  constexpr std::string_view kConvert = "Could not convert: ";
  if (kind == "RequiredError" && text == "A subcommand is required") return phrase("A subcommand is required");
  if (kind == "RequiredError" && text.ends_with(kRequired)) {
    return phrase("{} is required", text.substr(0, text.size() - kRequired.size()));
  }
  // Its name is that of the command that did not expect them.
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) && text.find(": ") != std::string_view::npos) {
    return phrase("The following argument was not expected: {}", text.substr(text.find(": ") + 2));
  }
  if (kind == "ConversionError" && text.starts_with(kConvert)) {
    return phrase("Could not convert: {}", text.substr(kConvert.size()));
  }
  if (kind == "ArgumentMismatch" && text.ends_with(" missing")) return phrase("{}: its value is missing", name_in(text));
  return verbatim(std::string(text));
}

/// "verbund user add": as far as the line was understood.
std::string understood(const CLI::App& app) {
  std::string words = app.get_name();
  for (const CLI::App* at = &app; !at->get_subcommands().empty(); words += " " + at->get_name()) at = at->get_subcommands().front();
  return words;
}

/// Of the subcommands and of their own --help, which CLI11 makes before it takes over the group of options.
void name_groups(CLI::App& app, const std::string& commands, const std::string& options) {
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    command->group(commands);
    if (auto* help = command->get_help_ptr()) help->group(options);
    name_groups(*command, commands, options);
  }
}

}  // namespace

void speak(CLI::App& app, const Globals& globals) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto& words = *app.get_formatter();
  words.label("Usage", text("Usage"));
  words.label("OPTIONS", text("OPTIONS"));
  words.label("SUBCOMMAND", text("SUBCOMMAND"));
  words.label("Positionals", text("Positionals"));
  words.label("REQUIRED", text("REQUIRED"));
  words.label("Env", text("Env"));
  words.label("Needs", text("Needs"));
  words.label("Excludes", text("Excludes"));
  // Subcommands inherit both; the option that is there already was made before.
  app.option_defaults()->group(text("Options"));
  app.set_help_flag("-h,--help", text("Print this help message and exit"));
}

void name_subcommands(CLI::App& app, const Globals& globals) {
  name_groups(app, std::string(translate(globals.language, "Subcommands")), std::string(translate(globals.language, "Options")));
}

CLI::Validator in_range(const Globals& globals, double low, double high) {
  const auto check = [&globals, low, high](const std::string& given) -> std::string {
    double value = 0;
    if (CLI::detail::lexical_cast(given, value) && value >= low && value <= high) return {};
    return translated(globals.language, "Value {} not in range {} to {}", given, low, high);
  };
  return {check, fmt::format("[{} - {}]", low, high)};
}

int report_usage(const CLI::App& app, const Globals& globals, const CLI::ParseError& error) {
  return report(globals, make_error(ErrorCode::kUsage, cause_of(error), phrase("`{} --help` shows what can stand there", understood(app))));
}

}  // namespace verbund::cli
