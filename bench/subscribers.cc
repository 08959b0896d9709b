#include "subscribers.h"

#include <libpq-fe.h>

#include "options.h"

namespace verbund::bench {
namespace {

class Clients final : public Subscribers {
 public:
  Clients(Target target, std::size_t count, std::string marker)
      : target_(std::move(target)), marker_(std::move(marker)), sockets_(enter(target_, count, subscription())) {}

  [[nodiscard]] std::size_t count() const override { return sockets_.size(); }
  [[nodiscard]] std::size_t last_bytes() const override { return last_bytes_; }

  void watch_with(Epoll& epoll) override {
    for (std::size_t i = 0; i < sockets_.size(); ++i) epoll.add(sockets_[i].fd(), static_cast<std::uint32_t>(i));
  }

  std::size_t receive(std::size_t number) override {
    std::size_t publications = 0;
    auto& socket = sockets_[number];
    socket.receive([&](std::string_view message) {
      if (message.starts_with(marker_)) {
        ++publications;
        last_bytes_ = message.size();
      } else if (message == "PING") {
        socket.send("PONG\r\n");
      }
    });
    return publications;
  }

  void leave() override { bench::leave(target_, sockets_); }

 private:
  [[nodiscard]] std::string subscription() const {
    if (target_.wire == Wire::kRedis) return resp({"SUBSCRIBE", "bench"});
    if (target_.wire == Wire::kNats) return "SUB bench 1\r\n";
    return {};  // ours said in the registration what they watch
  }

  Target target_;
  std::string marker_;
  std::vector<Socket> sockets_;
  std::size_t last_bytes_ = 0;
};

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;

class Listeners final : public Subscribers {
 public:
  Listeners(const std::string& conninfo, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& connection = connections_.emplace_back(PQconnectdb(conninfo.c_str()), &PQfinish);
      if (PQstatus(connection.get()) != CONNECTION_OK) give_up("connect to PostgreSQL", PQerrorMessage(connection.get()));
      PQclear(PQexec(connection.get(), "LISTEN bench"));
    }
  }
  [[nodiscard]] std::size_t count() const override { return connections_.size(); }
  [[nodiscard]] std::size_t last_bytes() const override { return last_bytes_; }

  void watch_with(Epoll& epoll) override {
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      epoll.add(PQsocket(connections_[i].get()), static_cast<std::uint32_t>(i));
    }
  }

  std::size_t receive(std::size_t number) override {
    auto* connection = connections_[number].get();
    if (PQconsumeInput(connection) == 0) give_up("listen", PQerrorMessage(connection));
    std::size_t publications = 0;
    while (auto* notify = PQnotifies(connection)) {
      ++publications;
      last_bytes_ = std::string_view(notify->extra).size();
      PQfreemem(notify);
    }
    return publications;
  }

  void leave() override { connections_.clear(); }

 private:
  std::vector<Connection> connections_;
  std::size_t last_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Subscribers> subscribe(const Target& target, std::size_t count, std::string marker) {
  return std::make_unique<Clients>(target, count, std::move(marker));
}

std::unique_ptr<Subscribers> listen_in_postgres(const std::string& conninfo, std::size_t count) {
  return std::make_unique<Listeners>(conninfo, count);
}

}  // namespace verbund::bench
