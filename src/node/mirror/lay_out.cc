#include "node/mirror/lay_out.h"

#include "base/messages.h"
#include "node/installation.h"
#include "node/mirror/report.h"
#include "node/mirror/role.h"
#include "platform/os/file.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + '"';
}

Status write_all(const fs::path& folder, const json::object& admission, std::string_view member, unsigned mode, std::initializer_list<const char*> names) {
  const auto* texts = admission.if_contains(member);
  if (!texts || !texts->is_object()) return fail(ErrorCode::kBadMessage, phrase("read the pair's message: field {} is missing or wrong", member));
  for (const char* name : names) {
    auto text = text_of(texts->as_object(), name);
    if (!text) return pass(text);
    if (mode == 0600 && (text->empty() || text->back() != '\n')) *text += '\n';
    if (auto written = os::write_file_atomically(folder / name, *text, mode); !written) return written;
  }
  return {};
}

/// Where PostgreSQL of this machine listens, by what production's verbund.toml says of production's: an address of that machine is none of this one.
std::string own_listen(std::string_view theirs) {
  const bool anywhere = theirs.empty() || theirs == "*" || theirs == "localhost" || theirs.starts_with("127.") || theirs == "::1" || theirs == "0.0.0.0" || theirs == "::";
  return anywhere ? std::string(theirs) : "0.0.0.0";
}

/// What stands before production's verbund.toml here.
Result<std::string> own_toml(const json::object& admission) {
  std::string toml = "# Made by `verbund mirror join`: what is this machine's own; it comes before what verbund.toml says.\n";
  for (const char* name : {"name", "listen", "own_database_port", "database_listen", "mirror_listen"}) {
    if (auto text = text_of(admission, name); !text) return pass(text);
  }
  const auto text = [&](const char* name) { return std::string(admission.at(name).as_string()); };
  toml += fmt::format("[node]\nname = {}\nservers = []\n\n[listen]\n", toml_text(text("name")));
  if (!text("listen").empty()) {
    auto listen = parse_host_port(text("listen"));
    if (!listen) return pass(listen);
    toml += fmt::format("host = {}\nport = {}\n", toml_text(listen->first), listen->second);
  }
  toml += "names = []\n\n[database]\n";
  if (!text("own_database_port").empty()) toml += fmt::format("port = {}\n", text("own_database_port"));
  // As production's: one day it is this machine that is reached and followed.
  return toml + fmt::format("listen = {}\n\n[mirror]\nlisten = {}\n", toml_text(own_listen(text("database_listen"))), toml_text(own_listen(text("mirror_listen"))));
}

/// The other machine of the pair.
Status keep_peer(const fs::path& directory, const json::object& admission) {
  Peer peer;
  const auto name = text_of(admission, "production_name");
  const auto host = text_of(admission, "host");
  const auto port = number_of(admission, "port");
  const auto database_port = number_of(admission, "database_port");
  const auto member = number_of(admission, "production_member");
  if (!name) return std::unexpected(name.error());
  if (!host) return std::unexpected(host.error());
  if (!port) return std::unexpected(port.error());
  if (!database_port) return std::unexpected(database_port.error());
  if (!member) return std::unexpected(member.error());
  return write_peer(directory, {*name, *host, static_cast<std::uint16_t>(*port), static_cast<std::uint16_t>(*database_port), *member});
}

}  // namespace

Status lay_out_mirror(const fs::path& directory, const json::object& admission) {
  for (const auto& [name, mode] : {std::pair{"config", 0755u}, {"secrets", 0700u}, {"log", 0750u}, {"tls", 0755u}, {"agent", 0700u}, {"mirror", 0700u}}) {
    if (auto made = os::make_directories(directory / name, mode); !made) return made;
  }
  const auto put = [&](const fs::path& path, const char* member, unsigned mode) -> Status {
    auto text = text_of(admission, member);
    if (!text) return pass(text);
    return os::write_file_atomically(directory / path, *text, mode);
  };
  if (auto put_key = put("tls/ca.key", "ca_key", 0600); !put_key) return put_key;
  if (auto put_ca = put("tls/ca.crt", "ca_crt", 0644); !put_ca) return put_ca;
  if (auto secret = put("secrets/pair", "password", 0600); !secret) return secret;
  auto secrets = write_all(directory / "secrets", admission, "secrets", 0600,
                           {Installation::kSuperuser, Installation::kNodeRole, Installation::kApplicationRole});
  if (!secrets) return secrets;
  if (admission.at("secrets").as_object().contains(kMailSecret)) {
    if (auto mail = write_all(directory / "secrets", admission, "secrets", 0600, {kMailSecret}); !mail) return mail;
  }
  auto user = text_of(admission, "user");
  if (!user) return pass(user);
  auto token = text_of(admission, "token");
  if (!token) return pass(token);
  const json::object login{{"user", *user}, {"token", *token}};
  if (auto written = os::write_file_atomically(directory / "mirror" / "login.json", json::serialize(login) + "\n", 0600); !written) return written;
  if (auto kept = keep_peer(directory, admission); !kept) return kept;
  auto own = own_toml(admission);
  if (!own) return pass(own);
  // Before verbund.toml, which makes the directory an installation.
  if (auto written = os::write_file_atomically(directory / "config" / "mirror.toml", *own, 0644); !written) return written;
  return write_all(directory / "config", admission, "files", 0644, {"P2P.properties", "backup.toml", "verbund.toml"});
}

}  // namespace verbund::node
