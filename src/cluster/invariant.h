#pragma once
/// Stops the process when a law of the engine is broken, in release builds too: a wrong lock is worse than none.
#include <cstdio>
#include <cstdlib>

namespace verbund::cluster {

inline void invariant(bool holds, const char* law) {
  if (!holds) [[unlikely]] {
    std::fprintf(stderr, "cluster: broken invariant: %s\n", law);
    std::abort();
  }
}

}  // namespace verbund::cluster
