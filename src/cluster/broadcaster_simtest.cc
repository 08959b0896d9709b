// Seeded random steps over the broadcaster: fast, slow and resuming clients, changing watches, forks of the history.
// VERBUND_SIM_STEPS (all runs together) and VERBUND_SIM_SEED choose size and seed; the seed is printed.
#include <cstdlib>
#include <iostream>

#include "cluster/broadcaster_mirror.h"

namespace verbund::cluster::simulation {
namespace {

constexpr std::size_t kPeers = 8, kQueueLimit = 24'000;
constexpr BroadcastLimits kLimits{.log_entries = 64, .log_bytes = 24'000, .pause_above_bytes = 1500, .merged_keys = 6,
                                  .merged_entries = 12, .replay_page = 5};

/// One connection with a queue that the client reads at its own pace.
struct Line final : Receiver {
  struct Item {
    Buffer message;
    std::optional<Direct> direct;
  };
  Line(std::uint64_t given, const Office& office, std::function<void()> overflow)
      : number(given), client(office), overflows(std::move(overflow)) {}
  std::uint64_t id() const override { return number; }
  void send(Buffer message) override {
    if (doomed) return;
    watched.was_sent(message);
    bytes += message->size();
    queue.push_back({std::move(message), {}});
    if (bytes <= kQueueLimit) return;
    doomed = true;
    overflows();
  }
  std::size_t queued_bytes() const override { return bytes; }
  void notify_when_drained() override { asks_for_drained = true; }
  void put(Direct direct) {
    if (!doomed) queue.push_back({nullptr, std::move(direct)});
  }
  /// False: nothing to read.
  bool read() {
    if (queue.empty()) return false;
    const auto item = std::move(queue.front());
    queue.pop_front();
    if (item.direct) {
      client.take(*item.direct);
    } else {
      bytes -= item.message->size();
      client.take(item.message);
    }
    return true;
  }

  std::uint64_t number;
  Client client;
  Watched watched;
  std::function<void()> overflows;
  std::deque<Item> queue;
  std::size_t bytes = 0;
  int slowness = 1;               ///< reads one step in so many
  bool asks_for_drained = false, doomed = false;
  bool asked_journal = false;     ///< since it joined or changed its watch
  Csn head_then;                  ///< when it did
};

class Simulation final : public BroadcastSink {
 public:
  Simulation(std::uint64_t seed, std::uint64_t steps)
      : random_(seed), steps_(steps), broadcaster_(kLimits, office_.head(), *this), mirror_(kLimits, broadcaster_) {}

  void run() {
    for (std::uint64_t step = 0; step < steps_ && !::testing::Test::HasFailure(); ++step) {
      this->step();
      bury();
    }
    settle();
  }
  [[nodiscard]] std::size_t cut_off() const { return cut_off_; }

 private:
  struct Question {
    std::uint64_t subscriber;
    Cursor from;
    std::size_t limit;
  };

  std::uint64_t random(std::uint64_t below) { return random_() % below; }
  Line* any_line() {
    if (lines_.empty()) return nullptr;
    auto it = lines_.begin();
    std::advance(it, random(lines_.size()));
    return it->second.get();
  }
  protocol::Watch any_watch() {
    protocol::Watch watch{{}, random(3) != 0, random(3) != 0};
    if (random(2) == 0) return {{"*"}, watch.locks, watch.presence};
    for (const auto* type : kTypes) {
      if (random(3) == 0) watch.types.emplace_back(type);
    }
    return watch;
  }

  void step() {
    const auto what = random(1000);
    if (what < 250) return publish_change();
    if (what < 400) return publish_other();
    if (what < 600) return static_cast<void>(broadcaster_.pump(1 + random(6)));
    if (what < 900) return read();
    if (what < 930) return answer();
    if (what < 933) return join();
    if (what < 960) return beat();
    if (what < 985) return grant();
    if (what < 995) return change_watch();
    if (what < 998) return tear();
    if (random(20) == 0) fork();
  }

  void publish_change() {
    auto changes = office_.change(random_);
    mirror_.change(changes);
    broadcaster_.publish(std::move(changes));
    mirror_.expect_bounded();
  }

