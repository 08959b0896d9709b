#include "platform/os/descriptor.h"

#include <system_error>

#include <fmt/format.h>

namespace verbund::os {
namespace {

std::string hint_for(int error_number) {
  switch (error_number) {
    case ENOSPC: return "Free space on this file system, then try again.";
    case EDQUOT: return "The user's quota is used up; free space or raise it.";
    case EACCES:
    case EPERM: return "Check owner and rights of the file and of the directories above it.";
    case EROFS: return "The file system is mounted read-only.";
    case EMFILE: return "Raise the limit of open files (ulimit -n, LimitNOFILE= of the service).";
    default: return {};
  }
}

}  // namespace

std::unexpected<Error> failed_call(std::string_view operation, std::string_view object, int error_number) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return fail(full ? ErrorCode::kDiskFull : ErrorCode::kIo,
              fmt::format("{} {}: {}", operation, object, std::generic_category().message(error_number)),
              hint_for(error_number));
}

}  // namespace verbund::os
