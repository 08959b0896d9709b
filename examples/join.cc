// Joins the office as a workstation and shows what happens until a line is typed.
//   example_join HOST:PORT CA_FILE TOKEN NAME
#include <verbund/client.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: " << argv[0] << " HOST:PORT CA_FILE TOKEN NAME\n";
    return 2;
  }
  verbund::ClientSettings settings;
  settings.servers = {argv[1]};
  settings.ca_file = argv[2];
  settings.token = argv[3];
  settings.workstation = argv[4];
  verbund::Client client(settings);
  client.on_changes([](const verbund::Changes& changes) {
    for (const auto& change : changes.changes) std::cout << change.op << ' ' << change.key << std::endl;
  });
  client.on_state([](verbund::ConnectionState state, const std::string& reason) {
    if (state == verbund::ConnectionState::kReadOnly) std::cout << "read-only: " << reason << std::endl;
    if (state == verbund::ConnectionState::kConnected) std::cout << "connected" << std::endl;
  });
  if (auto connected = client.connect(); !connected) {
    std::cerr << connected.error().message << '\n' << connected.error().hint << '\n';
    return connected.error().exit_code;
  }
  std::string line;
  std::getline(std::cin, line);
  return 0;
}
