#include "node/first_login.h"

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::node {
namespace {

/// Four groups that can be read out over a telephone: no 0/O, 1/l.
std::string readable_password() {
  constexpr std::string_view kLetters = "abcdefghjkmnpqrstuvwxyz23456789";
  const std::string random = os::random_hex(16);
  std::string password;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i > 0 && i % 4 == 0) password += '-';
    const auto byte = static_cast<std::size_t>(std::stoi(random.substr(i * 2, 2), nullptr, 16));
    password += kLetters[byte % kLetters.size()];
  }
  return password;
}

Status write_client_toml(const Installation& installation, access::Accounts& accounts, const std::string& user,
                         std::uint16_t port) {
  const auto path = installation.directory() / "client.toml";
  if (std::filesystem::exists(path)) return {};
  auto token = accounts.create_token(user, "client.toml");
  if (!token) return pass(token, "make the token of client.toml");
  const auto text = fmt::format(
      "# How this machine's `verbund` commands reach the node. Holds a secret: keep it 0600.\n"
      "servers = [\"127.0.0.1:{}\"]\nuser = \"{}\"\ntoken = \"{}\"\nca = \"tls/ca.crt\"\n",
      port, user, *token);
  return os::write_file_atomically(path, text, 0600);
}

}  // namespace

Result<FirstLogin> ensure_first_login(const Installation& installation, access::Accounts& accounts, std::uint16_t port) {
  auto existing = accounts.list();
  if (!existing) return pass(existing);
  FirstLogin login;
  if (existing->empty()) {
    login.password = readable_password();
    const auto text = fmt::format("user: {}\npassword: {}\n", login.user, login.password);
    // The file first: an account whose password nobody has read would lock everybody out.
    if (auto written = os::write_file_atomically(installation.directory() / "administrator.txt", text, 0600); !written) {
      return pass(written);
    }
    // A token of an earlier database (detached, lost) opens nothing any more.
    const auto client = installation.directory() / "client.toml";
    std::error_code error;
    if (std::filesystem::exists(client)) std::filesystem::rename(client, installation.directory() / "client.toml.old", error);
    if (error) return fail(ErrorCode::kIo, phrase("rename {}: {}", client.string(), error.message()));
    if (auto added = accounts.add(login.user, login.password, access::Role::kAdministrator); !added) return pass(added);
  } else {
    const auto administrator = std::find_if(existing->begin(), existing->end(), [](const access::Account& account) {
      return account.role == access::Role::kAdministrator && account.enabled;
    });
    if (administrator != existing->end()) login.user = administrator->user;
  }
  if (auto written = write_client_toml(installation, accounts, login.user, port); !written) return pass(written);
  return login;
}

}  // namespace verbund::node
