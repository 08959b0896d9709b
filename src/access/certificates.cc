#include "access/certificates.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "base/messages.h"
#include "access/x509.h"
#include "platform/os/file.h"
#include "platform/os/random.h"

namespace verbund::access {
namespace {

namespace fs = std::filesystem;
using std::chrono::days;

constexpr days kAuthorityLife{3652};
constexpr days kServerLife{397};      // browsers refuse more than 398
constexpr days kRenewedBefore{30};
constexpr days kClockSkew{1};         // a client's clock may be behind ours
constexpr std::size_t kMaxPemBytes = 64 * 1024;
constexpr unsigned kKeyMode = 0600;
constexpr unsigned kPublicMode = 0644;

/// Absent: there is no such file.
Result<std::optional<std::string>> read_if_there(const fs::path& path) {
  auto text = os::read_file(path, kMaxPemBytes);
  if (text) return std::optional(std::move(*text));
  if (text.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
  return pass(text);
}

std::unexpected<Error> bad_file(const fs::path& path, Phrase why, Phrase hint) {
  return fail(ErrorCode::kBadConfig, phrase("read certificates: {}: {}", path.string(), why), std::move(hint));
}

struct Pair {
  x509::Key key;
  x509::Certificate certificate;
};

/// The two files of one certificate, as they are: either may be missing. When both are there they fit.
Result<Pair> read_pair(const fs::path& certificate_path, const fs::path& key_path) {
  auto key_text = read_if_there(key_path);
  if (!key_text) return pass(key_text);
  auto certificate_text = read_if_there(certificate_path);
  if (!certificate_text) return pass(certificate_text);
  Pair pair;
  if (*key_text) {
    pair.key = x509::key_from_pem(**key_text);
    if (!pair.key) return bad_file(key_path, phrase("it is no private key in PEM form"), phrase("Restore it from a backup."));
    // Made 0600; somebody may have copied it with other rights.
    std::error_code failed;
    fs::permissions(key_path, fs::perms::owner_read | fs::perms::owner_write, failed);
    if (failed) return fail(ErrorCode::kIo, phrase("protect {}: {}", key_path.string(), failed.message()));
  }
  if (*certificate_text) {
    pair.certificate = x509::certificate_from_pem(**certificate_text);
    if (!pair.certificate) return bad_file(certificate_path, phrase("it is no certificate in PEM form"), phrase("Restore it from a backup."));
  }
  if (pair.key && pair.certificate && !x509::fits(*pair.certificate, *pair.key)) {
    return bad_file(key_path, phrase("this key does not fit {}", certificate_path.filename().string()),
                    phrase("Restore the pair from a backup."));
  }
  return pair;
}

Status write_key(const fs::path& path, EVP_PKEY& key) {
  auto pem = x509::to_pem(key);
  if (!pem) return pass(pem);
  return os::write_file_atomically(path, *pem, kKeyMode);
}

Status write_certificate(const fs::path& path, X509& certificate) {
  auto pem = x509::to_pem(certificate);
  if (!pem) return pass(pem);
  return os::write_file_atomically(path, *pem, kPublicMode);
}

/// The key always comes first: a kill between the two leaves a key that nobody knows yet, and the next start goes on with it.
Status complete_key(Pair& pair, const fs::path& key_path) {
  if (pair.key) return {};
  auto key = x509::new_key();
  if (!key) return pass(key);
  if (auto written = write_key(key_path, **key); !written) return written;
  pair.key = std::move(*key);
  return {};
}

Result<Pair> authority(const fs::path& directory, WallTime now) {
  const auto certificate_path = directory / "ca.crt";
  const auto key_path = directory / "ca.key";
  auto pair = read_pair(certificate_path, key_path);
  if (!pair) return pair;
  if (pair->certificate && !pair->key) {
    return bad_file(key_path, phrase("the authority's key is missing, its certificate is there"),
                    phrase("Restore ca.key from a backup, or remove all of ca.* and server.*: then a new authority is made and "
                           "every client has to trust it anew."));
  }
  if (auto key = complete_key(*pair, key_path); !key) return pass(key);
  if (!pair->certificate) {
    // A number of its own in the name: who looks after two practices can tell their authorities apart.
    auto made = x509::make_authority(*pair->key, "Verbund authority " + os::random_hex(4),
                                     {now - kClockSkew, now + kAuthorityLife});
    if (!made) return pass(made);
    if (auto written = write_certificate(certificate_path, **made); !written) return pass(written);
    pair->certificate = std::move(*made);
  }
  if (!x509::is_authority(*pair->certificate)) {
    return bad_file(certificate_path, phrase("this certificate may not sign others"), phrase("Restore ca.crt and ca.key from a backup."));
  }
  if (x509::ends(*pair->certificate) <= now) {
    return bad_file(certificate_path, phrase("the authority has ended at {}", to_iso8601(x509::ends(*pair->certificate))),
                    phrase("Remove ca.* and server.*: a new authority is made, and every client has to trust it anew."));
  }
  return pair;
}

/// False also when it is over, or ends soon.
bool good_until_later(X509& certificate, const std::vector<std::string>& names, WallTime now) {
  return x509::ends(certificate) - now > kRenewedBefore &&
         std::ranges::all_of(names, [&](const std::string& name) { return x509::covers(certificate, name); });
}

Result<Pair> server(const fs::path& directory, const Pair& ca, const std::vector<std::string>& names, WallTime now) {
  const auto certificate_path = directory / "server.crt";
  const auto key_path = directory / "server.key";
  auto pair = read_pair(certificate_path, key_path);
  if (!pair) return pair;
  if (pair->certificate && !x509::signed_by(*pair->certificate, *ca.certificate)) {
    return bad_file(certificate_path, phrase("it is not signed by ca.crt"), phrase("Remove server.crt and server.key: new ones are made."));
  }
  if (pair->certificate && !pair->key) {
    // It is of no use without its key. Gone before the new key is there, so that no kill leaves two that don't fit.
    std::error_code failed;
    if (!fs::remove(certificate_path, failed) && failed) {
      return fail(ErrorCode::kIo, phrase("remove {}: {}", certificate_path.string(), failed.message()));
    }
    pair->certificate.reset();
  }
  if (auto key = complete_key(*pair, key_path); !key) return pass(key);
  if (pair->certificate && good_until_later(*pair->certificate, names, now)) return pair;
  // Renewed with the same key: only one file changes, and it changes atomically.
  const auto until = std::min<WallTime>(now + kServerLife, x509::ends(*ca.certificate));
  auto made = x509::make_server(*pair->key, names, {now - kClockSkew, until}, *ca.certificate, *ca.key);
  if (!made) return pass(made);
  if (auto written = write_certificate(certificate_path, **made); !written) return pass(written);
  pair->certificate = std::move(*made);
  return pair;
}

/// Letters, digits, '-', '_' and dots (a wildcard first, if any), or an IP address: everything else no client could ask for.
bool is_server_name(const std::string& name) {
  if (x509::is_address(name)) return true;
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.front() == '-') return false;
  return std::ranges::all_of(name.starts_with("*.") ? std::string_view(name).substr(2) : std::string_view(name), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

/// The machine's own names, then `configured`, each once. A host name that is no DNS name is left out: nobody configured it.
Result<std::vector<std::string>> all_names(const std::vector<std::string>& configured) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  std::string host(256, '\0');
  if (gethostname(host.data(), host.size() - 1) == 0) {
    host.resize(host.find('\0'));
    if (is_server_name(host) && std::ranges::find(names, host) == names.end()) names.push_back(host);
  }
  for (const auto& name : configured) {
    if (!is_server_name(name)) {
      return fail(ErrorCode::kBadConfig, phrase("make the server certificate: '{}' is no DNS name or IP address", name),
                  phrase("Correct listen.names in verbund.toml; write names with umlauts in their xn-- form."));
    }
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

}  // namespace

Result<Certificates> load_or_create(const fs::path& directory, const std::vector<std::string>& names, const Clock& clock) {
  auto wanted = all_names(names);
  if (!wanted) return pass(wanted);
  if (auto made = os::make_directories(directory); !made) return pass(made);
  const auto now = clock.wall();
  auto ca = authority(directory, now);
  if (!ca) return pass(ca);
  auto own = server(directory, *ca, *wanted, now);
  if (!own) return pass(own);
  auto ca_pem = x509::to_pem(*ca->certificate);
  if (!ca_pem) return pass(ca_pem);
  auto server_pem = x509::to_pem(*own->certificate);
  if (!server_pem) return pass(server_pem);
  auto key_pem = x509::to_pem(*own->key);
  if (!key_pem) return pass(key_pem);
  return Certificates{*ca_pem, *server_pem + *ca_pem, *key_pem};
}

Result<std::string> fingerprint(std::string_view certificate_pem) {
  const auto certificate = x509::certificate_from_pem(certificate_pem);
  auto digest = certificate ? x509::sha256(*certificate) : std::string();
  if (digest.empty()) return fail(ErrorCode::kBadConfig, phrase("take the authority's fingerprint: it is no certificate in PEM form"));
  return digest;
}

}  // namespace verbund::access
