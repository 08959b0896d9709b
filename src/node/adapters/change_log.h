#pragma once
/// cluster::ChangeLog by feed::Feed: the capture thread's transactions are posted to the loop, in order; the loop sees a
/// head that never runs ahead of what the service has been given. Author "by lock" is looked up at the service.
#include "cluster/service.h"
#include "feed/feed.h"
#include "history/relay.h"
#include "node/adapters/change_authors.h"
#include "node/adapters/feed_progress.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {

class FeedChangeLog final : public cluster::ChangeLog {
 public:
  FeedChangeLog(net::EventLoop& loop, os::WorkerPool& workers) : loop_(loop), workers_(workers) {}

  /// Callbacks for the Feed; they post to the loop.
  feed::FeedEvents events();
  /// After the feed has started and before the loop runs: what lies before its head now is the journal's business,
  /// and is not handed on once more.
  void begin_at(feed::Feed& feed);
  /// Before the feed starts: who waits for positions is told by the capture thread itself.
  void attach(FeedPassed& passed) { waiting_ = &passed; }
  void attach(cluster::Service& service) {
    service_ = &service;
    tell_state();
  }
  /// History follows what the service is given; before the loop runs.
  void attach(ChangeAuthors& authors, history::Relay& relay) {
    authors_ = &authors;
    relay_ = &relay;
  }
  /// What clients are told beside the feed's own alarm; empty: over. On the loop.
  void on_mirror_alarm(std::string alarm);
  /// On the loop, before service and relay go.
  void detach() {
    service_ = nullptr;
    authors_ = nullptr;
    relay_ = nullptr;
  }

  [[nodiscard]] Cursor head() const override { return head_; }
  [[nodiscard]] Lsn passed() const override { return passed_; }
  void replay(Cursor from, std::size_t limit,
              std::function<void(Result<std::vector<protocol::Changes>>)> done) override;
  void announce(std::vector<protocol::AnnouncedChange> changes, SessionId by, std::function<void(Status)> done) override;
  void current_lsn(std::function<void(Result<Lsn>)> done) override;

 private:
  void tell_state();
  protocol::Changes to_protocol(const feed::TransactionEvent& event) const;
  template <typename T>
  void on_worker(std::function<T()> task, std::function<void(T)> done);

  net::EventLoop& loop_;
  os::WorkerPool& workers_;
  feed::Feed* feed_ = nullptr;
  cluster::Service* service_ = nullptr;
  ChangeAuthors* authors_ = nullptr;
  history::Relay* relay_ = nullptr;
  FeedPassed* waiting_ = nullptr;
  Cursor head_;  // loop thread
  Lsn passed_;   // loop thread
  std::string state_ = "behind", reason_, alarm_, mirror_alarm_;  // what clients were told; loop thread
};

}  // namespace verbund::node
