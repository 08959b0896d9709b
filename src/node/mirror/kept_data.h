#pragma once
/// Data that a rejoin has set aside (postgres/data.TERM): kept until a person gives them up by name. Blocking; any thread.
#include <filesystem>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace verbund::node {

struct KeptData {
  std::filesystem::path path;
  Term term;                  ///< of the pair, when they were set aside
  std::uint64_t bytes = 0;    ///< of its files, as they are counted
};
/// A name beside `data` that is free: data.TERM, data.TERM-2, …
std::filesystem::path kept_beside(const std::filesystem::path& data, Term term);
/// Oldest term first. Errors: kIo.
Result<std::vector<KeptData>> kept_data(const std::filesystem::path& installation);
/// Removes what was set aside in `term`. Errors: kNotFound (there is none), kIo (a part may be left: it is tried again with the same words).
Status release_kept(const std::filesystem::path& installation, Term term);

}  // namespace verbund::node
