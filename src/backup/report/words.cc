#include "backup/report/words.h"

#include <cmath>
#include <optional>

#include "platform/os/clock.h"

namespace verbund::backup::shown {
namespace {

std::string decimal(std::string number, Language language) {
  if (language == Language::kGerman) {
    if (const auto dot = number.find('.'); dot != std::string::npos) number[dot] = ',';
  }
  return number;
}

}  // namespace

std::string moment(std::string_view iso, Language language) {
  const bool day_only = iso.size() == 10;
  if (iso.size() < 10 || iso[4] != '-' || iso[7] != '-' || (!day_only && iso.size() < 16)) return std::string(iso);
  const auto time = day_only ? std::string() : fmt::format(" {}", iso.substr(11, 5));
  if (language == Language::kGerman) return fmt::format("{}.{}.{}{}", iso.substr(8, 2), iso.substr(5, 2), iso.substr(0, 4), time);
  return fmt::format("{}{}", iso.substr(0, 10), time);
}

std::string moment(WallTime time, Language language) { return moment(os::local_text(time), language); }
std::string day(WallTime time, Language language) { return moment(std::string_view(os::local_text(time)).substr(0, 10), language); }

std::string clock(WallTime time) {
  const auto local = os::local_time(time);
  const std::chrono::hh_mm_ss of_day(local - std::chrono::floor<std::chrono::days>(local));
  return fmt::format("{:02}:{:02}:{:02}", of_day.hours().count(), of_day.minutes().count(), of_day.seconds().count());
}

std::string bytes(std::uint64_t bytes, Language language) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return decimal(fmt::format("{:.1f} GB", value / 1e9), language);
  if (bytes >= 1'000'000) return decimal(fmt::format("{:.1f} MB", value / 1e6), language);
  if (bytes >= 1'000) return decimal(fmt::format("{:.1f} kB", value / 1e3), language);
  return fmt::format("{} B", bytes);
}

std::string span(milliseconds span, Language language) {
  const auto whole = std::chrono::floor<seconds>(span);
  if (whole < seconds(10)) return decimal(fmt::format("{:.1f} s", static_cast<double>(span.count()) / 1000), language);
  if (whole < seconds(60)) return fmt::format("{} s", whole.count());
  const std::chrono::hh_mm_ss parts(whole);
  if (whole < seconds(3600)) return fmt::format("{} min {} s", parts.minutes().count(), parts.seconds().count());
  return fmt::format("{} h {} min", parts.hours().count(), parts.minutes().count());
}

std::string change(std::uint64_t now, std::optional<std::uint64_t> before, Language language) {
  if (!before) return translated(language, "new");
  if (*before == 0) return now == 0 ? "±0 %" : std::string(translate(language, "new"));
  const double percent = (static_cast<double>(now) - static_cast<double>(*before)) / static_cast<double>(*before) * 100;
  if (std::abs(percent) < 0.05) return "±0 %";
  return decimal(fmt::format("{:+.1f} %", percent), language);
}

}  // namespace verbund::backup::shown
