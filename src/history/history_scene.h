#pragma once
/// The feed's scene with a versions database and a relay, for the tests of this folder.
#include <gtest/gtest.h>

#include "base/messages.h"
#include "feed/feed_scene.h"
#include "history/migrations.h"
#include "history/relay.h"
#include "history/rights.h"

namespace verbund::history::testing_scene {

/// Anna holds patient/1; who sends a message is "user N" at "place N"; nobody else is known.
class KnownAuthors final : public Authorship {
 public:
  Result<Author> author(Csn, SessionId by, WallTime, const RecordKey& record) override {
    if (failing) return fail(ErrorCode::kDatabaseDown, phrase("the sessions are not there"));
    if (by) return Author{Author::How::kMessage, by, fmt::format("place {}", by.value), fmt::format("user {}", by.value)};
    if (record.id == "1") return Author{Author::How::kLock, SessionId{11}, "Empfang 1", "Anna"};
    return Author{};
  }
  void stored(Csn upto) override { told = upto.value; }
  std::atomic<bool> failing{false};
  std::atomic<std::uint64_t> told{0};
};

class HistoryScene {
 public:
  /// `handed_over`: the versions belong to the role that owns them on an owned server; the relay has the node's rights.
  explicit HistoryScene(bool handed_over = false) {
    feed.settings().consumers = {kConsumer};
    for (auto& table : feed.settings().tables) table.images = true;
    settings.versions = verbund::testing::ScratchPostgres::shared().database("versionen");
    settings.types = {"patient"};
    settings.rest = milliseconds{1};
    connect();
    const postgres::MigrationSet sets[] = {migrations()};
    if (auto done = postgres::migrate(*versions_, sets, log_); !done) throw std::runtime_error(done.error().message);
    if (handed_over) hand_over_to_a_role();
  }
  ~HistoryScene() { relay_.reset(); }

  void start() {
    feed.start();
    relay_ = std::make_unique<Relay>(settings, feed.feed(), authors, clock_, log_, counters_);
    relay_->start(feed.feed().head());
  }
  void stop() {
    relay_.reset();
    feed.stop();
  }
  /// Everything committed so far is stored.
  void settle() {
    feed.settle();
    relay_->advance(feed.feed().head());
    if (auto done = relay_->wait_for(feed.feed().head().csn, Deadline::in(clock_, seconds{60})); !done) {
      throw std::runtime_error(done.error().message);
    }
  }
  Relay& relay() { return *relay_; }
  void restart_relay() {
    relay_.reset();
    relay_ = std::make_unique<Relay>(settings, feed.feed(), authors, clock_, log_, counters_);
    relay_->start(feed.feed().head());
  }
  void connect() {
    auto opened = postgres::Connection::open(owner_settings());
    if (!opened) throw std::runtime_error(opened.error().message);
    versions_ = std::make_unique<postgres::Connection>(std::move(*opened));
  }
  postgres::Connection& versions() { return *versions_; }
  /// Rows of a query on the versions database, columns joined by blanks.
  std::vector<std::string> rows(std::string_view query) {
    auto found = versions_->query(query);
    if (!found) throw std::runtime_error(found.error().message);
    std::vector<std::string> texts;
    for (int row = 0; row < found->size(); ++row) {
      std::string text;
      for (int column = 0; column < found->columns(); ++column) {
        text += (column > 0 ? " " : "") + (found->null(row, column) ? std::string("-") : std::string(found->text(row, column)));
      }
      texts.push_back(std::move(text));
    }
    return texts;
  }
  std::string value(std::string_view query) { return rows(query).at(0); }
  const Clock& clock() const { return clock_; }
  Log& log() { return log_; }

  feed::testing_scene::Scene feed;
  KnownAuthors authors;
  RelaySettings settings;

 private:
  postgres::ConnectionSettings owner_settings() const {
    auto owner = verbund::testing::ScratchPostgres::shared().superuser();
    owner.database = settings.versions.database;
    return owner;
  }
  void hand_over_to_a_role() {
    const std::string role = "node_of_" + settings.versions.database;
    if (auto made = versions_->execute(fmt::format("CREATE ROLE {} LOGIN PASSWORD 'x'", role)); !made) throw std::runtime_error(made.error().message);
    for (int twice = 0; twice < 2; ++twice) {
      if (auto done = hand_over(*versions_, role); !done) throw std::runtime_error(done.error().message);
    }
    settings.versions.user = role;
    settings.versions.password = "x";
  }

  os::SystemClock clock_;
  feed::testing_scene::NoLog log_;
  feed::testing_scene::NoCounters counters_;
  std::unique_ptr<postgres::Connection> versions_;
  std::unique_ptr<Relay> relay_;
};

}  // namespace verbund::history::testing_scene
