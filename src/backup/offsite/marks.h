#pragma once
/// Marks at a place outside the house: small files whose names alone count, in the directory "verbund-terms". Each is written once and never replaced, so that an account that may only add can leave
/// them. What a mark says, and whether to believe it, is the caller's: anybody with the account could have left it. Blocking; one thread.
#include <string>
#include <vector>

#include "backup/offsite/offsite.h"

namespace verbund::backup {

/// In no order. Errors: those of Remote.
Result<std::vector<std::string>> marks_at(const OffSiteTask& task);
/// `name`: letters, digits, dots. Errors: those of Remote; kIo.
Status leave_mark(const OffSiteTask& task, const std::string& name);

}  // namespace verbund::backup
