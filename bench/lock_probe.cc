#include "lock_probe.h"

#include "options.h"

namespace verbund::bench {
namespace {

/// Between two pairs: frequent enough to hit each fan-out, seldom enough not to load the server.
constexpr std::chrono::milliseconds kPause{1};

Target deaf(Target target) {
  target.watch = R"({"types":[],"locks":false,"presence":false})";
  return target;
}

}  // namespace

LockProbe::LockProbe(const Target& target)
    : target_(deaf(target)), sockets_(enter(target_, 1, {})), thread_([this] { run(); }) {}

LockProbe::~LockProbe() { stop(); }

Samples& LockProbe::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  return grants_;
}

void LockProbe::exchange(std::string_view request, std::string_view good) {
  sockets_[0].send(request);
  const auto reply = sockets_[0].wait_reply();
  if (reply.find(good) == std::string::npos) give_up("probe", reply);
}

void LockProbe::run() {
  const bool redis = target_.wire == Wire::kRedis;
  const auto lock = redis ? resp({"SET", "probe", "1", "NX", "PX", "30000"})
                          : framed(target_.wire, R"({"op":"lock","keys":["bench/probe"]})");
  const auto unlock = redis ? resp({"DEL", "probe"}) : framed(target_.wire, R"({"op":"unlock","keys":["bench/probe"]})");
  while (!stopping_) {
    const auto asked = Clock::now();
    exchange(lock, redis ? "+OK" : "\"ok\":true");
    grants_.add(Clock::now() - asked);
    exchange(unlock, redis ? ":1" : "\"ok\":true");
    std::this_thread::sleep_for(kPause);  // paces the load; nothing is waited for
  }
  leave(target_, sockets_);
}

}  // namespace verbund::bench
