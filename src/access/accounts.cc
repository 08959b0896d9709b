#include "access/accounts.h"

#include <new>

#include "base/messages.h"
#include "access/accounts_impl.h"
#include "access/text.h"
#include "platform/os/random.h"

namespace verbund::access {
namespace {

using postgres::Connection;

constexpr seconds kConnectionWait{5};
/// Nothing here takes long; what does is stuck behind somebody's lock.
constexpr const char* kBounds = "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10s'";

WallTime wall_time(std::string_view micros) {
  const auto count = parse_u64(micros);
  return WallTime{microseconds{count ? static_cast<std::int64_t>(*count) : 0}};
}

std::unexpected<Error> no_such_user(Phrase operation, std::string_view user) {
  return fail(ErrorCode::kNotFound, phrase("{}: there is no user '{}'", operation, cleaned(user, 80)),
              phrase("`verbund user list` shows those that exist."));
}

Result<Connection::Transaction> begin(Connection& connection) {
  auto transaction = connection.begin();
  if (!transaction) return pass(transaction);
  if (auto bounded = connection.execute(kBounds); !bounded) return pass(bounded);
  return transaction;
}

/// Refuses when `user` is the only enabled administrator. The table's lock makes two such changes take turns: each
/// sees what the other has left.
Status keep_an_administrator(Connection& connection, const Phrase& operation, const std::string& user) {
  if (auto locked = connection.execute("LOCK TABLE access.account IN SHARE ROW EXCLUSIVE MODE"); !locked) return locked;
  auto others = connection.query(
      "SELECT count(*) FILTER (WHERE user_name <> $1), count(*) FILTER (WHERE user_name = $1)"
      " FROM access.account WHERE enabled AND role = 'administrator'",
      {user});
  if (!others) return pass(others);
  if (others->text(0, 0) == "0" && others->text(0, 1) == "1") {
    return fail(ErrorCode::kForbidden, phrase("{}: '{}' is the last administrator", operation, user),
                phrase("Make another user administrator first."));
  }
  return {};
}

}  // namespace

Result<postgres::Pool::Lease> Accounts::Impl::connection() { return pool.acquire(Deadline::in(clock, kConnectionWait)); }

void Accounts::Impl::note(Connection& connection, std::string_view what, std::string_view sql,
                          std::initializer_list<postgres::Parameter> parameters) {
  if (auto noted = connection.query(sql, parameters); !noted) {
    log.warning("access.not_noted", {{"what", what}, {"cause", noted.error().message}});
  }
}

Account read_account(const postgres::Rows& rows, int row) {
  Account account;
  account.user = rows.text(row, 0);
  // The table's CHECK knows the same names; the least right for a name of a newer version.
  account.role = role_from_wire(rows.text(row, 1)).value_or(Role::kDevice);
  account.enabled = rows.text(row, 2) == "t";
  account.created = wall_time(rows.text(row, 3));
  if (!rows.null(row, 4)) account.last_login = wall_time(rows.text(row, 4));
  return account;
}

Status check_new_password(std::string_view password) {
  if (password.size() < kMinPasswordBytes || password.size() > kMaxPasswordBytes) {
    return fail(ErrorCode::kUsage,
                phrase("set a password: it must have {} to {} bytes", kMinPasswordBytes, kMaxPasswordBytes));
  }
  return {};
}

Result<std::string> hash_password(std::string_view password) try {
  return os::hash_password(password);
} catch (const std::bad_alloc&) {
  return fail(ErrorCode::kUnavailable, phrase("hash a password: no 64 MiB of memory are free"), phrase("Try again in a moment."));
}

Accounts::Accounts(postgres::Pool& pool, const Clock& clock, Log& log)
    : impl_(std::make_unique<Impl>(pool, clock, log)) {}
Accounts::~Accounts() = default;

Status Accounts::add(std::string_view user, std::string_view password, Role role) {
  if (auto valid = check_user_name(user); !valid) return valid;
  if (auto valid = check_new_password(password); !valid) return valid;
  auto hash = hash_password(password);
  if (!hash) return pass(hash);
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto added = (*connection)->query(
      "INSERT INTO access.account (user_name, password_hash, role, created) VALUES ($1, $2, $3, $4::timestamptz)",
      {std::string(user), std::move(*hash), std::string(to_wire(role)), impl_->now()});
  if (added) return {};
  if ((*connection)->last_sqlstate() != "23505") return pass(added, "add a user");
  return fail(ErrorCode::kAlreadyExists,
              phrase("add a user: '{}' exists, or a name that differs only in case or spelling", user),
              phrase("`verbund user list` shows those that exist."));
}

Status Accounts::set_password(std::string_view user, std::string_view password) {
  if (auto valid = check_user_name(user); !valid) return valid;
  if (auto valid = check_new_password(password); !valid) return valid;
  auto hash = hash_password(password);
  if (!hash) return pass(hash);
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto transaction = begin(**connection);
  if (!transaction) return pass(transaction);
  const std::string name(user);
  auto changed = (*connection)->query("UPDATE access.account SET password_hash = $2 WHERE user_name = $1",
                                      {name, std::move(*hash)});
  if (!changed) return pass(changed, "set a password");
  if (changed->affected() == 0) return no_such_user(phrase("set a password"), user);
  if (auto ended = (*connection)->query("DELETE FROM access.login WHERE user_name = $1", {name}); !ended) return pass(ended);
  if (auto done = transaction->commit(); !done) return done;
  impl_->succeeded(name);
  return {};
}

Status Accounts::set_role(std::string_view user, Role role) {
  if (auto valid = check_user_name(user); !valid) return valid;
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto transaction = begin(**connection);
  if (!transaction) return pass(transaction);
  const std::string name(user);
  if (role != Role::kAdministrator) {
    if (auto kept = keep_an_administrator(**connection, phrase("set a role"), name); !kept) return kept;
  }
  auto changed = (*connection)->query("UPDATE access.account SET role = $2 WHERE user_name = $1",
                                      {name, std::string(to_wire(role))});
  if (!changed) return pass(changed, "set a role");
  if (changed->affected() == 0) return no_such_user(phrase("set a role"), user);
  return transaction->commit();
}

Status Accounts::disable(std::string_view user) {
  if (auto valid = check_user_name(user); !valid) return valid;
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto transaction = begin(**connection);
  if (!transaction) return pass(transaction);
  const std::string name(user);
  if (auto kept = keep_an_administrator(**connection, phrase("disable a user"), name); !kept) return kept;
  auto changed = (*connection)->query("UPDATE access.account SET enabled = false WHERE user_name = $1", {name});
  if (!changed) return pass(changed, "disable a user");
  if (changed->affected() == 0) return no_such_user(phrase("disable a user"), user);
  if (auto ended = (*connection)->query("DELETE FROM access.login WHERE user_name = $1", {name}); !ended) return pass(ended);
  return transaction->commit();
}

Status Accounts::enable(std::string_view user) {
  if (auto valid = check_user_name(user); !valid) return valid;
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto changed = (*connection)->query("UPDATE access.account SET enabled = true WHERE user_name = $1", {std::string(user)});
  if (!changed) return pass(changed, "enable a user");
  if (changed->affected() == 0) return no_such_user(phrase("enable a user"), user);
  return {};
}

Status Accounts::remove(std::string_view user) {
  if (auto valid = check_user_name(user); !valid) return valid;
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto transaction = begin(**connection);
  if (!transaction) return pass(transaction);
  const std::string name(user);
  if (auto kept = keep_an_administrator(**connection, phrase("remove a user"), name); !kept) return kept;
  auto removed = (*connection)->query("DELETE FROM access.account WHERE user_name = $1", {name});
  if (!removed) return pass(removed, "remove a user");
  if (removed->affected() == 0) return no_such_user(phrase("remove a user"), user);
  return transaction->commit();
}

Result<std::vector<Account>> Accounts::list() {
  auto connection = impl_->connection();
  if (!connection) return pass(connection);
  auto rows = (*connection)->query("SELECT " VERBUND_ACCOUNT_COLUMNS " FROM access.account a ORDER BY lower(a.user_name), 1");
  if (!rows) return pass(rows, "list users");
  std::vector<Account> accounts;
  for (int row = 0; row < rows->size(); ++row) accounts.push_back(read_account(*rows, row));
  return accounts;
}

}  // namespace verbund::access
