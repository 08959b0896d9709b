#pragma once
/// The files of a mirror's installation, from what production has answered (production_side.h, `join`). Idempotent. One thread.
#include <filesystem>

#include <boost/json.hpp>

#include "base/result.h"

namespace verbund::node {

/// Configuration, secrets, authority, config/mirror.toml, mirror/login.json. Errors: kBadMessage, kIo, kDiskFull.
Status lay_out_mirror(const std::filesystem::path& directory, const boost::json::object& admission);

}  // namespace verbund::node
