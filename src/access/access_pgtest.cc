#include <thread>

#include <gmock/gmock.h>

#include "access/accounts.h"
#include "access/audit.h"
#include "platform/os/random.h"
#include "testing/scratch_postgres.h"
#include "testing/sim_clock.h"

namespace verbund::access {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using verbund::testing::ScratchPostgres;
using verbund::testing::SimClock;

class NoLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto connection = postgres::Connection::open(settings_);
    ASSERT_TRUE(connection);
    const postgres::MigrationSet sets[] = {migrations()};
    const auto migrated = postgres::migrate(*connection, sets, log_);
    ASSERT_TRUE(migrated) << migrated.error().message;
  }
  void add(std::string_view user, Role role = Role::kStaff) {
    const auto added = accounts_.add(user, kPassword, role);
    ASSERT_TRUE(added) << added.error().message;
  }
  static Account eva() {
    Account account;
    account.user = "eva";
    return account;
  }
  ErrorCode password(std::string_view user, std::string_view typed, std::string_view address = "10.0.0.1") {
    const auto attempt = accounts_.check_password(user, typed, address);
    return attempt.account ? ErrorCode{} : attempt.account.error().code;
  }
  postgres::Pool::Lease connection() { return std::move(*pool_.acquire(Deadline::in(clock_, seconds{5}))); }
  std::string one(std::string_view sql) {
    auto rows = connection()->query(sql);
    return rows ? std::string(rows->text(0, 0)) : rows.error().message;
  }

  static constexpr std::string_view kPassword = "correct horse";
  static constexpr ErrorCode kFine{};
  postgres::ConnectionSettings settings_ = ScratchPostgres::shared().database("access");
  SimClock clock_;
  NoLog log_;
  postgres::Pool pool_{settings_, 4, clock_};
  Accounts accounts_{pool_, clock_, log_};
};

TEST_F(AccessTest, KnowsItsUsersByPassword) {
  add("eva", Role::kAdministrator);
  const auto attempt = accounts_.check_password("eva", kPassword, "10.0.0.1");
  ASSERT_TRUE(attempt.account);
  EXPECT_EQ(attempt.account->role, Role::kAdministrator);
  EXPECT_EQ(password("eva", "wrong horse"), ErrorCode::kUnauthenticated);
  EXPECT_EQ(password("Eva", kPassword), ErrorCode::kUnauthenticated);
  EXPECT_EQ(password("nobody", kPassword), ErrorCode::kUnauthenticated);
  EXPECT_EQ(password(std::string_view("eva\0", 4), kPassword), ErrorCode::kUnauthenticated);
  EXPECT_EQ(password("\xff", kPassword), ErrorCode::kUnauthenticated);
  const auto listed = accounts_.list();
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ((*listed)[0].created, clock_.wall());
  EXPECT_EQ((*listed)[0].last_login, clock_.wall());
}

TEST_F(AccessTest, StoresNoSecretInTheClear) {
  add("eva");
  const auto token = accounts_.create_token("eva", "program");
  const auto login = accounts_.open_login(eva(), "10.0.0.1");
  ASSERT_TRUE(token && login);
  EXPECT_THAT(one("SELECT password_hash FROM access.account"), HasSubstr("$argon2id$"));
  EXPECT_EQ(one("SELECT secret_hash FROM access.token"), os::blake2b_hex(*token));
  EXPECT_EQ(one("SELECT secret_hash FROM access.login"), os::blake2b_hex(*login));
}

TEST_F(AccessTest, UnknownUsersCostAsMuchAsWrongPasswords) {
  add("eva");
  const auto cost = [](const std::string& hash) { return hash.substr(0, hash.rfind('$', hash.rfind('$') - 1)); };
  EXPECT_EQ(cost(one("SELECT password_hash FROM access.account")), "$argon2id$v=19$m=65536,t=2,p=1");
  const auto timed = [&](std::string_view user) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(password(user, "wrong horse"), ErrorCode::kUnauthenticated);
    return std::chrono::steady_clock::now() - start;
  };
  const auto wrong = std::min(timed("eva"), timed("eva"));
  EXPECT_GT(std::max(timed("nobody"), timed("nobody2")), wrong / 3);
}

