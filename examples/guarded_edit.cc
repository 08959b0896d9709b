// Edits a record of a guarded type: lock, then a transaction that shows the lock's token, then unlock.
//   PGPASSFILE=… example_guarded_edit HOST:PORT CA_FILE TOKEN RECORD 'host=… dbname=praxis user=praxis' 'UPDATE …'
#include <libpq-fe.h>
#include <verbund/client.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>

namespace {

bool run(PGconn* database, const std::string& sql) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> done(PQexec(database, sql.c_str()), &PQclear);
  const auto status = PQresultStatus(done.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return true;
  std::cerr << PQresultErrorMessage(done.get());  // VG001: the guard has refused it
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::cerr << "usage: " << argv[0] << " HOST:PORT CA_FILE TOKEN RECORD CONNECTION STATEMENT\n";
    return 2;
  }
  verbund::ClientSettings settings;
  settings.servers = {argv[1]};
  settings.ca_file = argv[2];
  settings.token = argv[3];
  settings.workstation = "guarded example";
  verbund::Client client(settings);
  if (auto connected = client.connect(); !connected) {
    std::cerr << connected.error().message << '\n';
    return connected.error().exit_code;
  }
  // First the lock, then BEGIN: the transaction must see the lock that it works under.
  const auto grant = client.lock({argv[4]}, std::chrono::seconds(5), "guarded edit");
  if (!grant) {
    std::cerr << grant.error().message << '\n';
    return grant.error().exit_code;
  }
  const std::unique_ptr<PGconn, decltype(&PQfinish)> database(PQconnectdb(argv[5]), &PQfinish);
  if (PQstatus(database.get()) != CONNECTION_OK) {
    std::cerr << PQerrorMessage(database.get());
    return 3;
  }
  const bool written = run(database.get(), "BEGIN") &&
                       run(database.get(), "SELECT verbund.use_lock(" + std::to_string(grant->token) + ")") &&
                       run(database.get(), argv[6]) && run(database.get(), "COMMIT");
  const auto released = client.unlock({argv[4]}, {}, written);
  if (!released) std::cerr << released.error().message << '\n';
  return written && released ? 0 : 4;
}
