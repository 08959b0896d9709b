#include "sync/device/folder_lock.h"

#include <fstream>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/messages.h"
#include "files/parts.h"
#include "platform/os/file.h"
#include "platform/os/random.h"
#include "sync/device/folders.h"
#include "sync/model/fields.h"

namespace verbund::sync::device {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 1024UL * 1024;
constexpr std::size_t kMostOfAPiece = kPiece + 1'024;

fs::path sealed_folder(const fs::path& file) { return folders_of(file) / files::kOwnFolder / "sealed"; }

/// Pieces, each behind its length in four bytes, the lowest first. The first one says whose content follows.
class Sealing {
 public:
  Sealing(files::Parts& parts, std::string name, const std::string& key) : parts_(parts), name_(std::move(name)), key_(key) {}
  Status add(std::string_view piece) {
    auto sealed = os::seal(piece, key_);
    if (!sealed) return pass(sealed);
    std::string length;
    for (unsigned shift = 0; shift < 32; shift += 8) length.push_back(static_cast<char>(sealed->size() >> shift & 0xffU));
    if (auto written = parts_.write(name_, at_, length + *sealed); !written) return written;
    at_ += length.size() + sealed->size();
    return {};
  }

 private:
  files::Parts& parts_;
  std::string name_;
  const std::string& key_;
  std::uint64_t at_ = 0;
};

/// Empty: it is over.
Result<std::string> next_piece(std::ifstream& from, const fs::path& file, const os::BoxKeys& keys) {
  std::array<unsigned char, 4> length{};
  if (!from.read(reinterpret_cast<char*>(length.data()), length.size())) return std::string();
  const std::size_t bytes = length[0] | length[1] << 8U | length[2] << 16U | static_cast<std::size_t>(length[3]) << 24U;
  std::string sealed(bytes <= kMostOfAPiece ? bytes : 0, '\0');
  if (sealed.empty() || !from.read(sealed.data(), static_cast<std::streamsize>(sealed.size()))) return fail(ErrorCode::kDamaged, phrase("{}: it can't be read", file.native()));
  return os::unseal(sealed, keys);
}

Status seal_file(files::Parts& parts, const fs::path& folders, const std::string& folder, const files::Entry& entry, const std::string& key) {
  const auto name = os::blake2b_hex(folder + "/" + entry.path);  // once more: over what was begun
  if (auto gone = parts.forget(name); !gone) return gone;
  Sealing sealing(parts, name, key);
  if (auto added = sealing.add(boost::json::serialize(boost::json::object{{"folder", folder}, {"path", entry.path}, {"modified_ms", std::to_string(std::max<std::int64_t>(0, entry.modified_ns / 1'000'000))}})); !added) return added;
  for (std::uint64_t at = 0; at < entry.bytes;) {
    auto piece = files::read_piece(folders / folder, entry, at, kPiece);
    if (!piece) return pass(piece);
    if (auto added = sealing.add(*piece); !added) return added;
    at += piece->size();
  }
  auto whole = files::look_at(folders / files::kOwnFolder / "part", name);
  auto hash = whole ? files::hash_of(folders / files::kOwnFolder / "part", *whole) : pass(whole);
  if (!hash) return pass(hash);
  auto put = parts.put(name, folders / files::kOwnFolder, {"sealed/" + name, whole->bytes, *hash, 0}, files::Parts::Taken::kReplaced);
  return put ? Status{} : pass(put);
}

Result<std::vector<std::string>> folders_going_up(sqlite::Database& database) {
  std::vector<std::string> names;
  auto rows = database.prepare("SELECT name FROM verbund_folder WHERE up = 1");
  if (!rows) return pass(rows);
  for (;;) {
    auto more = rows->step();
    if (!more) return pass(more);
    if (!*more) return names;
    names.emplace_back(rows->text(0));
  }
}

Status seal_what_has_not_gone(sqlite::Database& database, const fs::path& folders, const std::string& key) {
  auto names = folders_going_up(database);
  if (!names) return pass(names);
  auto known = database.prepare("SELECT 1 FROM verbund_file WHERE folder = ? AND path = ? AND state = 1 AND put_bytes = ? AND put_modified_ns = ?");
  if (!known) return pass(known);
  files::Parts parts(folders / files::kOwnFolder / "part");
  for (const auto& name : *names) {
    auto listing = files::list_tree(folders / name);
    if (!listing && listing.error().code == ErrorCode::kNotFound) continue;
    if (!listing) return pass(listing);
    for (const auto& entry : listing->entries) {
      if (entry.directory) continue;
      known->reset();
      auto sent = known->text(1, name).text(2, entry.path).integer(3, static_cast<std::int64_t>(entry.bytes)).integer(4, entry.modified_ns).step();
      if (!sent) return pass(sent);
      if (*sent) continue;
      if (auto sealed = seal_file(parts, folders, name, entry, key); !sealed) return sealed;
    }
  }
  return {};
}

Status remove_all_but_sealed(const fs::path& folders) {
  std::error_code failed;
  std::vector<fs::path> gone;
  for (const auto& above : {folders, folders / files::kOwnFolder}) {
    for (fs::directory_iterator at(above, failed), end; !failed && at != end; at.increment(failed)) {
      if (at->path().filename() != files::kOwnFolder && !(above != folders && at->path().filename() == "sealed")) gone.push_back(at->path());
    }
    if (failed == std::errc::no_such_file_or_directory) failed.clear();
  }
  for (const auto& path : gone) {
    if (!failed) fs::remove_all(path, failed);
  }
  return failed ? Status(fail(ErrorCode::kIo, phrase("remove {}: {}", folders.native(), failed.message()))) : Status{};
}

Status unseal_file(const fs::path& folders, const fs::path& sealed, const os::BoxKeys& keys) {
  std::ifstream from(sealed, std::ios::binary);
  auto head = next_piece(from, sealed, keys);
  if (!head) return pass(head);
  auto fields = Fields::parse(*head, "sealed file");
  const auto folder = fields.text("folder"), path = fields.text("path");
  const auto modified = fields.number("modified_ms");
  if (!fields.status()) return fields.status();
  files::Parts parts(folders / files::kOwnFolder / "part");
  const auto name = sealed.filename().native();
  if (auto gone = parts.forget(name); !gone) return gone;
  os::Blake2b hash;
  std::uint64_t bytes = 0;
  if (auto begun = parts.write(name, 0, ""); !begun) return begun;
  for (;;) {
    auto piece = next_piece(from, sealed, keys);
    if (!piece) return pass(piece);
    if (piece->empty()) break;
    hash.add(*piece);
    if (auto written = parts.write(name, bytes, *piece); !written) return written;
    bytes += piece->size();
  }
  if (auto made = os::make_directories(folders / folder, 0700); !made) return made;
  auto put = parts.put(name, folders / folder, {path, bytes, hash.hex(), static_cast<std::int64_t>(modified)}, files::Parts::Taken::kBeside);
  if (!put) return pass(put);
  std::error_code failed;
  fs::remove(sealed, failed);
  return failed ? Status(fail(ErrorCode::kIo, phrase("remove {}: {}", sealed.native(), failed.message()))) : Status{};
}

}  // namespace

Status lock_folders(sqlite::Database& database, const fs::path& file, const std::string& key) {
  auto there = database.value("SELECT 1 FROM sqlite_schema WHERE name = 'verbund_folder'");
  if (!there) return pass(there);
  if (*there != "1") return {};
  const auto folders = folders_of(file);
  if (auto sealed = seal_what_has_not_gone(database, folders, key); !sealed) return sealed;
  if (auto removed = remove_all_but_sealed(folders); !removed) return removed;
  return database.execute("DELETE FROM verbund_file; UPDATE verbund_folder SET shape = '', version = 0, whole = 0, last_error = ''");
}

Status unlock_folders(const fs::path& file, const os::BoxKeys& keys) {
  std::vector<fs::path> all;
  std::error_code failed;
  for (fs::directory_iterator at(sealed_folder(file), failed), end; !failed && at != end; at.increment(failed)) all.push_back(at->path());
  if (failed && failed != std::errc::no_such_file_or_directory) return fail(ErrorCode::kIo, phrase("read {}: {}", sealed_folder(file).native(), failed.message()));
  for (const auto& sealed : all) {
    if (auto opened = unseal_file(folders_of(file), sealed, keys); !opened) return opened;
  }
  return {};
}

}  // namespace verbund::sync::device
