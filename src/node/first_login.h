#pragma once
/// The administrator's first login and this machine's client.toml. Threads: one, at start; blocks.
#include <optional>
#include <string>

#include "access/accounts.h"
#include "base/result.h"
#include "node/installation.h"

namespace verbund::node {

struct FirstLogin {
  std::string user = "admin";
  std::string password;  ///< empty: there were accounts already
};
/// With no account at all: makes the administrator (administrator.txt, 0600). Without a client.toml: makes one with a
/// token of the administrator.
Result<FirstLogin> ensure_first_login(const Installation& installation, access::Accounts& accounts, std::uint16_t port);

}  // namespace verbund::node
