#pragma once
/// A running node: wires every folder into one process and runs it in the foreground.
///
/// Threads: run() is the event loop's thread (network, sessions, locks). Besides it: one that waits for signals, the feed's capture thread, the
/// agent's thread, a worker pool for everything that blocks. Order of start: lock file, configuration, agent, what this machine is in its pair
/// (mirror/pair_seat.h); then production's part (PostgreSQL, databases, accounts, record types, feed, port) or a mirror's, one after
/// the other as often as that changes. Stop is the same way back.
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/messages.h"
#include "base/result.h"

namespace verbund::net {
class EventLoop;
}

namespace verbund::node {

class PairSeat;

struct NodeOptions {
  std::filesystem::path directory;
  std::optional<std::string> listen;   ///< overrides [listen] for this run; port 0 picks one
  Language language = Language::kEnglish;
  bool demo = false;                   ///< load the demo practice when the source database is empty
  std::filesystem::path demo_data;     ///< unpacked FHIR files; empty or missing: synthetic patients
  /// On a Patroni cluster, made by node/patroni: the seat that this node holds. Empty: `run` looks for itself what the installation is.
  std::shared_ptr<struct NodeSeat> seat;
  /// Called when clients can connect; in a pair or on a Patroni cluster again when this machine has become something else.
  std::function<void(const struct Started&)> on_started;
  std::function<bool()> stopping;      ///< set by Node
};

/// What a person wants to know after the start.
struct Started {
  std::filesystem::path directory;
  std::string page;                    ///< "https://localhost:2222/"
  std::uint16_t port = 0;
  std::string administrator;           ///< its name
  std::string first_password;          ///< only when it was made now
  std::string psql;                    ///< command line that opens the source database
  std::string example_key;             ///< a record to try the lock on; empty: there is none
  std::string mirror_of;               ///< "HOST:PORT" of the other machine's node; empty: this is production
  std::string role = "production";     ///< or "mirror", "waiting", "fenced", "rejoining" (mirror_port.h), "standby" (on a Patroni cluster)
  std::string waits_for;               ///< on a Patroni cluster: who works, "NAME (HOST:PORT)"; empty: this node does
  std::string demo_report;             ///< what was imported, for people; empty: nothing
};

class Node {
 public:
  explicit Node(NodeOptions options);
  ~Node();
  /// Starts everything, runs until SIGINT, SIGTERM or request_stop, stops everything in order.
  Status run();
  /// From any thread.
  void request_stop();

 private:
  struct Impl;
  Status run_phases();
  /// One part of the node, on a loop of its own: nothing that an earlier part has posted is left in it.
  Status run_phase(PairSeat& seat, std::uint16_t& port);
  void use_loop(std::shared_ptr<net::EventLoop> loop);
  NodeOptions options_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::shared_ptr<net::EventLoop> loop_;  // under mutex_: of the part that runs
};

}  // namespace verbund::node
