#pragma once
/// Word lists of the synthetic patients: common names and places, combined at random. Not for other folders.
#include <array>
#include <string_view>

namespace verbund::importer::words {

inline constexpr std::array<std::string_view, 48> kFamilies{
    "Müller",   "Schmidt", "Schneider", "Fischer",  "Weber",  "Meyer",   "Wagner",  "Becker", "Schulz",  "Hoffmann",
    "Schäfer",  "Koch",    "Bauer",     "Richter",  "Klein",  "Wolf",    "Schröder", "Neumann", "Schwarz", "Zimmermann",
    "Braun",    "Krüger",  "Hofmann",   "Hartmann", "Lange",  "Schmitt", "Werner",  "Krause", "Meier",   "Lehmann",
    "Köhler",   "Maier",   "König",     "Yılmaz",   "Großmann", "Böhm",  "Jäger",   "Günther", "Weiß",   "Öztürk",
    "Kowalski", "Nguyen",  "Ivanović",  "von Beust", "Strauß", "Kühn",   "Dörr",    "Schütte"};
inline constexpr std::array<std::string_view, 24> kWomen{
    "Anna", "Maria", "Ursula", "Renate", "Sabine", "Käthe", "Jürgine", "Petra", "Monika", "Ayşe", "Lena", "Sophie",
    "Emma", "Hannah", "Mia", "Christa", "Ingrid", "Helga", "Gisela", "Anneliese", "Zoë", "Bärbel", "Karin", "Mareike"};
inline constexpr std::array<std::string_view, 24> kMen{
    "Peter", "Hans", "Jürgen", "Wolfgang", "Klaus", "Günter", "Rüdiger", "Thomas", "Michael", "Andreas", "Stefan", "Björn",
    "Jörg", "Lukas", "Leon", "Paul", "Mehmet", "Heinz", "Karl-Heinz", "Götz", "Sören", "Dieter", "Uwe", "Matthias"};
inline constexpr std::array<std::string_view, 20> kStreets{
    "Hauptstraße", "Bahnhofstraße", "Gartenweg", "Schulstraße", "Dorfstraße", "Lindenallee", "Mühlenweg", "Am Brückentor",
    "Kirchgasse", "Bergstraße", "Goethestraße", "Schillerplatz", "Rosenweg", "Am Grünen Ring", "Ziegelhüttenweg", "Südring",
    "Blütenstraße", "Poststraße", "Wiesengrund", "Königsallee"};

struct Town {
  std::string_view postal_code, name, area_code;
};
inline constexpr std::array<Town, 16> kTowns{{{"80331", "München", "089"},     {"50667", "Köln", "0221"},
                                              {"40213", "Düsseldorf", "0211"}, {"90402", "Nürnberg", "0911"},
                                              {"48143", "Münster", "0251"},    {"97070", "Würzburg", "0931"},
                                              {"37073", "Göttingen", "0551"},  {"23552", "Lübeck", "0451"},
                                              {"07743", "Jena", "03641"},      {"02826", "Görlitz", "03581"},
                                              {"72070", "Tübingen", "07071"},  {"69117", "Heidelberg", "06221"},
                                              {"24103", "Kiel", "0431"},       {"03046", "Cottbus", "0355"},
                                              {"99084", "Erfurt", "0361"},     {"66111", "Saarbrücken", "0681"}}};

/// ICD-10-GM code and name.
struct Diagnosis {
  std::string_view code, name;
  unsigned from_age;
};
inline constexpr std::array<Diagnosis, 16> kDiagnoses{{{"I10.90", "Essentielle Hypertonie", 40},
                                                       {"E11.90", "Diabetes mellitus, Typ 2", 45},
                                                       {"J06.9", "Akute Infektion der oberen Atemwege", 0},
                                                       {"M54.5", "Kreuzschmerz", 18},
                                                       {"E78.0", "Reine Hypercholesterinämie", 35},
                                                       {"J45.9", "Asthma bronchiale", 4},
                                                       {"F32.1", "Mittelgradige depressive Episode", 16},
                                                       {"I48.9", "Vorhofflimmern", 60},
                                                       {"K21.0", "Gastroösophageale Refluxkrankheit", 25},
                                                       {"M17.9", "Gonarthrose", 50},
                                                       {"J30.1", "Allergische Rhinopathie durch Pollen", 5},
                                                       {"I50.13", "Linksherzinsuffizienz, NYHA-Stadium III", 65},
                                                       {"L20.8", "Atopisches Ekzem", 0},
                                                       {"G43.0", "Migräne ohne Aura", 14},
                                                       {"L89.24", "Dekubitus 3. Grades, Kreuzbein", 75},
                                                       {"E03.9", "Hypothyreose", 30}}};

/// ATC code, name, dosage.
struct Drug {
  std::string_view code, name, dosage;
};
inline constexpr std::array<Drug, 12> kDrugs{{{"C09AA05", "Ramipril 5 mg Tabletten", "1-0-0"},
                                              {"A10BA02", "Metformin 1000 mg Filmtabletten", "1-0-1"},
                                              {"C10AA01", "Simvastatin 20 mg Filmtabletten", "0-0-1"},
                                              {"M01AE01", "Ibuprofen 600 mg Filmtabletten", "bei Bedarf, höchstens 3 am Tag"},
                                              {"A02BC02", "Pantoprazol 40 mg Tabletten", "1-0-0, vor dem Frühstück"},
                                              {"C07AB02", "Metoprolol 47,5 mg Retardtabletten", "1-0-0"},
                                              {"H03AA01", "Levothyroxin 75 µg Tabletten", "1-0-0, nüchtern"},
                                              {"R03AC02", "Salbutamol Dosieraerosol", "bei Atemnot 1–2 Hübe"},
                                              {"B01AF02", "Apixaban 5 mg Filmtabletten", "1-0-1"},
                                              {"C03CA04", "Torasemid 10 mg Tabletten", "1-0-0"},
                                              {"N02BB02", "Metamizol Tropfen", "20 Tropfen bei Schmerzen"},
                                              {"N06AB10", "Escitalopram 10 mg Filmtabletten", "1-0-0"}}};

}  // namespace verbund::importer::words
