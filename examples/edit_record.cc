// Edits one record as an application should: lock, write under the fencing token, unlock after the write.
//   example_edit_record HOST:PORT CA_FILE TOKEN RECORD
#include <verbund/client.h>

#include <chrono>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: " << argv[0] << " HOST:PORT CA_FILE TOKEN RECORD\n";
    return 2;
  }
  verbund::ClientSettings settings;
  settings.servers = {argv[1]};
  settings.ca_file = argv[2];
  settings.token = argv[3];
  settings.workstation = "example";
  verbund::Client client(settings);
  if (auto connected = client.connect(); !connected) {
    std::cerr << connected.error().message << '\n';
    return connected.error().exit_code;
  }
  const auto grant = client.lock({argv[4]}, std::chrono::seconds(5), "example edit");
  if (!grant) {
    std::cerr << grant.error().message << '\n';
    if (const auto holder = grant.error().holder()) std::cerr << "held by " << holder->workstation << " (" << holder->user << ")\n";
    return grant.error().exit_code;
  }
  std::cout << "token " << grant->token << std::endl;
  // Here the application writes to the database, as long as client.may_edit() says so.
  if (!client.may_edit()) return 4;
  const auto released = client.unlock({argv[4]}, {}, /*wrote=*/true);
  return released ? 0 : released.error().exit_code;
}
