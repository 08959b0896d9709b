#include "backup/signed_journal.h"

#include <algorithm>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "backup/digest.h"
#include "backup/medium.h"
#include "base/messages.h"
#include "platform/os/descriptor.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEntry = R"({"entry":)", kPrevious = R"(,"previous":")", kSignature = R"(,"signature":")", kEnd = R"("})";
constexpr std::string_view kComment = "entry of a journal of Verbund";
constexpr std::size_t kHashDigits = 64;
/// An append lasts milliseconds; whoever waits longer meets a hanging disk.
constexpr seconds kLockPatience{10};

/// Newlines are all that a minisign signature has to escape.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) c == '\n' ? out += "\\n" : out += c;
  return out;
}
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool newline = text.substr(i).starts_with("\\n");
    out += newline ? '\n' : text[i];
    if (newline) ++i;
  }
  return out;
}

/// What is signed: the line without its signature, itself a JSON object.
std::string signed_part(std::string_view payload, std::string_view previous) {
  return fmt::format("{}{}{}{}\"}}", kEntry, payload, kPrevious, previous);
}

std::unexpected<Error> damaged(std::string_view name, std::size_t number, Phrase why) {
  return fail(ErrorCode::kDamaged, phrase("{}, line {}: {}", name, number, std::move(why)));
}

struct Parts {
  std::string payload, previous, signature;
};
/// nullopt: not the form that signed_line gives, to the byte.
std::optional<Parts> parts_of(std::string_view line) {
  const auto signature_at = line.rfind(kSignature);
  if (signature_at == std::string_view::npos || !line.starts_with(kEntry) || !line.ends_with(kEnd)) return std::nullopt;
  const auto body = line.substr(0, signature_at);
  const auto tail = kPrevious.size() + kHashDigits + 1;
  if (body.size() < kEntry.size() + tail || !body.ends_with('"')) return std::nullopt;
  const auto previous_at = body.size() - tail;
  if (!body.substr(previous_at).starts_with(kPrevious)) return std::nullopt;
  Parts parts;
  parts.payload = body.substr(kEntry.size(), previous_at - kEntry.size());
  parts.previous = body.substr(previous_at + kPrevious.size(), kHashDigits);
  const auto from = signature_at + kSignature.size();
  if (line.size() < from + kEnd.size()) return std::nullopt;
  parts.signature = unescaped(line.substr(from, line.size() - from - kEnd.size()));
  return parts;
}

bool known(const Signature& signature, const std::vector<PublicKey>& keys) {
  return std::ranges::any_of(keys, [&](const PublicKey& key) { return key.id == signature.key_id; });
}

/// Whether the signature is one of a trusted key. Errors: kDamaged, kForbidden (Strangers::kRefused).
Result<bool> check_signature(const Parts& parts, const std::vector<PublicKey>& trusted, Strangers strangers, std::string_view name, std::size_t number) {
  auto signature = Signature::parse(parts.signature);
  if (!signature || signature->text() != parts.signature || signature->comment != kComment) return damaged(name, number, phrase("its signature is damaged"));
  if (!known(*signature, trusted) && strangers == Strangers::kMarked) return false;
  if (auto checked = signature->check(trusted, blake2b_512(signed_part(parts.payload, parts.previous))); !checked) {
    return pass(checked, phrase("{}, line {}", name, number));
  }
  return true;
}

Result<SignedLine> read_line(std::string_view line, std::string_view previous, const std::vector<PublicKey>& trusted, Strangers strangers, std::string_view name,
                             std::size_t number) {
  auto parts = parts_of(line);
  if (!parts) return damaged(name, number, phrase("it is no signed entry"));
  auto trusted_one = check_signature(*parts, trusted, strangers, name, number);
  if (!trusted_one) return pass(trusted_one);
  if (parts->previous != previous) return damaged(name, number, phrase("it does not follow the line before: one was removed, put in or moved"));
  return SignedLine{std::move(parts->payload), std::string(line), sha256_hex(line), *trusted_one};
}

}  // namespace

std::string hash_behind(const std::vector<SignedLine>& lines, std::string_view beginning) { return lines.empty() ? sha256_hex(beginning) : lines.back().hash; }

SignedLines read_signed(std::string_view text, std::string_view beginning, const std::vector<PublicKey>& trusted, Strangers strangers, std::string_view name) {
  SignedLines read;
  std::string previous = sha256_hex(beginning);
  while (!text.empty()) {
    const auto end = text.find('\n');
    read.torn = end == std::string_view::npos;
    if (read.torn) return read;
    auto line = read_line(text.substr(0, end), previous, trusted, strangers, name, read.lines.size() + 1);
    if (!line) {
      read.damage = std::move(line.error());
      return read;
    }
    previous = line->hash;
    read.lines.push_back(std::move(*line));
    read.good_bytes += end + 1;
    text.remove_prefix(end + 1);
  }
  return read;
}

std::string signed_line(std::string_view payload, std::string_view previous_hash, const SigningKey& key) {
  auto line = signed_part(payload, previous_hash);
  const auto signature = escaped(key.sign(blake2b_512(line), kComment));
  line.pop_back();
  return line.append(kSignature).append(signature).append(kEnd);
}

Result<os::FileLock> lock_journal(const fs::path& lock_file) {
  if (auto made = os::make_directories(lock_file.parent_path(), 0700); !made) return pass(made);
  const auto until = std::chrono::steady_clock::now() + kLockPatience;
  while (true) {
    auto lock = os::FileLock::acquire(lock_file, fmt::format("pid {}", ::getpid()));
    if (lock || lock.error().code != ErrorCode::kInUse || std::chrono::steady_clock::now() >= until) return lock;
    std::this_thread::sleep_for(milliseconds{5});
  }
}

Result<fs::path> set_aside(const fs::path& file) {
  for (int number = 1;; ++number) {
    auto aside = file;
    aside += fmt::format(".damaged-{}", number);
    std::error_code error;
    if (fs::exists(fs::symlink_status(aside, error))) continue;
    fs::rename(file, aside, error);
    if (error) return fail(ErrorCode::kIo, phrase("rename {} to {}: {}", file.native(), aside.native(), error.message()));
    return aside;
  }
}

Status put_on_medium(const fs::path& path, std::string_view content) {
  const auto beside = path.parent_path() / fmt::format(".{}.new", path.filename().native());
  const auto failed = [&](int cause) {
    ::unlink(beside.c_str());
    return os::failed_call(phrase("write {}", path.native()), cause);
  };
  os::Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return os::failed_call(phrase("write {}", path.native()), errno);
  while (!content.empty()) {
    const auto put = os::uninterrupted([&] { return ::write(file.number(), content.data(), content.size()); });
    if (put < 0) return failed(errno);
    content.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fsync(file.number()) != 0 || ::close(file.release()) != 0) return failed(errno);
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed(errno);
  const os::Descriptor directory(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || !sync_directory(directory.number())) return os::failed_call(phrase("sync {}", path.parent_path().native()), errno);
  return {};
}

}  // namespace verbund::backup
