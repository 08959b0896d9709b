// Passwords, tokens and logins: who is it?
#include <algorithm>

#include "base/messages.h"
#include "access/accounts_impl.h"
#include "access/text.h"
#include "platform/os/random.h"

namespace verbund::access {
namespace {

using postgres::Connection;

/// The hash of a password that nobody has, with the same cost as os::hash_password gives (a test compares them): an unknown user
/// takes as long as a wrong password.
constexpr std::string_view kNobodysHash =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSecretDigits = 2 * kSecretBytes;
constexpr std::size_t kMaxLabelBytes = 200;
constexpr const char* kLoginLife = "12 hours";  // after its last use

Attempt refused() {
  return {fail(ErrorCode::kUnauthenticated, phrase("log in: user, password or token are wrong")), std::nullopt};
}

Attempt broken(Error error) { return {std::unexpected(std::move(error)), std::nullopt}; }

bool is_secret(std::string_view text) {
  return text.size() == kSecretDigits && std::ranges::all_of(text, [](char digit) {
    return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
  });
}

struct Found {
  std::optional<Account> account;
  std::string hash{kNobodysHash};
};

Result<Found> find(Connection& connection, const std::string& user) {
  auto rows = connection.query(
      "SELECT " VERBUND_ACCOUNT_COLUMNS ", a.password_hash FROM access.account a WHERE a.user_name = $1", {user});
  if (!rows) return pass(rows, "log in");
  Found found;
  if (rows->size() == 1) {
    found.account = read_account(*rows, 0);
    found.hash = rows->text(0, kAccountColumns);
  }
  return found;
}

}  // namespace

std::optional<milliseconds> Accounts::Impl::wait(const std::string& user, const std::string& address) {
  const std::lock_guard lock(mutex);
  const auto now_is = clock.now();
  return std::max(users.wait(user, now_is), addresses.wait(address, now_is));  // absent is less than any wait
}

void Accounts::Impl::failed(const std::string& user, const std::string& address) {
  const std::lock_guard lock(mutex);
  users.failed(user, clock.now());
  addresses.failed(address, clock.now());
}

void Accounts::Impl::succeeded(const std::string& user) {
  const std::lock_guard lock(mutex);
  users.clear(user);
}

Attempt Accounts::check_password(std::string_view user, std::string_view password, std::string_view address) {
  // A name that can't exist goes the same way as one that doesn't, under a key of bounded length.
  const std::string name = cleaned(user, 64);
  const std::string from = cleaned(address, 64);
  if (const auto wait = impl_->wait(name, from)) {
    return {fail(ErrorCode::kRateLimited, phrase("log in: too many wrong tries, the next one in {} s",
                                                      std::chrono::ceil<seconds>(*wait).count())),
            wait};
  }
  Found found;
  {
    // Given back before argon2: connections are few and its 100 ms need none.
    auto connection = impl_->connection();
    if (!connection) return broken(std::move(connection.error()));
    auto looked_up = find(**connection, name);
    if (!looked_up) return broken(std::move(looked_up.error()));
    found = std::move(*looked_up);
  }
  const bool fits = os::verify_password(found.hash, password.substr(0, kMaxPasswordBytes + 1));
  if (!fits || !found.account || !found.account->enabled || name != user) {
    impl_->failed(name, from);
    impl_->log.info("access.login_refused", {{"address", from}});
    return refused();
  }
  impl_->succeeded(name);
  auto connection = impl_->connection();
  if (!connection) return broken(std::move(connection.error()));
  impl_->note(**connection, "last_login", "UPDATE access.account SET last_login = $2::timestamptz WHERE user_name = $1",
              {name, impl_->now()});
  return {std::move(*found.account), std::nullopt};
}

Attempt Accounts::check_token(std::string_view token, std::string_view address) {
  if (!is_secret(token)) return refused();
  auto connection = impl_->connection();
  if (!connection) return broken(std::move(connection.error()));
  const auto hash = os::blake2b_hex(token);
  auto rows = (*connection)->query("SELECT " VERBUND_ACCOUNT_COLUMNS
                                   ", t.last_used IS NULL OR t.last_used < $2::timestamptz - interval '1 minute'"
                                   " FROM access.token t JOIN access.account a USING (user_name)"
                                   " WHERE t.secret_hash = $1 AND a.enabled",
                                   {hash, impl_->now()});
  if (!rows) return broken(std::move(rows.error()).in("log in with a token"));
  if (rows->size() == 0) {
    impl_->log.info("access.token_refused", {{"address", cleaned(address, 64)}});
    return refused();
  }
  if (rows->text(0, kAccountColumns) == "t") {
    impl_->note(**connection, "token.last_used", "UPDATE access.token SET last_used = $2::timestamptz WHERE secret_hash = $1",
                {hash, impl_->now()});
  }
  return {read_account(*rows, 0), std::nullopt};
}

Result<std::string> Accounts::open_login(const Account& account, std::string_view address) {
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  impl_->note(**connection, "expired logins",
              fmt::format("DELETE FROM access.login WHERE last_used < $1::timestamptz - interval '{}'", kLoginLife), {impl_->now()});
  auto secret = os::random_hex(kSecretBytes);
  // From the account's row, not from the caller's copy: it may have been disabled or removed meanwhile.
  auto opened = (*connection)->query(
      "INSERT INTO access.login (secret_hash, user_name, address, created, last_used)"
      " SELECT $1, user_name, $3, $4::timestamptz, $4::timestamptz FROM access.account WHERE user_name = $2 AND enabled",
      {os::blake2b_hex(secret), account.user, cleaned(address, 64), impl_->now()});
  if (!opened) return pass(opened, "open a login");
  if (opened->affected() == 0) return fail(ErrorCode::kUnauthenticated, phrase("open a login: the account is gone or disabled"));
  return secret;
}

Attempt Accounts::check_login(std::string_view secret, std::string_view /*address*/) {
  if (!is_secret(secret)) return refused();
  auto connection = impl_->connection();
  if (!connection) return broken(std::move(connection.error()));
  const auto hash = os::blake2b_hex(secret);
  auto rows = (*connection)->query(
      fmt::format("SELECT {}, l.last_used < $2::timestamptz - interval '1 minute'"
                  " FROM access.login l JOIN access.account a USING (user_name) WHERE l.secret_hash = $1 AND a.enabled"
                  " AND l.last_used >= $2::timestamptz - interval '{}'",
                  VERBUND_ACCOUNT_COLUMNS, kLoginLife),
      {hash, impl_->now()});
  if (!rows) return broken(std::move(rows.error()).in("check a login"));
  if (rows->size() == 0) {
    return {fail(ErrorCode::kUnauthenticated, phrase("check a login: it has ended"), phrase("Log in again.")), std::nullopt};
  }
  if (rows->text(0, kAccountColumns) == "t") {
    impl_->note(**connection, "login.last_used", "UPDATE access.login SET last_used = $2::timestamptz WHERE secret_hash = $1",
                {hash, impl_->now()});
  }
  return {read_account(*rows, 0), std::nullopt};
}

Status Accounts::close_login(std::string_view secret) {
  if (!is_secret(secret)) return {};
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto closed = (*connection)->query("DELETE FROM access.login WHERE secret_hash = $1", {os::blake2b_hex(secret)});
  if (!closed) return pass(closed, "close a login");
  return {};
}

Result<std::string> Accounts::create_token(std::string_view user, std::string_view label) {
  if (auto valid = check_user_name(user); !valid) return pass(valid);
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto secret = os::random_hex(kSecretBytes);
  auto made = (*connection)->query(
      "INSERT INTO access.token (secret_hash, user_name, label, created)"
      " SELECT $1, user_name, $3, $4::timestamptz FROM access.account WHERE user_name = $2",
      {os::blake2b_hex(secret), std::string(user), cleaned(label, kMaxLabelBytes), impl_->now()});
  if (!made) return pass(made, "create a token");
  if (made->affected() == 0) return fail(ErrorCode::kNotFound, phrase("create a token: there is no user '{}'", user));
  return secret;
}

Status Accounts::revoke_token(std::string_view user, std::string_view label) {
  if (auto valid = check_user_name(user); !valid) return valid;
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto gone = (*connection)->query("DELETE FROM access.token WHERE user_name = $1 AND label = $2",
                                   {std::string(user), cleaned(label, kMaxLabelBytes)});
  if (!gone) return pass(gone, "revoke a token");
  if (gone->affected() == 0) {
    return fail(ErrorCode::kNotFound, phrase("revoke a token: '{}' has none with that label", user));
  }
  return {};
}

}  // namespace verbund::access
