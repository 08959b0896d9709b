#include "sync/server/folder_index.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/messages.h"

namespace verbund::sync::server {
namespace {

namespace json = boost::json;
using postgres::Connection;

constexpr int kRest = 10;

struct Stored {
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;
  std::string hash;
};

std::int64_t signed_of(const postgres::Rows& rows, int row, int column) { return std::strtoll(std::string(rows.text(row, column)).c_str(), nullptr, 10); }

Result<std::map<std::string, Stored>> stored_files(Connection& mid_tier, const std::string& folder) {
  auto rows = mid_tier.query("SELECT path, bytes, modified_ns, changed_ns, hash FROM sync.file WHERE folder = $1 AND gone IS NULL", {folder});
  if (!rows) return pass(rows, "sync.file");
  std::map<std::string, Stored> all;
  for (int row = 0; row < rows->size(); ++row) {
    all.emplace(rows->text(row, 0), Stored{parse_u64(rows->text(row, 1)).value_or(0), signed_of(*rows, row, 2), signed_of(*rows, row, 3), std::string(rows->text(row, 4))});
  }
  return all;
}

bool same(const files::Entry& file, const Stored& stored) { return file.bytes == stored.bytes && file.modified_ns == stored.modified_ns && file.changed_ns == stored.changed_ns; }

/// Each file gets a version of its own, one behind the other. A file whose content is what it was and that was only touched keeps its version.
constexpr std::string_view kWrite = R"sql(
  WITH given AS (SELECT g.*, row_number() OVER (ORDER BY path) AS place FROM jsonb_to_recordset($2::jsonb) AS g(path text, bytes bigint, modified bigint, changed bigint, hash text)),
       base AS (UPDATE sync.folder SET version = version + (SELECT count(*) FROM given) WHERE name = $1 RETURNING version - (SELECT count(*) FROM given) AS version)
  INSERT INTO sync.file AS f (folder, path, version, bytes, modified_ns, changed_ns, hash)
  SELECT $1, g.path, b.version + g.place, g.bytes, g.modified, g.changed, g.hash FROM given g, base b
  ON CONFLICT (folder, path) DO UPDATE SET bytes = excluded.bytes, modified_ns = excluded.modified_ns, changed_ns = excluded.changed_ns, hash = excluded.hash, gone = NULL,
    version = CASE WHEN f.gone IS NULL AND f.hash = excluded.hash AND f.modified_ns = excluded.modified_ns THEN f.version ELSE excluded.version END)sql";

constexpr std::string_view kGone = R"sql(
  WITH given AS (SELECT path, row_number() OVER (ORDER BY path) AS place FROM jsonb_array_elements_text($2::jsonb) AS g(path)),
       base AS (UPDATE sync.folder SET version = version + (SELECT count(*) FROM given) WHERE name = $1 RETURNING version - (SELECT count(*) FROM given) AS version)
  UPDATE sync.file f SET gone = now(), version = b.version + g.place FROM given g, base b WHERE f.folder = $1 AND f.path = g.path)sql";

Status write(Connection& mid_tier, const std::string& folder, const json::array& read, const json::array& gone) {
  if (read.empty() && gone.empty()) return {};
  auto transaction = mid_tier.begin();
  if (!transaction) return pass(transaction);
  if (auto made = mid_tier.query("INSERT INTO sync.folder (name) VALUES ($1) ON CONFLICT DO NOTHING", {folder}); !made) return pass(made, "sync.folder");
  if (!read.empty()) {
    if (auto written = mid_tier.query(kWrite, {folder, json::serialize(read)}); !written) return pass(written, "sync.file");
  }
  if (!gone.empty()) {
    if (auto written = mid_tier.query(kGone, {folder, json::serialize(gone)}); !written) return pass(written, "sync.file");
  }
  return transaction->commit();
}

}  // namespace

