#pragma once
/// Bytes that many receive.
#include <memory>
#include <string>

namespace verbund {

/// Serialised once, shared by all who receive it (shared_ptr: each queue holds it until its send is done), freed with the
/// last. Any thread.
using Buffer = std::shared_ptr<const std::string>;

}  // namespace verbund
