#pragma once
/// What the units of Accounts share: the pool, the limits, one row of access.account.
#include <mutex>

#include "access/accounts.h"
#include "access/rate_limit.h"

namespace verbund::access {

struct Accounts::Impl {
  Impl(postgres::Pool& given_pool, const Clock& given_clock, Log& given_log)
      : pool(given_pool), clock(given_clock), log(given_log) {}

  Result<postgres::Pool::Lease> connection();
  /// The time as a parameter: the node's clock, not the database's.
  [[nodiscard]] std::string now() const { return to_iso8601(clock.wall()); }
  /// The longer of both waits.
  std::optional<milliseconds> wait(const std::string& user, const std::string& address);
  void failed(const std::string& user, const std::string& address);
  void succeeded(const std::string& user);
  /// For what may fail without harm: the mirror's database is read-only.
  void note(postgres::Connection& connection, std::string_view what, std::string_view sql,
            std::initializer_list<postgres::Parameter> parameters);

  postgres::Pool& pool;
  const Clock& clock;
  Log& log;
  std::mutex mutex;  // never held across the database or argon2
  RateLimit users{{.free_tries = 5}};
  RateLimit addresses{{.free_tries = 20}};
};

/// What read_account expects of a statement, from column 0 on.
#define VERBUND_ACCOUNT_COLUMNS                                                       \
  "a.user_name, a.role, a.enabled, (extract(epoch FROM a.created) * 1000000)::bigint," \
  " (extract(epoch FROM a.last_login) * 1000000)::bigint"
inline constexpr int kAccountColumns = 5;
Account read_account(const postgres::Rows& rows, int row);

/// Errors: kUsage.
Status check_new_password(std::string_view password);
/// argon2id, or kUnavailable when its 64 MiB are not to be had.
Result<std::string> hash_password(std::string_view password);

}  // namespace verbund::access
