#pragma once
/// The way from a device to its server, one call after the other: HTTPS, or in tests a function.
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verbund::sync {

struct DeviceCall {
  std::string method;  ///< "GET", "POST", "PUT"
  std::string target;  ///< "/api/device/syncs/7/ack"
  std::string authorization;  ///< "Device ID:SECRET", or empty
  std::string body;
};

struct DeviceAnswer {
  int status = 0;  ///< as HTTP's; 200: body is what was asked for; 202: not yet; others: the API's error JSON
  std::string body;
};

/// A name as one part of a target; and a target's text as its names are.
std::string escaped_part(std::string_view name);
std::string unescaped(std::string_view target);

/// One thread at a time.
class DeviceTransport {
 public:
  virtual ~DeviceTransport() = default;
  /// Blocks until the whole answer is there. An error means that nobody knows whether the server has done it: kNotReachable, kUntrusted, kTimedOut, kCancelled
  /// (by `stop`).
  virtual Result<DeviceAnswer> call(const DeviceCall& call, std::stop_token stop) = 0;
  /// Where the last call was answered, HOST:PORT; empty: there is only one place.
  [[nodiscard]] virtual std::string address() const { return {}; }
};

}  // namespace verbund::sync
