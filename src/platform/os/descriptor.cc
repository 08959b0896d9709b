#include "platform/os/descriptor.h"

#include <system_error>

#include <fmt/format.h>

#include "base/messages.h"

namespace verbund::os {
namespace {

Phrase hint_for(int error_number) {
  switch (error_number) {
    case ENOSPC: return phrase("Free space on this file system, then try again.");
    case EDQUOT: return phrase("The user's quota is used up; free space or raise it.");
    case EACCES:
    case EPERM: return phrase("Check owner and rights of the file and of the directories above it.");
    case EROFS: return phrase("The file system is mounted read-only.");
    case EMFILE: return phrase("Raise the limit of open files (ulimit -n, LimitNOFILE= of the service).");
    default: return {};
  }
}

}  // namespace

std::unexpected<Error> failed_call(Phrase operation, int error_number) {
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  return std::unexpected(make_error(full ? ErrorCode::kDiskFull : ErrorCode::kIo,
                                    verbatim(std::generic_category().message(error_number)), hint_for(error_number))
                             .in(std::move(operation)));
}

}  // namespace verbund::os
