#pragma once
/// A guarded database and an application that writes into it. For the tests of this folder and of the node's adapter.
#include <stdexcept>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "guard/guard.h"
#include "guard/lock_rows.h"
#include "platform/os/config_file.h"
#include "testing/eventually.h"
#include "testing/scratch_postgres.h"

namespace verbund::guard {

struct NoLog final : Log {
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

class GuardTest : public ::testing::Test {
 protected:
  postgres::Connection connect(const std::string& application = "app", const std::string& user = {}) {
    auto settings = database_;
    settings.application_name = application;
    if (!user.empty()) settings.user = user;
    auto connection = postgres::Connection::open(settings);
    if (!connection) throw std::runtime_error(connection.error().message);
    return std::move(*connection);
  }
  static void run(postgres::Connection& connection, std::string_view text) {
    if (auto done = connection.execute(text); !done) throw std::runtime_error(done.error().message);
  }
  void sql(std::string_view text) { run(node_, text); }
  std::string value(std::string_view text) {
    auto rows = node_.query(text);
    if (!rows) throw std::runtime_error(rows.error().message);
    return std::string(rows->text(0, 0));
  }
  records::RecordType type(std::string_view toml) {
    auto config = os::ConfigFile::parse_toml(toml, "verbund.toml");
    if (!config) throw std::runtime_error(config.error().message);
    auto types = records::RecordTypes::load(*config, node_);
    if (!types) throw std::runtime_error(types.error().message + " | " + types.error().hint);
    return types->all().at(0);
  }
  void guard(std::string_view toml, Mode mode = Mode::kEnforce) {
    type_ = type(toml);
    if (auto done = prepare(node_, type_); !done) throw std::runtime_error(done.error().message + " | " + done.error().hint);
    if (auto done = set_mode(node_, type_, mode); !done) throw std::runtime_error(done.error().message);
  }
  /// patient(id, name), letter(id, patient): the usual case.
  void practice(Mode mode = Mode::kEnforce) {
    sql("CREATE TABLE patient (id int PRIMARY KEY, name text); INSERT INTO patient VALUES (1, 'Anna'), (2, 'Bert');"
        "CREATE TABLE letter (id int PRIMARY KEY, patient int REFERENCES patient ON DELETE CASCADE, body text);"
        "INSERT INTO letter VALUES (10, 1, 'a'), (20, 2, 'b')");
    guard("[[record]]\ntype='patient'\ntable='patient'\nchildren=['letter.patient']", mode);
  }
  std::vector<LockOutcome> write(std::vector<LockWrite> writes) {
    auto done = write_locks(node_, writes);
    if (!done) throw std::runtime_error(done.error().message);
    return *done;
  }
  void hold(const std::string& id, std::uint64_t token) {
    ASSERT_THAT(write({{{type_.type, id}, {token}, {7}, LockWrite::Kind::kGrant}}), ::testing::Each(LockOutcome::kWritten));
  }
  LockOutcome let_go(const std::string& id, std::uint64_t token) {
    return write({{{type_.type, id}, {token}, {7}, LockWrite::Kind::kOver}}).at(0);
  }
  /// What the application gets when it runs `statements` in a transaction under `tokens`; empty: it has committed.
  std::string attempt(const std::string& tokens, const std::string& statements) { return attempt(application_, tokens, statements); }
  static std::string attempt(postgres::Connection& application, const std::string& tokens, const std::string& statements) {
    auto transaction = application.begin();
    if (!transaction) return transaction.error().message;
    if (!tokens.empty()) run(application, fmt::format("SELECT verbund.use_lock({})", tokens));
    if (auto done = application.execute(statements); !done) return application.last_sqlstate() + " " + done.error().message;
    auto committed = transaction->commit();
    return committed ? "" : committed.error().message;
  }

  postgres::ConnectionSettings database_ = verbund::testing::ScratchPostgres::shared().database("guard");
  postgres::Connection node_ = connect("node");
  postgres::Connection application_ = connect();
  records::RecordType type_;
  NoLog log_;
};

}  // namespace verbund::guard
