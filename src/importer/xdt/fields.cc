#include "importer/xdt/fields.h"

#include <array>
#include <utility>

namespace verbund::importer::xdt {

std::string_view text_field_name(int id) {
  constexpr std::array<std::pair<int, std::string_view>, 18> kNames{{{3654, "Risikofaktoren"},
                                                                    {3656, "Allergien"},
                                                                    {3658, "Unfälle"},
                                                                    {3660, "Operationen"},
                                                                    {3662, "Anamnese"},
                                                                    {3670, "Dauertherapie"},
                                                                    {6215, "Ärztemuster"},
                                                                    {6220, "Befund"},
                                                                    {6221, "Fremdbefund"},
                                                                    {6222, "Laborbefund"},
                                                                    {6225, "Röntgenbefund"},
                                                                    {6227, "Kommentar"},
                                                                    {6228, "Ergebnistabelle"},
                                                                    {6240, "Symptome"},
                                                                    {6260, "Therapie"},
                                                                    {6265, "Physikalische Therapie"},
                                                                    {6280, "Überweisung"},
                                                                    {6285, "Arbeitsunfähigkeit"}}};
  for (const auto& [known, name] : kNames) {
    if (known == id) return name;
  }
  return {};
}

std::string_view procedure_name(std::string_view code) {
  // The letters of field 8402 name the procedure, the two digits a variant that each maker counts differently.
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kNames{{{"ALLG", "Allgemeine Untersuchung"},
                                                                                {"AUDIO", "Audiometrie"},
                                                                                {"BDM", "Blutdruckmessung"},
                                                                                {"EKG", "EKG"},
                                                                                {"ERGO", "Ergometrie"},
                                                                                {"LUFU", "Lungenfunktion"},
                                                                                {"SONO", "Sonographie"},
                                                                                {"SPIRO", "Spirometrie"},
                                                                                {"LABO", "Labor"}}};
  const auto letters = code.substr(0, code.find_first_of("0123456789_"));
  if (code == "BDM01" || code == "BDM_01") return "Langzeit-Blutdruckmessung";
  for (const auto& [known, name] : kNames) {
    if (known == letters) return name;
  }
  return {};
}

}  // namespace verbund::importer::xdt
