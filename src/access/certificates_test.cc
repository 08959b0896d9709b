#include "access/certificates.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include <gmock/gmock.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "access/x509.h"
#include "platform/os/file.h"
#include "testing/sim_clock.h"

namespace verbund::access {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using std::chrono::days;
using verbund::testing::SimClock;

class CertificatesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "verbund-tls-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  Certificates make(const std::vector<std::string>& names = {}) {
    auto made = load_or_create(directory_, names, clock_);
    if (!made) throw std::runtime_error(made.error().message);
    return *made;
  }
  Error refused() {
    auto made = load_or_create(directory_, {}, clock_);
    return made ? Error{} : made.error();
  }
  unsigned mode(const char* file) {
    struct stat found{};
    stat((directory_ / file).c_str(), &found);
    return found.st_mode & 0777U;
  }
  std::string text(const char* file) { return *os::read_file(directory_ / file); }
  /// X.509's error, 0 when a client that trusts the authority takes the certificate for `host`.
  int verify(const Certificates& certificates, const char* host) {
    const auto leaf = x509::certificate_from_pem(certificates.chain_pem);
    const auto root = x509::certificate_from_pem(certificates.ca_pem);
    X509_STORE* store = X509_STORE_new();
    X509_STORE_add_cert(store, root.get());
    X509_STORE_CTX* context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, leaf.get(), nullptr);
    auto* parameters = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(parameters, std::chrono::floor<seconds>(clock_.wall()).time_since_epoch().count());
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
    if (x509::is_address(host)) {
      X509_VERIFY_PARAM_set1_ip_asc(parameters, host);
    } else {
      X509_VERIFY_PARAM_set1_host(parameters, host, 0);
    }
    X509_verify_cert(context);
    const int error = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return error;
  }

  SimClock clock_;
  fs::path directory_;
};

TEST_F(CertificatesTest, ChainIsTrustedForItsNamesOnly) {
  const auto made = make({"praxis.local", "10.0.0.1", "fe80::1"});
  for (const char* host : {"localhost", "127.0.0.1", "::1", "praxis.local", "10.0.0.1", "fe80::1"}) {
    EXPECT_EQ(verify(made, host), X509_V_OK) << host;
  }
  EXPECT_EQ(verify(made, "evil.example"), X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_EQ(verify(made, "10.0.0.2"), X509_V_ERR_IP_ADDRESS_MISMATCH);
}

TEST_F(CertificatesTest, AClientWhoseClockIsBehindTakesIt) {
  const auto made = make();
  clock_.jump_wall(-std::chrono::hours{23});
  EXPECT_EQ(verify(made, "localhost"), X509_V_OK);
}

TEST_F(CertificatesTest, KeysAreForTheirOwnerOnly) {
  make();
  EXPECT_EQ(mode("ca.key"), 0600U);
  EXPECT_EQ(mode("server.key"), 0600U);
  EXPECT_EQ(mode("ca.crt"), 0644U);
  fs::permissions(directory_ / "ca.key", fs::perms::all);
  make();
  EXPECT_EQ(mode("ca.key"), 0600U);
}

TEST_F(CertificatesTest, SecondStartChangesNothing) {
  const auto first = make({"praxis.local"});
  const auto second = make({"praxis.local"});
  EXPECT_EQ(first.ca_pem, second.ca_pem);
  EXPECT_EQ(first.chain_pem, second.chain_pem);
  EXPECT_EQ(first.key_pem, second.key_pem);
}

TEST_F(CertificatesTest, RenewsForANewNameAndBeforeTheEnd) {
  const auto first = make();
  const auto named = make({"praxis.local"});
  EXPECT_NE(first.chain_pem, named.chain_pem);
  EXPECT_EQ(first.ca_pem, named.ca_pem);
  EXPECT_EQ(verify(named, "praxis.local"), X509_V_OK);
  clock_.advance(days{366});
  EXPECT_EQ(make({"praxis.local"}).chain_pem, named.chain_pem);
  clock_.advance(days{2});
  const auto renewed = make({"praxis.local"});
  EXPECT_NE(renewed.chain_pem, named.chain_pem);
  EXPECT_EQ(verify(renewed, "localhost"), X509_V_OK);
}

TEST_F(CertificatesTest, CertificateNeverOutlivesItsAuthority) {
  make();
  clock_.advance(days{3600});
  const auto late = make();
  EXPECT_EQ(verify(late, "localhost"), X509_V_OK);
  EXPECT_LE(x509::ends(*x509::certificate_from_pem(late.chain_pem)), x509::ends(*x509::certificate_from_pem(late.ca_pem)));
  clock_.advance(days{53});
  EXPECT_EQ(refused().code, ErrorCode::kBadConfig);
}

TEST_F(CertificatesTest, RepairsWhatAKillLeft) {
  make();
  const auto authority_key = text("ca.key");
  for (const char* file : {"server.crt", "server.key", "ca.crt"}) {
    if (std::string(file) == "ca.crt") fs::remove(directory_ / "server.crt");
    fs::remove(directory_ / file);
    EXPECT_EQ(verify(make(), "localhost"), X509_V_OK) << file;
  }
  EXPECT_EQ(text("ca.key"), authority_key);
}

TEST_F(CertificatesTest, NamesTheFileThatIsWrong) {
  make();
  const auto good = text("ca.key");
  fs::remove(directory_ / "ca.key");
  EXPECT_EQ(refused().code, ErrorCode::kBadConfig);
  EXPECT_THAT(refused().message, HasSubstr("ca.key"));
  fs::copy_file(directory_ / "server.key", directory_ / "ca.key");
  EXPECT_THAT(refused().message, HasSubstr("does not fit ca.crt"));
  ASSERT_TRUE(os::write_file_atomically(directory_ / "ca.key", good, 0600));
  ASSERT_TRUE(os::write_file_atomically(directory_ / "server.key", good, 0600));
  EXPECT_THAT(refused().message, HasSubstr("server.key"));
  ASSERT_TRUE(os::write_file_atomically(directory_ / "server.key", "-----BEGIN nothing", 0600));
  EXPECT_THAT(refused().message, HasSubstr("server.key: it is no private key"));
}

TEST_F(CertificatesTest, LeavesAForeignServerCertificateAlone) {
  make();
  const auto foreign = text("server.crt");
  fs::remove(directory_ / "ca.crt");
  fs::remove(directory_ / "ca.key");
  EXPECT_THAT(refused().message, HasSubstr("server.crt: it is not signed by ca.crt"));
  EXPECT_EQ(text("server.crt"), foreign);
}

TEST_F(CertificatesTest, RefusesNamesThatNoClientCanAskFor) {
  for (const char* name : {"", "a b", "müller.local", "a,DNS:evil.example", ".local"}) {
    const auto made = load_or_create(directory_, {name}, clock_);
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code, ErrorCode::kBadConfig);
  }
}

TEST_F(CertificatesTest, TheOpensslCommandAgrees) {
  make({"praxis.local"});
  const auto at = std::chrono::floor<seconds>(clock_.wall()).time_since_epoch().count();
  const auto command = fmt::format("openssl verify -x509_strict -purpose sslserver -verify_hostname praxis.local -attime {0} -CAfile {1}/ca.crt {1}/server.crt >/dev/null",
                                   at, directory_.string());
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace verbund::access
