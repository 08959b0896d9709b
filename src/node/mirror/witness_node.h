#pragma once
/// The witness's program: one record about one pair, on disk before it is answered. No PostgreSQL, no data.
///
/// DIR: witness.json (what the pair shows), invitation.json (a code's hash), lease.json (the record), tls/ (an authority of its own), log/.
/// Threads: `run_witness` is the event loop's; one worker writes and answers.
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "base/messages.h"
#include "base/result.h"

namespace verbund::node {

struct WitnessOptions {
  std::filesystem::path directory;  ///< made when it is missing
  std::string listen = "0.0.0.0:2223";
  Language language = Language::kEnglish;
  std::function<void(std::uint16_t port)> on_started = {};
};
/// Until SIGINT or SIGTERM. Errors: kInUse, kDamaged (the record: it is never guessed), kIo, those of listening.
Status run_witness(const WitnessOptions& options);

/// A code with which one production may take this witness, good once; an older one ends. Whoever had it before has it no longer once the code is used.
/// Errors: kIo.
Result<std::string> invite_to_witness(const std::filesystem::path& directory, std::chrono::minutes valid);

}  // namespace verbund::node
