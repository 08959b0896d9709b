#pragma once
/// A running node: wires every folder into one process and runs it in the foreground.
///
/// Threads: run() is the event loop's thread (network, sessions, locks). Besides it: the feed's capture thread, the
/// agent's thread, a worker pool for everything that blocks. Order of start: lock file, configuration, certificates,
/// PostgreSQL (agent), databases, accounts, record types, feed, port. Stop is the same way back.
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/messages.h"
#include "base/result.h"

namespace verbund::node {

struct NodeOptions {
  std::filesystem::path directory;
  std::optional<std::string> listen;   ///< overrides [listen] for this run; port 0 picks one
  Language language = Language::kEnglish;
  bool demo = false;                   ///< load the demo practice when the source database is empty
  std::filesystem::path demo_data;     ///< unpacked FHIR files; empty or missing: synthetic patients
  /// Called once, when clients can connect.
  std::function<void(const struct Started&)> on_started;
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
  std::unique_ptr<Impl> impl_;
};

}  // namespace verbund::node
