#include "node/adapters/authenticator.h"

#include "base/messages.h"

namespace verbund::node {

void AccountAuthenticator::authenticate(cluster::Credentials credentials, std::function<void(Answer)> done) {
  // std::function must be copyable, hence the shared callback of the two ways out.
  auto shared = std::make_shared<std::function<void(Answer)>>(std::move(done));
  auto submitted = workers_.submit([this, credentials = std::move(credentials), shared] {
    loop_.post([answer = check(credentials), shared]() mutable { (*shared)(std::move(answer)); });
  });
  if (!submitted) {
    loop_.post([error = submitted.error(), shared] { (*shared)({std::unexpected(error), milliseconds{1000}}); });
  }
}

cluster::Authenticator::Answer AccountAuthenticator::check(const cluster::Credentials& credentials) {
  access::Attempt attempt =
      !credentials.token.empty()    ? accounts_.check_token(credentials.token, credentials.address)
      : !credentials.cookie.empty() ? accounts_.check_login(credentials.cookie, credentials.address)
                                    : accounts_.check_password(credentials.user, credentials.password, credentials.address);
  if (!attempt.account) return {std::unexpected(attempt.account.error()), attempt.retry_after};
  const auto& account = *attempt.account;
  if (!access::has_right(account.role, access::Right::kEditRecords)) {
    return {fail(ErrorCode::kForbidden, phrase("register: role {} may not join as a workstation", to_wire(account.role))),
            std::nullopt};
  }
  return {cluster::Identity{account.user, std::string(to_wire(account.role)),
                            access::has_right(account.role, access::Right::kBreakLocks)},
          std::nullopt};
}

}  // namespace verbund::node
