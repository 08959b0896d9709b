#pragma once
/// Accounts, roles, rights and the secrets that stand for a login. Kept in the mid-tier database, schema `access`.
///
/// Threads: any; calls block (database, argon2id ≈ 100 ms), so they belong on the worker pool.
/// Typed passwords are argon2id; access tokens and login cookies are 256 random bits, stored as BLAKE2b.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "platform/postgres/connection.h"
#include "platform/postgres/migrations.h"

namespace verbund::access {

enum class Role { kAdministrator, kStaff, kDevice };
std::string_view to_wire(Role role);
/// Errors: kUsage, with the roles that exist.
Result<Role> role_from_wire(std::string_view text);

enum class Right {
  kEditRecords,   ///< register, lock, announce changes
  kReadRecords,   ///< lists and records through the page
  kBreakLocks,    ///< force another's work lock open
  kManageUsers,
  kReadAudit,
  kImport,
  kManageFeed,    ///< continue paused tables, compare with the source
  kReadHistory,   ///< what records held before, who changed them; each reading is audited
  kErase,         ///< take contents out of the history
  kManageMirror,  ///< let a machine join as mirror
  kManageSync,    ///< rules of device sync, devices
  kManageGuard,   ///< let the database refuse writes without a work lock, or let it stop that
};
bool has_right(Role role, Right right);

struct Account {
  std::string user;
  Role role = Role::kStaff;
  bool enabled = true;
  WallTime created;
  std::optional<WallTime> last_login;
};

/// The answer to an attempt; wrong passwords are rate-limited per user and per address.
struct Attempt {
  Result<Account> account;                  ///< errors: kUnauthenticated, kRateLimited, kDatabaseDown
  std::optional<milliseconds> retry_after;  ///< with kRateLimited
};

inline constexpr std::size_t kMinPasswordBytes = 8;
inline constexpr std::size_t kMaxPasswordBytes = 512;

class Accounts {
 public:
  Accounts(postgres::Pool& pool, const Clock& clock, Log& log);
  ~Accounts();

  /// Rate limits (in memory): after 5 wrong tries of a user or 20 of an address the next is taken after 1 s, doubling up
  /// to 5 min; a success clears the user's. Unknown users cost the same time as wrong passwords. Tokens and logins are
  /// 256 random bits: nobody guesses them, so they are not limited (a program with an old token harms nobody else).
  Attempt check_password(std::string_view user, std::string_view password, std::string_view address);
  Attempt check_token(std::string_view token, std::string_view address);
  /// Login of the page. The returned secret is the cookie's value; valid for 12 h after its last use.
  Result<std::string> open_login(const Account& account, std::string_view address);
  Attempt check_login(std::string_view secret, std::string_view address);
  Status close_login(std::string_view secret);

  // Management. Names: 1–64 bytes UTF-8 without control characters, blanks at the ends or '/'.
  Status add(std::string_view user, std::string_view password, Role role);
  Status set_password(std::string_view user, std::string_view password);  ///< ends logins, keeps tokens
  /// Refuses (kForbidden) to take the last enabled administrator's role.
  Status set_role(std::string_view user, Role role);
  Status remove(std::string_view user);  ///< tokens and logins with it; the last administrator is refused
  /// No password, token or login of theirs counts any more; the last administrator is refused.
  Status disable(std::string_view user);
  Status enable(std::string_view user);
  Result<std::vector<Account>> list();
  /// A token for programs, shown once. `label` is for people (cut at 200 bytes); it need not be unique.
  Result<std::string> create_token(std::string_view user, std::string_view label);
  /// All tokens of the user with that label. Errors: kNotFound.
  Status revoke_token(std::string_view user, std::string_view label);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

postgres::MigrationSet migrations();

}  // namespace verbund::access
