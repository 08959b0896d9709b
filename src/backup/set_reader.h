#pragma once
/// What a reader holds. For this folder's units only.
#include "backup/set.h"
#include "backup/sums.h"

namespace verbund::backup {

struct SetReader::Impl {
  std::filesystem::path directory;
  Manifest manifest;
  std::vector<Sum> sums;
  std::string hash;
};

}  // namespace verbund::backup
