#include "node/mirror/salvage.h"

#include <cstring>
#include <fstream>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/postgres/log_segments.h"
#include "platform/postgres/owned_server.h"

namespace verbund::node {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHeaderBytes = 32;
constexpr std::uint16_t kLongHeader = 2;             ///< XLP_LONG_HEADER
constexpr std::size_t kMostListed = 256U << 20U;     ///< of one file's records, as text
constexpr seconds kPatience{120};

/// Of a file's first page; nullopt: it holds nothing (made for later, or an older file under its new name).
struct Header {
  std::uint32_t timeline = 0;
  Lsn start;
  std::uint64_t system = 0;
};
std::optional<Header> header_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<char, kHeaderBytes> bytes{};
  if (!in.read(bytes.data(), bytes.size())) return std::nullopt;
  const auto at = [&]<typename T>(std::size_t offset, T value) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  if ((at(2, std::uint16_t{}) & kLongHeader) == 0) return std::nullopt;
  return Header{at(4, std::uint32_t{}), Lsn{at(8, std::uint64_t{})}, at(24, std::uint64_t{})};
}

/// Where the last whole record of this file begins; nullopt: none begins in it.
Result<std::optional<Lsn>> last_record_in(const fs::path& directory, const std::string& name, const Clock& clock) {
  auto binaries = postgres::OwnedServer::find_binaries();
  if (!binaries) return pass(binaries);
  os::Command command;
  command.argv = {(*binaries / "pg_waldump").string(), "-p", directory.string(), "-t", std::to_string(postgres::segment_timeline(name)), "-s", to_string(postgres::segment_start(name))};
  command.environment = {{"LC_ALL", "C"}};
  command.max_output_bytes = kMostListed;
  auto outcome = os::run(command, Deadline::in(clock, kPatience), clock);
  if (!outcome) return pass(outcome);
  // Every log ends with something that is no record.
  const bool at_end = outcome->errors.find("error in WAL record") != std::string::npos || outcome->errors.find("could not find a valid record") != std::string::npos;
  if (outcome->exit_code != 0 && !at_end) return fail(ErrorCode::kProgramFailed, phrase("{}: exit code {}: {}", "pg_waldump", outcome->exit_code, verbatim(outcome->errors)));
  const auto last = outcome->output.rfind(", lsn: ");
  if (last == std::string::npos) return std::optional<Lsn>();
  const auto text = std::string_view(outcome->output).substr(last + 7);
  const auto lsn = parse_lsn(text.substr(0, text.find(',')));
  if (!lsn) return std::unexpected(lsn.error());
  return std::optional(*lsn);
}

}  // namespace

Result<OldLog> look_at_old_log(const fs::path& from, const WantedLog& wanted, const Clock& clock) {
  std::error_code ignored;
  OldLog log;
  log.directory = fs::is_directory(from / "pg_wal", ignored) ? from / "pg_wal" : from;
  for (auto name = postgres::segment_name(wanted.timeline, wanted.from);; name = postgres::next_segment(name)) {
    if (!fs::exists(log.directory / name, ignored)) break;
    const auto header = header_of(log.directory / name);
    if (!header || header->start != postgres::segment_start(name)) break;
    if (header->system != wanted.system) {
      return fail(ErrorCode::kForbidden, phrase("salvage: {} is the log of another database", (log.directory / name).native()), phrase("Name the data directory of the production that this machine is the mirror of."));
    }
    log.files.push_back(name);
  }
  if (log.files.empty()) {
    return fail(ErrorCode::kNotFound, phrase("salvage: {} is needed, and {} does not have it", postgres::segment_name(wanted.timeline, wanted.from), log.directory.native()),
                phrase("It is a data directory of PostgreSQL, or its pg_wal. What production no longer has there can't be had from its disk."));
  }
  for (auto file = log.files.rbegin(); file != log.files.rend(); ++file) {
    auto last = last_record_in(log.directory, *file, clock);
    if (!last) return pass(last);
    if (!*last) continue;
    log.last_record = **last;
    return log;
  }
  return fail(ErrorCode::kNotFound, phrase("salvage: {} has no record that could be read", log.directory.native()));
}

Status lay_ready(const OldLog& log, const fs::path& server) {
  const auto incoming = server / "incoming";
  if (auto made = postgres::make_server_directory(incoming); !made) return made;
  for (const auto& name : log.files) {
    std::error_code ignored;
    if (fs::exists(incoming / name, ignored)) continue;
    auto content = os::read_file(log.directory / name, postgres::kSegmentBytes);
    if (!content) return pass(content);
    if (content->size() != postgres::kSegmentBytes) return fail(ErrorCode::kDamaged, phrase("salvage: {} is not as long as it should be", (log.directory / name).native()));
    if (auto put = postgres::put_for_server(incoming / name, *content); !put) return put;
  }
  return {};
}

}  // namespace verbund::node
