#include "publisher.h"

#include <libpq-fe.h>

#include "options.h"

namespace verbund::bench {
namespace {

class WirePublisher final : public Publisher {
 public:
  WirePublisher(const WirePublisher&) = delete;
  WirePublisher& operator=(const WirePublisher&) = delete;
  WirePublisher(Target target, std::string what, std::size_t payload_bytes)
      : target_(std::move(target)), what_(std::move(what)), payload_(payload_bytes, 'x'), sockets_(enter(target_, 1, {})) {}
  ~WirePublisher() override { leave(target_, sockets_); }

  void publish(std::size_t number) override { sockets_[0].send(request(number)); }

  void settle() override {
    if (target_.wire == Wire::kNats) return;  // not verbose: it does not answer
    const auto reply = sockets_[0].wait_reply();
    const bool good = target_.wire == Wire::kRedis ? reply.starts_with(":") : reply.find("\"ok\":true") != std::string::npos;
    if (!good) give_up("publish", reply);
  }

 private:
  [[nodiscard]] std::string request(std::size_t number) const {
    if (target_.wire == Wire::kRedis) return resp({"PUBLISH", "bench", payload_});
    if (target_.wire == Wire::kNats) return fmt::format("PUB bench {}\r\n{}\r\n", payload_.size(), payload_);
    if (what_ == "tell") return framed(target_.wire, R"({"op":"tell","to":"*","text":"A word to all."})");
    return framed(target_.wire, fmt::format(R"({{"op":"changed","changes":[{{"key":"bench/{}","op":"update"}}]}})", number));
  }

  Target target_;
  std::string what_, payload_;
  std::vector<Socket> sockets_;
};

class CommitPublisher final : public Publisher {
 public:
  CommitPublisher(const std::string& conninfo, std::string statement)
      : connection_(PQconnectdb(conninfo.c_str()), &PQfinish), statement_(std::move(statement)) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) give_up("connect to PostgreSQL", PQerrorMessage(connection_.get()));
    begin();
  }

  void publish(std::size_t) override {
    if (PQsendQuery(connection_.get(), "COMMIT") == 0) give_up("commit", PQerrorMessage(connection_.get()));
  }

  void settle() override {
    while (auto* result = PQgetResult(connection_.get())) check(result, "commit");
    begin();
  }

 private:
  void begin() {
    auto text = statement_;
    if (const auto at = text.find("%d"); at != std::string::npos) text.replace(at, 2, std::to_string(number_++));
    check(PQexec(connection_.get(), "BEGIN"), "begin");
    check(PQexec(connection_.get(), text.c_str()), text);
  }

  void check(PGresult* result, std::string_view what) {
    const auto status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) give_up(what, PQerrorMessage(connection_.get()));
    PQclear(result);
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
  std::string statement_;
  std::size_t number_ = 1;
};

}  // namespace

std::unique_ptr<Publisher> over_the_wire(const Target& target, const std::string& what, std::size_t payload_bytes) {
  Target deaf = target;
  deaf.watch = R"({"types":[],"locks":false,"presence":false})";
  return std::make_unique<WirePublisher>(std::move(deaf), what, payload_bytes);
}

std::unique_ptr<Publisher> by_commit(const std::string& conninfo, std::string statement) {
  return std::make_unique<CommitPublisher>(conninfo, std::move(statement));
}

}  // namespace verbund::bench