  void publish_other() {
    const auto what = random(8);
    const auto topic = what < 4 ? Topic::kLocks : what < 7 ? Topic::kPresence : Topic::kEverybody;
    const auto number = office_.others.size();
    office_.others.push_back({topic, office_.changed});
    const auto message = std::make_shared<const std::string>(std::to_string(number));
    mirror_.other(topic, number, message->size());
    broadcaster_.publish(topic, message);
    mirror_.expect_bounded();
  }

  void fork() {
    office_.fork();
    const protocol::Snapshot snapshot{"history_changed", office_.head()};
    mirror_.snapshot(snapshot);
    broadcaster_.publish_snapshot(snapshot);
    mirror_.expect_bounded();
  }

  void read() {
    auto* line = any_line();
    if (line == nullptr || random(static_cast<std::uint64_t>(line->slowness)) != 0) return;
    for (auto count = 1 + random(12); count > 0 && line->read(); --count) {
    }
    if (line->bytes > 0 || !std::exchange(line->asks_for_drained, false) || line->doomed) return;
    broadcaster_.drained(line->number);
  }

  // ---- clients come and go ------------------------------------------------------------------------------------

  void join() {
    if (lines_.size() >= kPeers) return;
    const auto number = ++joined_;
    auto line = std::make_unique<Line>(number, office_, [this, number] { overflow(number); });
    line->slowness = random(3) == 0 ? 40 : 1 + static_cast<int>(random(4));
    std::optional<Cursor> from;
    auto watch = any_watch();
    if (!torn_.empty() && random(4) != 0) {
      std::tie(from, watch) = torn_.front();
      torn_.pop_front();
    }
    auto& joined = *line;
    lines_[number] = std::move(line);
    joined.head_then = office_.head().csn;
    joined.watched.starts(watch, from.value_or(broadcaster_.head()), office_.others.size());
    broadcaster_.join(joined, watch, from);
    joined.put({Direct::Kind::kWelcome, from.value_or(broadcaster_.head()), watch, office_.others.size(), {}, false});
    broadcaster_.start(number);
  }

  void change_watch() {
    auto* line = any_line();
    if (line == nullptr) return;
    const auto number = line->number;
    auto watch = any_watch();
    std::optional<Cursor> from;
    if (random(2) == 0) from = line->client.cursor();
    if (from && from->history.value.empty()) return;  // it has not read its welcome yet
    const auto others = office_.others.size();
    line->asked_journal = line->asked_journal && !from;
    line->head_then = office_.head().csn;
    broadcaster_.set_watch(number, watch, from);
    if (!lines_.contains(number) || line->doomed) return;
    line->watched.changes(watch, from.value_or(broadcaster_.cursor(number)), others);
    line->put({Direct::Kind::kWatch, from.value_or(broadcaster_.cursor(number)), watch, others, {}, false});
    broadcaster_.start(number);
  }

  void leave(std::uint64_t number) {
    const auto found = lines_.find(number);
    if (found == lines_.end()) return;
    const auto& client = found->second->client;
    // What was queued is lost; the client knows what it has read.
    if (!client.cursor().history.value.empty() && torn_.size() < 20) torn_.emplace_back(client.cursor(), client.watch());
    buried_.push_back(std::move(found->second));
    lines_.erase(found);
    broadcaster_.leave(number);
  }
  void bury() {
    buried_.clear();
    while (!closing_.empty()) {
      leave(closing_.front());
      closing_.pop_front();
    }
  }
  void tear() {
    if (auto* line = any_line()) leave(line->number);
  }
  /// From inside a send: some connections close at once, some a little later.
  void overflow(std::uint64_t number) {
    if (random(2) == 0) return leave(number);
    closing_.push_back(number);
  }
  void fell_behind(std::uint64_t number) override {
    ++cut_off_;
    EXPECT_TRUE(mirror_.lost_something(lines_.at(number)->watched, answering_ == number))
        << "cut off as too slow, but nothing that it watches has left the log unsent";
    leave(number);
  }

  // ---- replies ------------------------------------------------------------------------------------------------

  void beat() {
    auto* line = any_line();
    if (line == nullptr) return;
    const auto number = line->number;
    broadcaster_.flush(number, Broadcaster::Pressure::kRespect);
    if (lines_.contains(number)) line->put({Direct::Kind::kBeat, broadcaster_.cursor(number), {}, 0, {}, false});
  }

