#include "node/mirror/follow_settings.h"

#include "base/messages.h"
#include "node/mirror/report.h"
#include "platform/os/file.h"
#include "platform/os/read_setting.h"

namespace verbund::node {
namespace {

namespace json = boost::json;

std::filesystem::path file_in(const std::filesystem::path& directory) { return directory / "mirror" / "follow.json"; }

std::unexpected<Error> both() {
  return fail(ErrorCode::kUsage, phrase("change how the mirror follows: commits can't wait for a mirror that is sent the log every so often"),
              phrase("Choose one: --synchronous off, or --mode continuous."));
}

}  // namespace

Result<seconds> parse_interval(std::string_view text) {
  const auto digits = text.substr(0, std::min(text.size(), text.find_first_not_of("0123456789")));
  const auto number = parse_u64(digits);
  auto unit = text.substr(digits.size());
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  constexpr std::uint64_t kDay = 24 * 60 * 60;
  std::uint64_t factor = 0;
  if (unit == "s") factor = 1;
  if (unit == "min") factor = 60;
  if (unit == "h") factor = 3600;
  if (!number || factor == 0 || *number == 0 || *number > kDay || *number * factor > kDay) {
    return fail(ErrorCode::kUsage, phrase("read the interval '{}': it is none", text), phrase("Write for example 10min, 90s or 1h; at most 24h."));
  }
  return seconds{static_cast<std::int64_t>(*number * factor)};
}

Result<FollowConfig> read_follow_config(os::ConfigFile& file) {
  FollowConfig config;
  VERBUND_READ(config.synchronous, file.boolean("mirror.synchronous", false));
  std::int64_t number = 0;
  VERBUND_READ(number, file.integer("mirror.fall_back_seconds", 3, 2, 60));
  config.fall_back_after = seconds{number};
  std::string interval;
  VERBUND_READ(interval, file.text("mirror.interval", ""));
  if (!interval.empty()) {
    auto parsed = parse_interval(interval);
    if (!parsed) return fail(ErrorCode::kBadConfig, phrase("mirror.interval = \"{}\": it is no interval", interval), phrase("Write for example 10min, 90s or 1h; at most 24h."));
    config.interval = *parsed;
  }
  if (config.synchronous && config.interval.count() > 0) {
    return fail(ErrorCode::kBadConfig, phrase("mirror.synchronous: commits can't wait for a mirror that is sent the log every so often"), phrase("Leave out interval or synchronous under [mirror]."));
  }
  VERBUND_READ(number, file.integer("mirror.archive_gb", 10, 0, 1'000'000));
  config.archive_gb = static_cast<std::uint64_t>(number);
  return config;
}

json::object to_json(const FollowMode& mode) {
  return {{"synchronous", mode.synchronous}, {"mode", mode.periodic() ? "periodic" : "continuous"}, {"interval_s", std::to_string(mode.interval.count())}};
}

Result<FollowMode> follow_mode_from(const json::object& object) {
  const auto interval = number_of(object, "interval_s");
  if (!interval) return std::unexpected(interval.error());
  const auto* synchronous = object.if_contains("synchronous");
  return FollowMode{synchronous && synchronous->is_bool() && synchronous->as_bool(), seconds{static_cast<std::int64_t>(std::min<std::uint64_t>(*interval, 86'400))}};
}

Result<FollowMode> load_follow_mode(const std::filesystem::path& directory, const FollowConfig& config) {
  auto text = os::read_file(file_in(directory), 64UL * 1024);
  if (!text && text.error().code == ErrorCode::kNotFound) return FollowMode{config.synchronous, config.interval};
  if (!text) return pass(text);
  auto object = object_of(*text);
  auto mode = object ? follow_mode_from(*object) : Result<FollowMode>(std::unexpected(object.error()));
  if (mode) return mode;
  return fail(ErrorCode::kDamaged, phrase("read {}: it is not as it was written", file_in(directory).string()), phrase("Remove it; `verbund mirror follow` writes it anew."));
}

Status save_follow_mode(const std::filesystem::path& directory, const FollowMode& mode) {
  if (auto made = os::make_directories(directory / "mirror", 0700); !made) return made;
  return os::write_file_atomically(file_in(directory), json::serialize(to_json(mode)) + "\n", 0600);
}

Result<FollowMode> changed_mode(const FollowMode& base, const json::object& request) {
  FollowMode mode = base;
  const auto text = [&](const char* name) -> Result<std::optional<std::string>> {
    if (!request.contains(name)) return std::optional<std::string>();
    auto value = text_of(request, name);
    if (!value) return pass(value);
    return std::optional(std::move(*value));
  };
  const auto synchronous = text("synchronous"), wanted = text("mode"), interval = text("interval");
  for (const auto* given : {&synchronous, &wanted, &interval}) {
    if (!*given) return std::unexpected(given->error());
  }
  if (*synchronous) {
    if (**synchronous != "on" && **synchronous != "off") return fail(ErrorCode::kUsage, phrase("read --synchronous {}: it is neither on nor off", **synchronous));
    mode.synchronous = **synchronous == "on";
  }
  if (*wanted && **wanted != "continuous" && **wanted != "periodic") {
    return fail(ErrorCode::kUsage, phrase("read --mode {}: it is neither continuous nor periodic", **wanted));
  }
  if (*interval) {
    if (*wanted && **wanted == "continuous") return fail(ErrorCode::kUsage, phrase("change how the mirror follows: --mode continuous has no interval"));
    const auto parsed = parse_interval(**interval);
    if (!parsed) return std::unexpected(parsed.error());
    mode.interval = *parsed;
  } else if (*wanted && **wanted == "periodic" && !mode.periodic()) {
    mode.interval = seconds{600};
  } else if (*wanted && **wanted == "continuous") {
    mode.interval = seconds{0};
  }
  if (mode.periodic() && !*synchronous && !base.periodic()) mode.synchronous = false;  // changed by the same wish
  if (mode.synchronous && mode.periodic()) return both();
  return mode;
}

}  // namespace verbund::node
