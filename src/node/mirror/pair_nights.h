#pragma once
/// One backup ledger and one plan of nights for the two machines of a pair (ADR 31): the mirror asks production every few seconds what it has entered, hands over
/// what production has not, and both note of each other what backup/night/maker.h needs. Over the pair's line: POST /api/mirror/nights.
///
/// A mirror whose ledger is empty becomes the same installation to its backup: production's id and signing key, so that sets, media and ledger are one office's whichever
/// machine has made them. One that has a ledger of its own keeps it; then each makes its own nights.
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <boost/json.hpp>

#include "backup/media/ledger.h"
#include "backup/night/maker.h"
#include "base/log.h"

namespace verbund::node {

/// This machine's nights, as it says them to the other one. One thread; reads files, the ledger only when it has changed.
class OwnNights {
 public:
  explicit OwnNights(std::filesystem::path directory, const Clock& clock) : directory_(std::move(directory)), clock_(clock) {}
  struct Said {
    std::string installation;
    bool makes = false, busy = false;
    std::vector<std::string> told;
  };
  /// Errors: those of the office's configuration and of the ledger.
  Result<Said> look();
  /// As of the last look.
  [[nodiscard]] backup::Ledger& ledger() { return *ledger_; }
  /// Something was written there.
  void look_anew() { seen_.clear(); }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

 private:
  [[nodiscard]] std::string files_now() const;
  const std::filesystem::path directory_;
  const Clock& clock_;
  std::string seen_;
  std::optional<backup::Ledger> ledger_;
  Said said_;
};

/// What both sides write into DIR/backup/pair.json: when it changes, and often enough to be believed. One thread.
class PairNote {
 public:
  PairNote(std::filesystem::path directory, const Clock& clock, Log& log) : directory_(std::move(directory)), clock_(clock), log_(log) {}
  void write(const std::optional<backup::PairNights>& pair);

 private:
  const std::filesystem::path directory_;
  const Clock& clock_;
  Log& log_;
  std::optional<TimePoint> at_;
  std::optional<backup::PairNights> last_;
};

/// Production's side. Threads: any; blocks (files).
class NightsSource {
 public:
  NightsSource(std::filesystem::path directory, const Clock& clock, Log& log) : own_(directory, clock), note_(std::move(directory), clock, log), log_(log) {}
  /// At the start, before anything is heard: for backup::kPairNoted it counts as heard. `mirror`: the other machine's name; nullopt: in no pair.
  void begin(const std::optional<std::string>& mirror);
  /// `mirror`: who asks. Errors: kBadMessage, kInUse (the ledger has gone on: ask again), those of OwnNights::look and the ledger.
  Result<std::string> answer(const std::string& mirror, const boost::json::object& asked);

 private:
  std::mutex mutex_;  // what follows
  OwnNights own_;
  PairNote note_;
  Log& log_;
};

/// The mirror's side. Threads: one of its own, from `start` to `stop`; `round` on one thread.
class NightsExchange {
 public:
  /// To production, and its answer's body.
  using Ask = std::function<Result<std::string>(std::string body)>;
  /// `production`: its name. `follows`: this machine is a mirror now; else it may not work. Both from our thread.
  NightsExchange(std::filesystem::path directory, Ask ask, std::function<std::string()> production, std::function<bool()> follows, const Clock& clock, Log& log);
  ~NightsExchange();  ///< stops
  void start();
  /// The line has to be broken off by its owner.
  void stop();
  /// Both ledgers are the same afterwards. Errors: those of the line, of OwnNights::look and of the ledger.
  Status round();

 private:
  void run();
  Status exchange();
  Result<boost::json::object> ask(const OwnNights::Said& own, boost::json::object more);
  Status adopt(const OwnNights::Said& own);
  Status come_together(const OwnNights::Said& own);

  OwnNights own_;
  PairNote note_;
  const Ask ask_;
  const std::function<std::string()> production_;
  const std::function<bool()> follows_;
  Log& log_;
  backup::PairNights pair_;
  std::string error_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // mutex_
  std::jthread thread_;
};

}  // namespace verbund::node
