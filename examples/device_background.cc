// A device that syncs by itself until its standard input ends; each line that is read wakes it.
//   example_device_background FILE [EVERY_MS]
#include <verbund/device.h>

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::cerr << "usage: " << argv[0] << " FILE [EVERY_MS]\n";
    return 2;
  }
  auto device = verbund::Device::open(argv[1]);
  if (!device) {
    std::cerr << device.error().message << '\n';
    return device.error().exit_code;
  }
  device->on_synced([](const verbund::Device::Report& report, const verbund::Failure* failure) {
    if (failure != nullptr) {
      std::cout << failure->code << ": " << failure->message << std::endl;
    } else {
      std::cout << "synced: " << report.sent << " sent, " << report.upserted << " came" << std::endl;
    }
  });
  device->on_reject([](const verbund::Device::Reject& reject) { std::cout << "rejected: " << reject.table << ' ' << reject.key << ", " << reject.reason << std::endl; });
  const auto every = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
  if (auto started = device->start_background({}, static_cast<std::uint32_t>(every)); !started) {
    std::cerr << started.error().message << '\n';
    return started.error().exit_code;
  }
  for (std::string line; std::getline(std::cin, line);) device->wake();
  device->stop_background();
  const auto status = device->status();
  if (!status) return status.error().exit_code;
  std::cout << "last: " << status->last_result << ", " << status->pending << " changes wait for the next sync" << std::endl;
  return 0;
}
