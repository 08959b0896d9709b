#include "importer/german_time.h"

namespace verbund::importer {
namespace {

using std::chrono::sys_days;

sys_days last_sunday(std::chrono::year year, std::chrono::month month) {
  return sys_days{year / month / std::chrono::Sunday[std::chrono::last]};
}

struct Summer {
  sys_days from, until;
};
/// Zeitgesetz and the regulations made under it: 1980 from 6 April; until 1995 to the end of September, then (directive
/// 94/21/EC) to the end of October.
Summer summer_of(std::chrono::year year) {
  using namespace std::chrono;
  const sys_days begin = year == 1980y ? sys_days{1980y / April / 6} : last_sunday(year, March);
  return {begin, last_sunday(year, year < 1996y ? September : October)};
}

}  // namespace

WallTime from_german_clock(sys_days day, std::chrono::seconds time_of_day) {
  const WallTime clock = WallTime{day} + time_of_day;
  constexpr std::chrono::hours kWinter{1}, kSummer{2};
  const auto year = std::chrono::year_month_day{day}.year();
  if (year < std::chrono::year{1980}) return clock - kWinter;
  const auto [from, until] = summer_of(year);
  // By the clock: it springs from 2 to 3, and falls from 3 back to 2.
  const bool summer = clock >= WallTime{from} + std::chrono::hours{3} && clock < WallTime{until} + std::chrono::hours{3};
  return clock - (summer ? kSummer : kWinter);
}

}  // namespace verbund::importer