  void grant() {
    auto* line = any_line();
    if (line == nullptr) return;
    const auto number = line->number;
    broadcaster_.flush(number, Broadcaster::Pressure::kIgnore);
    if (!lines_.contains(number)) return;
    const auto cursor = broadcaster_.cursor(number);
    const bool reads_journal = line->asked_journal && cursor != office_.head();
    line->put({Direct::Kind::kGrant, {}, {}, office_.others.size(), office_.changed, !reads_journal});
  }

  // ---- the journal --------------------------------------------------------------------------------------------

  void replay(std::uint64_t subscriber, Cursor from, std::size_t limit) override {
    lines_.at(subscriber)->asked_journal = true;
    questions_.push_back({subscriber, std::move(from), limit});
  }

  /// As the feed does: pages of transactions, oldest first; no page for a cursor that is too old or of another history.
  void answer() {
    if (questions_.empty()) return;
    const auto question = std::move(questions_.front());
    questions_.pop_front();
    const auto& journal = office_.journal;
    if (question.from.history != office_.head().history || question.from.csn > office_.head().csn) {
      return broadcaster_.replay_refused(question.subscriber, "history_changed");
    }
    const bool gone = journal.empty() ? question.from != office_.head()
                                      : question.from.csn.value + 1 < journal.front().second.cursor.csn.value;
    if (gone) return broadcaster_.replay_refused(question.subscriber, "cursor_too_old");
    std::vector<protocol::Changes> page;
    for (const auto& [history, changes] : journal) {
      if (changes.cursor.csn > question.from.csn && page.size() < question.limit) page.push_back(changes);
    }
    answering_ = question.subscriber;
    broadcaster_.replayed(question.subscriber, question.from, page);
    answering_ = 0;
  }

  /// All clients read until nothing comes any more: each knows all.
  void settle() {
    for (bool more = true; more && !::testing::Test::HasFailure();) {
      more = broadcaster_.pump(100) || !questions_.empty();
      answer();
      bury();
      for (auto& [number, line] : lines_) {
        while (!::testing::Test::HasFailure() && line->read()) more = true;
      }
      std::vector<std::uint64_t> drained;
      for (auto& [number, line] : lines_) {
        if (std::exchange(line->asks_for_drained, false)) drained.push_back(number);
      }
      for (const auto number : drained) broadcaster_.drained(number);
      more = more || !drained.empty();
    }
    for (const auto& [number, line] : lines_) line->client.expect_complete();
  }

  std::mt19937_64 random_;
  const std::uint64_t steps_;
  Office office_;
  Broadcaster broadcaster_;
  LogMirror mirror_;
  std::uint64_t answering_ = 0;  ///< who is handed a page of the journal
  std::map<std::uint64_t, std::unique_ptr<Line>> lines_;
  std::vector<std::unique_ptr<Line>> buried_;
  std::deque<std::uint64_t> closing_;
  std::deque<std::pair<std::optional<Cursor>, protocol::Watch>> torn_;
  std::deque<Question> questions_;
  std::uint64_t joined_ = 0;
  std::size_t cut_off_ = 0;
};

std::uint64_t from_environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

TEST(BroadcasterSimulation, EventsAreOrderedUniqueAndWithoutGapUnderRandomSteps) {
  const auto seed = from_environment("VERBUND_SIM_SEED", std::random_device{}());
  const auto steps = from_environment("VERBUND_SIM_STEPS", 2'000'000);
  std::cout << "VERBUND_SIM_SEED=" << seed << "\n";
  RecordProperty("seed", std::to_string(seed));
  constexpr std::uint64_t kRuns = 50;
  std::size_t cut_off = 0;
  for (std::uint64_t run = 0; run < kRuns && !HasFailure(); ++run) {
    Simulation simulation(seed + run, steps / kRuns);
    simulation.run();
    cut_off += simulation.cut_off();
    if (HasFailure()) std::cout << "run " << run << ": VERBUND_SIM_SEED=" << seed + run << "\n";
  }
  std::cout << cut_off << " clients were cut off as too slow\n";
}

}  // namespace
}  // namespace verbund::cluster::simulation