Result<std::filesystem::path> FolderIndex::path_of(const std::string& folder) const {
  const auto found = folders_.find(folder);
  if (found == folders_.end()) {
    return fail(ErrorCode::kNotFound, phrase("this server knows no folder '{}'", folder), phrase("[sync.folders] in verbund.toml names them: {} = \"/srv/…\"", folder));
  }
  return found->second;
}

FolderIndex::Known& FolderIndex::known(const std::string& folder) {
  const std::scoped_lock lock(mutex_);
  auto& one = known_[folder];
  if (!one) one = std::make_unique<Known>();
  return *one;
}

void FolderIndex::look_again(const std::string& folder) {
  auto& one = known(folder);
  const std::scoped_lock lock(one.looking);
  one.again = {};
}

Result<std::uint64_t> FolderIndex::look(Connection& mid_tier, const std::string& folder, milliseconds patience) {
  auto path = path_of(folder);
  if (!path) return pass(path);
  auto& one = known(folder);
  // Whoever looks already may have much to read: the others keep no worker waiting.
  constexpr milliseconds kWait{200};
  const std::unique_lock lock(one.looking, kWait);
  if (!lock.owns_lock()) return 1;
  const auto begun = clock_.now();
  if (begun < one.again) return 0;
  auto listing = files::list_tree(*path);
  if (!listing) return pass(listing, phrase("folder '{}'", folder));
  const auto again = clock_.now() + (clock_.now() - begun) * kRest;
  if (!one.entries.empty() && listing->entries == one.entries) {
    one.again = again;
    return 0;
  }
  auto stored = stored_files(mid_tier, folder);
  if (!stored) return pass(stored);
  if (listing->entries.empty() && !stored->empty()) {
    return fail(ErrorCode::kUnavailable, phrase("folder '{}': it is empty, and had {} files; nothing is removed from devices", folder, stored->size()),
                phrase("Is its disk mounted at {}? If it is to be empty, leave one file in it.", path->native()));
  }
  json::array read, gone;
  std::uint64_t left = 0;
  for (const auto& file : listing->entries) {
    if (file.directory) continue;
    const auto there = stored->find(file.path);
    const bool known_content = there != stored->end() && same(file, there->second);
    if (there != stored->end() && known_content) stored->erase(there);
    if (known_content) continue;
    if (left > 0 || (!read.empty() && clock_.now() - begun > patience)) {
      ++left;
      stored->erase(file.path);  // told as it was until it is read
      continue;
    }
    auto hash = files::hash_of(*path, file);
    // Just being written, or not to be read: the next look has it, or has it not.
    if (!hash && hash.error().code != ErrorCode::kNotFound && hash.error().code != ErrorCode::kIo) return pass(hash);
    stored->erase(file.path);
    if (!hash) {
      log_.warning("sync.file_not_read", {{"folder", folder}, {"path", file.path}, {"error", hash.error().message}});
      continue;
    }
    read.push_back(json::object{{"path", file.path}, {"bytes", file.bytes}, {"modified", file.modified_ns}, {"changed", file.changed_ns}, {"hash", *hash}});
  }
  for (const auto& [name, file] : *stored) gone.push_back(json::value(name));
  if (auto written = write(mid_tier, folder, read, gone); !written) return pass(written);
  if (left > 0) return left;
  one.entries = std::move(listing->entries);
  one.again = again;
  return 0;
}

Result<std::uint64_t> forget_gone_files(Connection& mid_tier, std::chrono::days days) {
  auto done = mid_tier.query(
      "WITH over AS (SELECT folder, max(version) AS version FROM sync.file WHERE gone < now() - $1::integer * interval '1 day' GROUP BY folder),"
      " known AS (UPDATE sync.folder f SET known_since = greatest(f.known_since, o.version) FROM over o WHERE o.folder = f.name)"
      " DELETE FROM sync.file f USING over o WHERE f.folder = o.folder AND f.gone < now() - $1::integer * interval '1 day'",
      {std::to_string(days.count())});
  if (!done) return pass(done, "sync.file");
  return done->affected();
}

}  // namespace verbund::sync::server
