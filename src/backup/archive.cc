#include "backup/archive.h"

#include <unistd.h>

#include "backup/program.h"
#include "base/messages.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxListBytes = 256 * 1024 * 1024;
constexpr std::size_t kBlock = 1024 * 1024;

std::string with_prefix(const fs::path& archive) {
  // A name that begins with a dash would be read as an option.
  return archive.is_relative() ? "./" + archive.string() : archive.string();
}

Status looks_like_an_archive(const fs::path& archive) {
  std::error_code error;
  const auto status = fs::status(archive, error);
  if (error || !fs::exists(status)) return fail(ErrorCode::kNotFound, phrase("read {}: there is no such file", archive.string()));
  if (!fs::is_regular_file(status)) return fail(ErrorCode::kNotFound, phrase("read {}: it is no file", archive.string()));
  if (::access(archive.c_str(), R_OK) != 0) return fail(ErrorCode::kForbidden, phrase("read {}: this user may not", archive.string()));
  return {};
}

}  // namespace

Result<ArchiveFacts> read_facts(std::string_view list) {
  ArchiveFacts facts;
  bool custom = false;
  const auto value_of = [](std::string_view line, std::string_view name) -> std::optional<std::string> {
    while (line.starts_with(';') || line.starts_with(' ')) line.remove_prefix(1);
    if (!line.starts_with(name)) return std::nullopt;
    return std::string(line.substr(name.size()));
  };
  while (list.starts_with(';')) {
    const auto line = list.substr(0, list.find('\n'));
    list.remove_prefix(std::min(list.size(), line.size() + 1));
    if (auto text = value_of(line, "dbname: ")) facts.database = *text;
    if (auto text = value_of(line, "Archive created at ")) facts.created = *text;
    if (auto text = value_of(line, "Dumped from database version: ")) facts.server_version = version_number(*text);
    // "0" or "none"; others are a level or a method.
    if (auto text = value_of(line, "Compression: ")) facts.compressed = *text != "0" && *text != "none";
    if (auto text = value_of(line, "Format: ")) custom = *text == "CUSTOM";
  }
  if (!custom || facts.server_version == 0) return fail(ErrorCode::kDamaged, phrase("it is no archive of pg_dump's custom format"));
  return facts;
}

Result<ArchiveFacts> archive_facts(const Programs& programs, const fs::path& archive) {
  if (auto there = looks_like_an_archive(archive); !there) return pass(there);
  auto list = output_of(program_command(programs.pg_restore, {"--list", with_prefix(archive)}), kMaxListBytes, ErrorCode::kDamaged);
  if (!list) return pass(list, phrase("read {}", archive.string()));
  auto facts = read_facts(*list);
  if (!facts) return pass(facts, phrase("read {}", archive.string()));
  return facts;
}

Result<std::uint64_t> read_whole_archive(const Programs& programs, const fs::path& archive, Progress& progress) {
  auto options = piped(progress);
  options.output = true;
  auto child = os::PipedChild::start(program_command(programs.pg_restore, {"--file=-", with_prefix(archive)}), std::move(options), clock());
  if (!child) return pass(child);
  std::vector<char> buffer(kBlock);
  std::uint64_t bytes = 0;
  while (true) {
    auto got = child->read(buffer);
    if (!got) return pass(got);
    if (*got == 0) break;
    bytes += *got;
    progress.moved(archive.filename().string(), bytes, 0);
  }
  const auto outcome = child->wait();
  if (!outcome) return std::unexpected(outcome.error());
  if (auto good = judge(programs.pg_restore, *outcome, ErrorCode::kDamaged); !good) return pass(good, phrase("check {}", archive.string()));
  return bytes;
}

Result<ScriptNeeds> archive_needs(const Programs& programs, const fs::path& archive) {
  auto script = output_of(program_command(programs.pg_restore, {"--create", "--schema-only", "--file=-", with_prefix(archive)}), kMaxListBytes,
                          ErrorCode::kDamaged);
  if (!script) return pass(script, phrase("read {}", archive.string()));
  auto needs = read_needs(*script);
  if (!needs.create.empty()) return needs;
  return fail(ErrorCode::kDamaged, phrase("read {}: it does not say how the database is created", archive.string()));
}

Status feed(os::PipedChild& child, Source& source, std::string_view what, Progress& progress) {
  std::vector<char> buffer(kBlock);
  std::uint64_t bytes = 0;
  for (bool reads = true;;) {
    auto got = source.read(buffer);
    if (!got) return pass(got);
    if (*got == 0) return {};
    bytes += *got;
    progress.moved(what, bytes, 0);
    if (!reads) continue;
    auto taken = child.write({buffer.data(), *got});
    if (!taken) return pass(taken);
    reads = *taken;
  }
}

Status check_archive(const Programs& programs, Source& archive, Progress& progress) {
  auto options = piped(progress);
  options.input = true;
  auto child = os::PipedChild::start(program_command(programs.pg_restore, {"--format=custom", "--file=/dev/null"}), std::move(options), clock());
  if (!child) return pass(child);
  if (auto fed = feed(*child, archive, "pg_restore", progress); !fed) return fed;
  const auto outcome = child->wait();
  if (!outcome) return std::unexpected(outcome.error());
  return judge(programs.pg_restore, *outcome, ErrorCode::kDamaged);
}

}  // namespace verbund::backup
