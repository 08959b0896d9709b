#pragma once
/// Removes what a restore has unpacked. One thread. For this folder's units only.
#include "base/result.h"

namespace verbund::backup {

/// `name` in `parent` with everything beneath, without following links; folders that forbid it are opened up first. Missing: done.
Status remove_unpacked(int parent, const char* name);

}  // namespace verbund::backup
