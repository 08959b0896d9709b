// The threads' side of Client: start, calls from other threads, the end.
#include "client/client_impl.h"

#include <charconv>
#include <future>
#include <locale>

#include "base/messages.h"
#include "client/public_views.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund {
inline namespace client_v1 {
namespace {

constexpr milliseconds kTick{100};
constexpr seconds kGoodbyeTime{1};
constexpr std::size_t kMaxAuthorityBytes = 1024 * 1024;

/// The environment may name a locale that the machine does not have.
std::string locale_name() {
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  return "C";
}

std::uint64_t random_seed() {
  const auto digits = os::random_hex(sizeof(std::uint64_t));
  std::uint64_t seed = 1;
  std::from_chars(digits.data(), digits.data() + digits.size(), seed, 16);
  return seed;
}

Language language_of(const ClientSettings& settings) {
  return language_from_locale(settings.language.empty() ? locale_name() : settings.language);
}

client::EngineSettings engine_settings(const ClientSettings& settings) {
  client::EngineSettings out;
  out.servers = settings.servers;
  out.reconnect = settings.reconnect;
  out.connect_timeout = settings.connect_timeout;
  out.seed = random_seed();
  auto& registration = out.registration;
  if (settings.token.empty()) {
    registration.user = settings.user;
    registration.password = settings.password;
  } else {
    registration.token = settings.token;
  }
  registration.workstation = settings.workstation;
  registration.app = settings.app;
  registration.kind = settings.tool ? protocol::SessionKind::kTool : protocol::SessionKind::kWorkstation;
  registration.language = language_of(settings);
  registration.watch = {settings.watch_types, settings.watch_locks, settings.watch_presence};
  registration.cursor = client::parse_cursor(settings.cursor);
  return out;
}

}  // namespace

Client::Impl::Impl(ClientSettings given) : settings(std::move(given)), language(language_of(settings)) {}

Expected<Ok> Client::Impl::connect() {
  if (settings.servers.empty()) return client::failure(make_error(ErrorCode::kUsage, phrase("connect: no server is named")), language);
  if (!settings.cursor.empty() && !client::parse_cursor(settings.cursor)) {
    return client::failure(make_error(ErrorCode::kUsage, phrase("connect: '{}' is no cursor", settings.cursor), phrase("a cursor is HISTORY:CSN")), language);
  }
  std::unique_lock lock(mutex);
  if (started || ending) return client::failure(make_error(ErrorCode::kUsage, phrase("connect: this client has been connected already"), phrase("make another one")), language);
  if (settings.tls && !settings.ca_file.empty()) {
    auto read = os::read_file(settings.ca_file, kMaxAuthorityBytes);
    if (!read) return client::failure(std::move(read.error()).in("connect: read the authority's certificate"), language);
    ca_pem = std::move(*read);
  }
  engine = std::make_unique<client::Engine>(engine_settings(settings));
  started = true;
  ++inside;
  thread = std::thread([this] { loop.run(); });
  loop_thread = thread.get_id();
  loop.post([this] { start(); });
  // The engine ends every attempt by itself: connect_timeout per server.
  changed.wait(lock, [this] { return state == client::State::kConnected || state == client::State::kEnded; });
  const auto reached = state;
  const auto reason = client::failure(end_reason, language);
  --inside;
  changed.notify_all();
  if (reached == client::State::kEnded) return reason;
  return Ok{};
}

void Client::Impl::start() {
  ticker = loop.every(kTick, [this] {
    client::Actions actions;
    engine->tick(clock.now(), actions);
    run_actions(std::move(actions));
  });
  client::Actions actions;
  engine->start(clock.now(), actions);
  run_actions(std::move(actions));
}

Client::Impl::Outcome Client::Impl::call(protocol::RequestBody body, nanoseconds time) {
  using protocol::Refused;
  auto promise = std::make_shared<std::promise<Outcome>>();  // shared with the loop's task, which may run after a wait
  auto future = promise->get_future();
  {
    const std::scoped_lock lock(mutex);
    if (!started || ending) return Refused{make_error(ErrorCode::kNotReachable, phrase("ask the node: connect first")), {}, {}};
    if (std::this_thread::get_id() == loop_thread) {
      return Refused{make_error(ErrorCode::kUsage, phrase("ask the node: not from a callback"), phrase("hand the work to another thread")), {}, {}};
    }
    ++inside;
    // Under the lock: the destructor's own task comes after this one.
    loop.post([this, body = std::move(body), time, promise]() mutable {
      client::Actions actions;
      const auto now = clock.now();
      const auto id = engine->call(std::move(body), now + time, now, actions);
      waiting.emplace(id, [promise](Outcome outcome) { promise->set_value(std::move(outcome)); });
      run_actions(std::move(actions));
    });
  }
  auto outcome = future.get();
  const std::scoped_lock lock(mutex);
  --inside;
  changed.notify_all();
  return outcome;
}

void Client::Impl::reconnect_now() {
  const std::scoped_lock lock(mutex);
  if (!started || ending) return;
  loop.post([this] {
    client::Actions actions;
    engine->reconnect_now(clock.now(), actions);
    run_actions(std::move(actions));
  });
}

Client::Impl::~Impl() {
  {
    const std::scoped_lock lock(mutex);
    ending = true;
    if (!started) return;
  }
  auto said = std::make_shared<std::promise<void>>();  // outlives this wait when the answer comes late
  auto future = said->get_future();
  loop.post([this, said] {
    forget_callbacks();
    say_goodbye([said](const Outcome&) { said->set_value(); });
  });
  future.wait_for(kGoodbyeTime + kTick);
  loop.post([this] { finish(); });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return inside == 0; });
  }
  loop.stop();
  thread.join();
}

/// Loop thread. A promise may be met only once: whatever comes first.
void Client::Impl::say_goodbye(Done done) {
  client::Actions actions;
  const auto now = clock.now();
  const auto id = engine->call(protocol::Goodbye{}, now + kGoodbyeTime, now, actions);
  waiting.emplace(id, std::move(done));
  run_actions(std::move(actions));
}

/// Loop thread: nobody waits any longer than this.
void Client::Impl::finish() {
  ticker.cancel();
  client::Actions actions;
  engine->end(make_error(ErrorCode::kCancelled, phrase("wait for the node's answer: this program ends the connection")), actions);
  run_actions(std::move(actions));
  ++generation;
  connection.reset();
}

client::State Client::Impl::current_state() const {
  const std::scoped_lock lock(mutex);
  // The lease ends even while the loop thread stands still (the process was stopped).
  return state == client::State::kConnected && !may_edit() ? client::State::kReadOnly : state;
}

bool Client::Impl::may_edit() const { return clock.now().time_since_epoch().count() < edit_until.load(); }

}  // namespace client_v1
}  // namespace verbund
