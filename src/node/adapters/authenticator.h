#pragma once
/// cluster::Authenticator by access::Accounts: argon2id and the database on the worker pool, the answer on the loop.
#include "access/accounts.h"
#include "cluster/service.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {

class AccountAuthenticator final : public cluster::Authenticator {
 public:
  AccountAuthenticator(access::Accounts& accounts, os::WorkerPool& workers, net::EventLoop& loop)
      : accounts_(accounts), workers_(workers), loop_(loop) {}
  void authenticate(cluster::Credentials credentials, std::function<void(Answer)> done) override;

 private:
  Answer check(const cluster::Credentials& credentials);

  access::Accounts& accounts_;
  os::WorkerPool& workers_;
  net::EventLoop& loop_;
};

}  // namespace verbund::node
