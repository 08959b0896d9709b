#include "cluster/settings.h"

#include <array>
#include <functional>

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::cluster {

namespace {

struct NumberKey {
  const char* key;
  std::int64_t fallback, low, high;
  const char* german;
  const char* english;
  void (*set)(Settings&, std::int64_t);
};

milliseconds ms(std::int64_t count) { return milliseconds{count}; }

// Defaults are those of Settings; a test compares them.
constexpr std::array kNumbers{
    NumberKey{"ports.first", 2223, 1024, 65535, "Betriebsart Terminalservice: erster Port des Bereichs.",
              "Mode Terminalservice: first port of the range.",
              [](Settings& s, std::int64_t v) { s.first_port = static_cast<std::uint16_t>(v); }},
    NumberKey{"ports.count", 50, 1, 10'000,
              "Betriebsart Terminalservice: Anzahl der Ports; begrenzt die Zahl gleichzeitiger Arbeitsplätze.",
              "Mode Terminalservice: number of ports; bounds the number of simultaneous workstations.",
              [](Settings& s, std::int64_t v) { s.port_count = static_cast<std::uint16_t>(v); }},
    NumberKey{"ports.accept.ms", 10'000, 1000, 120'000,
              "So lange wartet ein zugeteilter Port auf seinen Arbeitsplatz.",
              "How long an assigned port waits for its workstation.",
              [](Settings& s, std::int64_t v) { s.accept_timeout = ms(v); }},
    NumberKey{"heartbeat.ms", 5000, 500, 60'000, "Abstand der Lebenszeichen eines Arbeitsplatzes.",
              "Interval between a workstation's heartbeats.",
              [](Settings& s, std::int64_t v) { s.heartbeat = ms(v); }},
    NumberKey{"suspect.ms", 10'000, 1000, 120'000,
              "Nach so langer Stille gilt ein Arbeitsplatz als fraglich (mindestens heartbeat.ms).",
              "After so long a silence a workstation is suspect (at least heartbeat.ms).",
              [](Settings& s, std::int64_t v) { s.suspect = ms(v); }},
    NumberKey{"lease.ms", 30'000, 2000, 600'000,
              "So lange darf ein Arbeitsplatz ohne beantwortetes Lebenszeichen noch schreiben (über suspect.ms).",
              "How long a workstation may go on writing without an answered heartbeat (more than suspect.ms).",
              [](Settings& s, std::int64_t v) { s.lease = ms(v); }},
    NumberKey{"reconnect.ms", 35'000, 3000, 660'000,
              "Nach einem Verbindungsabbruch bleiben Arbeitssperren so lange erhalten (mindestens lease.ms + 1000).",
              "After a torn connection work locks are kept so long (at least lease.ms + 1000).",
              [](Settings& s, std::int64_t v) { s.reconnect = ms(v); }},
    NumberKey{"reconnect.jitter.ms", 500, 0, 60'000,
              "Neue Verbindungen nach einem Abbruch werden zufällig über diese Zeit verteilt.",
              "Reconnecting workstations spread at random over this time.",
              [](Settings& s, std::int64_t v) { s.jitter = ms(v); }},
    NumberKey{"release.wait.ms", 2000, 0, 30'000,
              "So lange wartet das Freigeben einer Arbeitssperre höchstens auf die Meldung ihrer Änderungen.",
              "How long the release of a work lock waits at most for the notice of its changes.",
              [](Settings& s, std::int64_t v) { s.release_wait = ms(v); }},
    NumberKey{"sessions.max", 20'000, 1, 1'000'000, "Höchstzahl gleichzeitig angemeldeter Programme.",
              "Most programs registered at the same time.",
              [](Settings& s, std::int64_t v) { s.max_sessions = static_cast<std::size_t>(v); }},
    NumberKey{"locks.per.session.max", 4096, 1, 100'000,
              "Höchstzahl der Arbeitssperren, die ein Arbeitsplatz hält oder erwartet.",
              "Most work locks that one workstation holds or waits for.",
              [](Settings& s, std::int64_t v) { s.max_locks_per_session = static_cast<std::size_t>(v); }},
};

constexpr const char* kModeGerman =
    "Betriebsart: Shared (ein Port, beliebig viele Arbeitsplätze je Adresse), Client-Server (ein Port, ein\n"
    "# Arbeitsplatz je IP-Adresse), Terminalservice (jedem Arbeitsplatz ein eigener Port aus einem Bereich).";
constexpr const char* kModeEnglish =
    "Mode: Shared (one port, any number of workstations per address), Client-Server (one port, one workstation\n"
    "# per IP address), Terminalservice (each workstation gets a port of its own out of a range).";
constexpr const char* kReadGerman = "Darf ein Datensatz, den ein anderer bearbeitet, zum Lesen geöffnet werden?";
constexpr const char* kReadEnglish = "May a record that somebody else edits be opened for reading?";

Status check_order(const os::ConfigFile& file, const Settings& settings) {
  const auto refuse = [&](const char* key, milliseconds value, const Phrase& rule) {
    return fail(ErrorCode::kBadConfig, phrase("{}: {} = {}: {}", file.name(), key, value.count(), rule),
                phrase("the order is heartbeat.ms <= suspect.ms < lease.ms < reconnect.ms"));
  };
  if (settings.suspect < settings.heartbeat) return refuse("suspect.ms", settings.suspect, phrase("below heartbeat.ms"));
  if (settings.lease <= settings.suspect) return refuse("lease.ms", settings.lease, phrase("must be above suspect.ms"));
  if (settings.reconnect < settings.lease + seconds{1}) {
    return refuse("reconnect.ms", settings.reconnect, phrase("must be at least lease.ms + 1000"));
  }
  if (settings.first_port + settings.port_count - 1 > 65535) {
    return fail(ErrorCode::kBadConfig,
                phrase("{}: ports.count = {}: the range from {} on ends above 65535", file.name(),
                            settings.port_count, settings.first_port),
                phrase("lower ports.first or ports.count"));
  }
  return {};
}

}  // namespace

Result<Settings> read_settings(os::ConfigFile& file) {
  Settings settings;
  auto mode = file.choice("mode", "Shared", {"Shared", "Client-Server", "Terminalservice"});
  if (!mode) return pass(mode);
  // `choice` takes any case of letters; the first letter tells the three apart.
  const char first = mode->empty() ? 's' : static_cast<char>((*mode)[0] | 0x20);
  settings.mode = first == 'c'   ? protocol::Mode::kClientServer
                  : first == 't' ? protocol::Mode::kTerminalservice
                                 : protocol::Mode::kShared;
  auto read = file.boolean("read.while.locked", true);
  if (!read) return pass(read);
  settings.read_while_locked = *read;
  for (const auto& number : kNumbers) {
    auto value = file.integer(number.key, number.fallback, number.low, number.high);
    if (!value) return pass(value);
    number.set(settings, *value);
  }
  if (auto unknown = file.refuse_unknown(); !unknown) return pass(unknown);
  if (auto order = check_order(file, settings); !order) return pass(order);
  return settings;
}

std::string default_properties() {
  std::string text =
      "# Verbund: wie Arbeitsplätze aufgenommen werden. Gilt ab dem nächsten Start.\n"
      "# Verbund: how workstations are taken in. Takes effect at the next start.\n";
  const auto add = [&](const char* german, const char* english, const std::string& limits, const std::string& line) {
    text += fmt::format("\n# {}\n# {}\n# {}\n{}\n", german, english, limits, line);
  };
  add(kModeGerman, kModeEnglish, "(Shared | Client-Server | Terminalservice)", "mode = Shared");
  add(kReadGerman, kReadEnglish, "(true | false)", "read.while.locked = true");
  for (const auto& number : kNumbers) {
    add(number.german, number.english, fmt::format("({} .. {})", number.low, number.high),
        fmt::format("{} = {}", number.key, number.fallback));
  }
  return text;
}

}  // namespace verbund::cluster
