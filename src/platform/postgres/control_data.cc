// Where a stopped server's log ends: pg_controldata and pg_waldump of the same version.
#include <signal.h>

#include "base/messages.h"
#include "platform/os/file.h"
#include "platform/os/process.h"
#include "platform/postgres/libpq.h"
#include "platform/postgres/owned_files.h"
#include "platform/postgres/owned_server.h"
#include "platform/postgres/server_process.h"

namespace verbund::postgres {
namespace {

constexpr std::uint64_t kPage = 8192, kAlign = 8;
/// Header of a log page; a segment's first page has the longer one (access/xlog_internal.h, XLogPageHeaderData, XLogLongPageHeaderData).
constexpr std::uint64_t kPageHeader = 24, kSegmentHeader = 40;

/// "Latest checkpoint location:           0/3000060"
std::string value_of(std::string_view text, std::string_view label) {
  const auto at = text.find(label);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + label.size());
  return trimmed(text.substr(0, text.find('\n')));
}

std::unexpected<Error> unreadable(std::string_view label) {
  return fail(ErrorCode::kProgramFailed, phrase("read pg_controldata: it says nothing of {}", label));
}

/// The first position after a record of `bytes` at `start`.
Lsn end_of_record(Lsn start, std::uint64_t bytes, std::uint64_t segment) {
  const std::uint64_t aligned = (bytes + kAlign - 1) / kAlign * kAlign;
  const std::uint64_t left = kPage - start.value % kPage;
  if (aligned <= left) return {start.value + aligned};
  const std::uint64_t next_page = start.value + left;
  return {start.value + aligned + (next_page % segment == 0 ? kSegmentHeader : kPageHeader)};
}

}  // namespace

Result<os::Outcome> OwnedServer::run_reader(std::vector<std::string> argv) const {
  auto binaries = find_binaries();
  if (!binaries) return pass(binaries);
  const auto user = server_user();
  if (!user) return std::unexpected(user.error());
  argv.front() = (*binaries / argv.front()).string();
  os::Command command;
  command.argv = std::move(argv);
  command.directory = std::string{"/"};
  command.as_user = *user;
  command.environment = {{"LC_ALL", "C"}};
  command.max_output_bytes = kMaxReaderBytes;
  return os::run(command, Deadline::in(clock_, seconds{60}), clock_);
}

Result<std::string> OwnedServer::read_of(std::vector<std::string> argv) const {
  const std::string name = argv.front();
  auto outcome = run_reader(std::move(argv));
  if (!outcome) return pass(outcome);
  if (outcome->exit_code == 0) return std::move(outcome->output);
  return fail(ErrorCode::kProgramFailed, phrase("{}: exit code {}: {}", name, outcome->exit_code, verbatim(trimmed(outcome->errors))));
}

Result<std::string> OwnedServer::log_from(std::uint32_t timeline, Lsn from) const {
  auto outcome = run_reader({"pg_waldump", "-p", (data_directory() / "pg_wal").string(), "-t", std::to_string(timeline), "-s", to_string(from)});
  if (!outcome) return pass(outcome);
  // Every log ends with something that is no record: pg_waldump calls that an error. One that is not there at all is another matter.
  const auto& errors = outcome->errors;
  if (outcome->output.size() >= kMaxReaderBytes) {
    return fail(ErrorCode::kTooLarge, phrase("{}: more than {} MB", "pg_waldump", kMaxReaderBytes >> 20U));
  }
  const bool at_end = errors.find("error in WAL record") != std::string::npos || errors.find("could not find a valid record") != std::string::npos;
  if (outcome->exit_code == 0 || at_end) return std::move(outcome->output);
  return fail(ErrorCode::kProgramFailed, phrase("{}: exit code {}: {}", "pg_waldump", outcome->exit_code, verbatim(trimmed(errors))));
}

Result<Stopped> OwnedServer::stopped_at() const {
  auto control = read_of({"pg_controldata", data_directory().string()});
  if (!control) return pass(control);
  Stopped stopped;
  stopped.clean = value_of(*control, "Database cluster state:") == "shut down";
  const auto timeline = parse_u64(value_of(*control, "Latest checkpoint's TimeLineID:"));
  if (!timeline) return unreadable("TimeLineID");
  stopped.timeline = static_cast<std::uint32_t>(*timeline);
  if (!stopped.clean) return stopped;
  const auto checkpoint = parse_lsn(value_of(*control, "Latest checkpoint location:"));
  const auto segment = parse_u64(value_of(*control, "Bytes per WAL segment:"));
  const std::string next = value_of(*control, "Latest checkpoint's NextXID:");  // EPOCH:XID
  const auto colon = next.find(':');
  if (!checkpoint || !segment || *segment == 0 || colon == std::string_view::npos) return unreadable("checkpoint");
  const auto epoch = parse_u64(next.substr(0, colon));
  const auto number = parse_u64(next.substr(colon + 1));
  if (!epoch || !number) return unreadable("NextXID");
  stopped.next_transaction = *epoch << 32U | *number;
  auto record = read_of({"pg_waldump", "-p", (data_directory() / "pg_wal").string(), "-t", std::to_string(*timeline), "-s", to_string(*checkpoint), "-n", "1"});
  if (!record) return pass(record, "read the last record of the log");
  // "rmgr: XLOG        len (rec/tot):    114/   114, tx: …"
  std::string lengths = value_of(*record, "len (rec/tot):");
  lengths = lengths.substr(0, lengths.find(','));
  const auto slash = lengths.find('/');
  const auto total = slash == std::string_view::npos ? Result<std::uint64_t>(unreadable("record")) : parse_u64(trimmed(lengths.substr(slash + 1)));
  if (!total) return unreadable("record");
  stopped.last_record = *checkpoint;
  stopped.end = end_of_record(*checkpoint, *total, *segment);
  return stopped;
}

bool OwnedServer::mirror_data() const { return std::filesystem::exists(data_directory() / "standby.signal"); }

Status OwnedServer::become_mirror() {
  if (!settings_.follows) return fail(ErrorCode::kInternal, phrase("follow: no server to follow"));
  if (mirror_data()) return {};
  return write_owned(data_directory() / "standby.signal", "");
}

Status OwnedServer::use(OwnedServerSettings settings) {
  settings.directory = settings_.directory;
  settings.port = settings_.port;
  settings_ = std::move(settings);
  if (!initialised()) return {};
  if (auto written = write_settings(); !written) return written;
  if (auto written = settings_.follows ? write_password_file() : Status{}; !written) return written;
  if (const int pid = running_pid(); pid != 0) ::kill(pid, SIGHUP);
  return {};
}

}  // namespace verbund::postgres