TEST_F(AccessTest, SlowsDownGuessingOfAUserAndFromAnAddress) {
  add("eva");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(password("eva", "wrong", "10.0.0.2"), ErrorCode::kUnauthenticated);
  const auto refused = accounts_.check_password("eva", kPassword, "10.0.0.3");
  ASSERT_FALSE(refused.account);
  EXPECT_EQ(refused.account.error().code, ErrorCode::kRateLimited);
  EXPECT_EQ(refused.retry_after, seconds{1});
  clock_.advance(seconds{1});
  EXPECT_EQ(password("eva", kPassword, "10.0.0.3"), kFine);
  EXPECT_EQ(password("eva", "wrong", "10.0.0.2"), ErrorCode::kUnauthenticated);
  EXPECT_EQ(password("eva", kPassword, "10.0.0.3"), kFine);
  for (int i = 0; i < 14; ++i) password("user" + std::to_string(i), "wrong", "10.0.0.2");
  EXPECT_EQ(password("eva", kPassword, "10.0.0.2"), ErrorCode::kRateLimited);
  EXPECT_EQ(password("eva", kPassword, "10.0.0.3"), kFine);
}

TEST_F(AccessTest, TokensWorkUntilRevokedAndOutliveANewPassword) {
  add("eva");
  const auto token = accounts_.create_token("eva", "program");
  ASSERT_TRUE(token);
  EXPECT_EQ(token->size(), 64U);
  EXPECT_TRUE(accounts_.check_token(*token, "10.0.0.1").account);
  EXPECT_TRUE(accounts_.set_password("eva", "another one"));
  EXPECT_TRUE(accounts_.check_token(*token, "10.0.0.1").account);
  EXPECT_FALSE(accounts_.check_token(std::string(64, '0'), "10.0.0.1").account);
  EXPECT_FALSE(accounts_.check_token("' OR true", "10.0.0.1").account);
  EXPECT_TRUE(accounts_.revoke_token("eva", "program"));
  EXPECT_EQ(accounts_.revoke_token("eva", "program").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(accounts_.check_token(*token, "10.0.0.1").account);
  EXPECT_EQ(accounts_.create_token("nobody", "x").error().code, ErrorCode::kNotFound);
}

TEST_F(AccessTest, LoginsEndTwelveHoursAfterTheirLastUse) {
  add("eva");
  const auto login = accounts_.open_login(eva(), "10.0.0.1");
  ASSERT_TRUE(login);
  for (int i = 0; i < 3; ++i) {
    clock_.advance(std::chrono::hours{11});
    EXPECT_TRUE(accounts_.check_login(*login, "10.0.0.1").account);
  }
  clock_.advance(std::chrono::hours{12} + seconds{1});
  EXPECT_EQ(accounts_.check_login(*login, "10.0.0.1").account.error().code, ErrorCode::kUnauthenticated);
  ASSERT_TRUE(accounts_.open_login(eva(), "10.0.0.1"));
  EXPECT_EQ(one("SELECT count(*) FROM access.login"), "1");
}

TEST_F(AccessTest, NotesTheLastUseAtMostOnceAMinute) {
  add("eva");
  const auto login = accounts_.open_login(eva(), "10.0.0.1");
  const auto version = [&] { return one("SELECT xmin FROM access.login"); };
  const auto first = version();
  clock_.advance(seconds{59});
  accounts_.check_login(*login, "10.0.0.1");
  EXPECT_EQ(version(), first);
  clock_.advance(seconds{2});
  accounts_.check_login(*login, "10.0.0.1");
  EXPECT_NE(version(), first);
}

TEST_F(AccessTest, ANewPasswordAGoodbyeAndDisablingEndLogins) {
  add("eva");
  add("chef", Role::kAdministrator);
  const auto open = [&] { return *accounts_.open_login(eva(), "10.0.0.1"); };
  const auto works = [&](const std::string& login) { return accounts_.check_login(login, "10.0.0.1").account.has_value(); };
  auto login = open();
  EXPECT_TRUE(accounts_.close_login(login));
  EXPECT_FALSE(works(login));
  login = open();
  EXPECT_TRUE(accounts_.set_password("eva", "another one"));
  EXPECT_FALSE(works(login));
  login = open();
  const auto token = accounts_.create_token("eva", "x");
  EXPECT_TRUE(accounts_.disable("eva"));
  EXPECT_FALSE(works(login));
  EXPECT_FALSE(accounts_.check_token(*token, "10.0.0.1").account);
  EXPECT_EQ(password("eva", "another one"), ErrorCode::kUnauthenticated);
  EXPECT_FALSE(accounts_.open_login(eva(), "10.0.0.1"));
  EXPECT_TRUE(accounts_.enable("eva"));
  EXPECT_EQ(password("eva", "another one"), kFine);
  EXPECT_FALSE(works(login));
}

TEST_F(AccessTest, RefusesBadNamesShortPasswordsAndLookAlikes) {
  add("Jürgen");
  EXPECT_EQ(accounts_.add("Jürgen", kPassword, Role::kStaff).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(accounts_.add("jÜrgen", kPassword, Role::kStaff).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(accounts_.add("Ju\xcc\x88rgen", kPassword, Role::kStaff).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(accounts_.add("a/b", kPassword, Role::kStaff).error().code, ErrorCode::kUsage);
  EXPECT_EQ(accounts_.add("eva", "1234567", Role::kStaff).error().code, ErrorCode::kUsage);
  EXPECT_EQ(accounts_.add("eva", std::string(513, 'x'), Role::kStaff).error().code, ErrorCode::kUsage);
  EXPECT_EQ(accounts_.remove("nobody").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(accounts_.set_password("nobody", kPassword).error().code, ErrorCode::kNotFound);
}

TEST_F(AccessTest, KeepsTheLastAdministrator) {
  add("chef", Role::kAdministrator);
  add("eva");
  EXPECT_EQ(accounts_.remove("chef").error().code, ErrorCode::kForbidden);
  EXPECT_EQ(accounts_.set_role("chef", Role::kStaff).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(accounts_.disable("chef").error().code, ErrorCode::kForbidden);
  EXPECT_TRUE(accounts_.set_role("chef", Role::kAdministrator));
  EXPECT_TRUE(accounts_.set_role("eva", Role::kAdministrator));
  EXPECT_TRUE(accounts_.disable("eva"));
  EXPECT_EQ(accounts_.remove("chef").error().code, ErrorCode::kForbidden);
  EXPECT_TRUE(accounts_.enable("eva"));
  EXPECT_TRUE(accounts_.remove("chef"));
}

TEST_F(AccessTest, TwoAdministratorsRemovedAtOnceLeaveOne) {
  for (int round = 0; round < 10; ++round) {
    add("one", Role::kAdministrator);
    add("two", Role::kAdministrator);
    Status first;
    Status second;
    {
      const std::jthread thread([&] { first = accounts_.remove("one"); });
      second = accounts_.set_role("two", Role::kStaff);
    }
    EXPECT_NE(first.has_value(), second.has_value());
    EXPECT_EQ(one("SELECT count(*) FROM access.account WHERE role = 'administrator'"), "1");
    connection()->execute("DELETE FROM access.account").value();
  }
}

TEST_F(AccessTest, AuditListsNewestFirst) {
  for (const char* action : {"user.add", "user.role", "lock.break"}) {
    ASSERT_TRUE(record_audit(pool_, clock_, {.number = 0, .at = clock_.wall(), .actor = "chef", .action = action, .object = "o", .detail = "d"}));
  }
  ASSERT_TRUE(record_audit(pool_, clock_, {.number = 0, .at = {}, .actor = "e\xffva\n", .action = "user.add", .object = std::string("\0", 1), .detail = ""}));
  const auto actions = [&](std::size_t limit, const std::string& actor, const std::string& prefix) {
    std::vector<std::string> found;
    const auto entries = list_audit(pool_, clock_, limit, actor, prefix);
    for (const auto& entry : entries.value()) found.push_back(entry.actor + ":" + entry.action);
    return found;
  };
  EXPECT_THAT(actions(2, "", ""), ElementsAre("e?va :user.add", "chef:lock.break"));
  EXPECT_THAT(actions(9, "chef", "user."), ElementsAre("chef:user.role", "chef:user.add"));
  EXPECT_EQ(list_audit(pool_, clock_, 1, "", "")->at(0).at, clock_.wall());
}

TEST_F(AccessTest, AuditCanOnlyGrow) {
  ASSERT_TRUE(record_audit(pool_, clock_, {.number = 0, .at = {}, .actor = "chef", .action = "user.add", .object = "", .detail = ""}));
  for (const char* sql : {"UPDATE access.audit SET actor = 'x'", "DELETE FROM access.audit", "TRUNCATE access.audit",
                          "SET session_replication_role = replica; DELETE FROM access.audit"}) {
    const auto done = connection()->execute(sql);
    ASSERT_FALSE(done) << sql;
    EXPECT_EQ(done.error().code, ErrorCode::kForbidden) << sql;
  }
  EXPECT_EQ(one("SELECT count(*) FROM access.audit"), "1");
}

}  // namespace
}  // namespace verbund::access
