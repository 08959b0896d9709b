#pragma once
/// REST on the node's port (docs/protocol/openapi.yaml): one file per resource. The page's files, /metrics and /healthz.
///
/// Threads: on_request on the loop; resources run on the worker pool and may block. Rights are checked before a
/// resource is called. A request that changes something and is authenticated by the login cookie must carry the header
/// X-Verbund (a foreign page can't set it: CSRF).
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "access/accounts.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/time.h"
#include "feed/feed.h"
#include "guard/guard.h"
#include "platform/net/server.h"
#include "platform/os/worker_pool.h"
#include "platform/postgres/connection.h"
#include "records/record_types.h"
#include "sync/model/transport.h"
#include "sync/server/device_service.h"

namespace verbund::history {
class Erasures;
}

namespace verbund::api {

/// Switches the guard; from workers. Made by node.
struct GuardSwitch {
  std::function<Status(const std::string& type, guard::Mode mode)> enable;
  std::function<Status(const std::string& type)> disable;
  std::function<Result<std::vector<guard::GuardedType>>()> state;
  std::function<Result<std::vector<guard::WarningCount>>()> warnings;
};

/// Production's side of a pair; from workers. Answers are JSON. Made by node.
struct MirrorDoor {
  std::function<Result<std::string>(const std::string& user, std::chrono::minutes valid, bool replace)> invite;
  std::function<Result<std::string>(const std::string& code)> look;
  std::function<Result<std::string>(const std::string& code, const std::string& name, const std::string& address)> join;
  std::function<Result<std::string>(const std::string& secret, const std::string& body)> beat;
  std::function<Result<std::string>()> status;
  /// How the mirror follows: `request` is a JSON object.
  std::function<Result<std::string>(const std::string& request)> follow;
  /// For the mirror: which files of the log are kept (`name` empty: JSON); a piece of one.
  std::function<Result<std::string>(const std::string& secret, const std::string& name, std::uint64_t offset)> log;
  /// For the mirror: which folders it is to copy, what lies in one, a piece of a file (with `asked["entry"]`).
  std::function<Result<std::string>(const std::string& secret, const boost::json::object& asked)> folders;
  /// For the mirror: the backup ledger, and who makes the nights.
  std::function<Result<std::string>(const std::string& secret, const boost::json::object& asked)> nights;
  std::function<Result<std::string>(const std::string& secret, const std::string& address, const std::string& body)> exchange;
  std::function<Result<std::string>(const std::string& user, const std::string& body)> act;
  std::function<bool(const std::string& shown)> is_control_secret;  ///< what this machine's commands show
};

/// Calls of devices; from its own workers, which may wait for the source. Made by node.
struct DeviceDoor {
  std::function<Result<sync::DeviceAnswer>(const sync::DeviceCall& call, const std::string& address)> call;
  os::WorkerPool* workers = nullptr;
  /// The rules are others: their tables are captured from now on. Blocks. Errors: not yet, and why; it is tried again.
  std::function<Status()> rules_changed;
  /// Of [sync.folders], by their names.
  std::vector<std::string> folders = {};
  /// What a device has of a record. Blocks.
  std::function<Result<sync::server::DeviceService::HeldRow>(std::uint64_t device, const std::string& subscription, const std::string& key)> held;
};

/// What the resources stand on; borrowed, outlives the Api.
struct Surroundings {
  net::EventLoop& loop;
  os::WorkerPool& workers;
  access::Accounts& accounts;
  postgres::Pool& mid_tier;
  postgres::Pool& source;
  postgres::Pool& versions;
  history::Erasures& erasures;
  const records::RecordTypes& types;
  feed::Feed& feed;
  const Clock& clock;
  Log& log;
  std::function<std::string()> status_json;   ///< on the loop
  std::function<std::string()> metrics_text;  ///< any thread
  std::function<bool()> healthy;              ///< on the loop
  std::function<Cursor()> head;               ///< on the loop
  std::function<void(std::string)> end_sessions_of;  ///< any thread: of a user, removed or disabled
  std::string ca_pem;
  GuardSwitch guard;
  MirrorDoor mirror;
  DeviceDoor devices;
  /// Until the history has everything up to the feed's head, which stands still; nothing without history. Blocks.
  std::function<Status(Deadline)> history_caught_up;
  /// The source (else the versions) database is another one than before under the same name. How many erasures were repeated; blocks.
  std::function<Result<std::size_t>(bool source)> database_restored;
};

/// A request that has passed the checks.
struct Call {
  const net::HttpRequest& request;
  std::vector<std::string> arguments;      ///< what the pattern's '*' matched
  std::optional<access::Account> account;  ///< absent on public routes
  std::string login_secret;                ///< of the cookie, or empty
  Cursor head;                             ///< when the request came in: what is read is at least as new
  Language language;                       ///< in which errors are said
};
using Resource = std::function<net::HttpResponse(const Call&)>;

struct Route {
  std::string method;
  std::string pattern;                    ///< "/api/records/*/*"; the last '*' takes the rest of the path
  std::optional<access::Right> right;     ///< needed right; absent: public
  Resource resource;
  bool by_control = false;                ///< this machine's control secret stands for a login with any right; then without an account
  os::WorkerPool* workers = nullptr;      ///< other than everybody's
};

class Api final : public net::HttpHandler {
 public:
  explicit Api(Surroundings surroundings);
  ~Api() override;
  void on_request(std::shared_ptr<net::HttpExchange> exchange) override;
  bool accept_websocket(const net::HttpRequest& request) override;

 private:
  void answer(const std::shared_ptr<net::HttpExchange>& exchange, const Route& route, std::vector<std::string> arguments);
  access::Attempt authenticate(const net::HttpRequest& request) const;

  Surroundings surroundings_;
  std::vector<Route> routes_;
};

/// From Accept-Language: the first of German and English that stands there (browsers list the dearest first); else English.
Language language_of(const net::HttpRequest& request);
net::HttpResponse error_response(Language language, const Error& error, std::optional<milliseconds> retry_after = {});
net::HttpResponse json_response(std::string body, int status = 200);

// The resources, one file each; each appends its routes.
void add_login_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_record_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_user_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_feed_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_audit_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_history_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_guard_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_mirror_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_sync_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_device_routes(std::vector<Route>& routes, const Surroundings& surroundings);
void add_database_routes(std::vector<Route>& routes, const Surroundings& surroundings);

}  // namespace verbund::api
